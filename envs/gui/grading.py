"""UI-R1's reward (arXiv 2503.21620) for an action on a screen, with the expert's action as the right one."""

from __future__ import annotations

from agentrl.envs.gui.actions import Action
from agentrl.envs.gui.forms import ui_r1_name
from agentrl.envs.gui.widgets import Screen
from agentrl.rewards import ui_r1

MOST = 3.0
"""Of the parts together, for one action."""


def graded(reply: str, right: Action | None, screen: Screen) -> dict[str, float]:
    """Parts of the reward: type, place, format. Where the expert knows nothing more, the form alone counts."""
    if right is None:
        return {"type": 0.0, "place": 0.0, "format": float(ui_r1.well_formed(reply))}
    box = None
    if right.kind == "click" and right.spot.id is not None:
        x, y, width, height = screen.box(right.spot.id)
        box = (x, y, x + width - 1, y + height - 1)
    score = ui_r1.score(reply, ui_r1_name(right.kind), box)
    return {"type": score.type, "place": score.place, "format": score.format}
