"""What an episode is worth: exact match, F1, or the rewards of ARPO and TAPO over the whole response."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from agentrl.envs.tools.tasks import Task
from agentrl.rewards import arpo, tapo
from agentrl.rewards.text import token_f1

REWARDS: dict[str, tuple[float, float]] = {
    "em": (0.0, 1.0),
    "f1": (0.0, 1.0),
    "arpo": (-1.0, 1.0 + arpo.BONUS),
    "tapo": (-1.0, 1.0),
}
"""By the setting ``reward``: least and most."""


class Marks(NamedTuple):
    """What an episode is worth, and why."""

    reward: float
    won: bool
    """The answer is right (`Task.right`), in the form that the reward asks for."""
    f1: float
    """Of the answer's words; of what is computed, 1 where it is right."""
    parts: dict[str, float]
    """The reward's components: ``em``, ``f1``, ``format`` (-1 where it is wrong), ``bonus`` (for both tools)."""


def mark(task: Task, reward: str, content: str, response: str, used: Collection[str]) -> Marks:
    """Judge an episode.

    Args:
        reward: A key of `REWARDS`.
        content: What the answer says; empty where none was given.
        response: All replies and results, for ``arpo`` and ``tapo``.
        used: Tools that were carried out.
    """
    right = bool(content.strip()) and task.right(content)
    f1 = float(right) if task.computing else token_f1(content, task.answers)  # "-28" has the words of "28"
    parts = {"em": float(right), "f1": f1, "format": 0.0, "bonus": 0.0}
    if reward == "em":
        return Marks(float(right), right, f1, parts)
    if reward == "f1":
        return Marks(f1, right, f1, parts)
    if reward == "arpo":
        paid = arpo.score(response, task.answers, used=used)
        won, formed = right and not paid.problem, paid.score >= 0
        parts |= {"f1": paid.f1, "bonus": arpo.BONUS if paid.score > paid.f1 else 0.0}
        total = paid.score
    else:
        judged = tapo.score(response, task.answers, task.source)
        won, formed, total = judged.correct, judged.answer is not None, judged.score
    return Marks(total, won, f1, parts | {"em": float(won), "format": 0.0 if formed else -1.0})


def check_gold(task: Task) -> None:
    """Whether TAPO's rules can judge a task. Raises ValueError where not."""
    tapo.score("", task.answers, task.source)
