"""Where an episode stands."""

from __future__ import annotations

from typing import NamedTuple

from agentrl.envs.python.notebook import Cell
from agentrl.envs.search.expert import plain
from agentrl.envs.tools.tasks import Task


class Episode(NamedTuple):
    """Everything that a snapshot holds. All of it is immutable."""

    task: Task
    shown: str
    """The last observation."""
    found: tuple[str, ...] = ()
    """Titles of the passages seen so far, in the order in which they were found."""
    asked: tuple[str, ...] = ()
    """Queries so far."""
    cells: tuple[Cell, ...] = ()
    """Code that ran so far."""
    calls: int = 0
    """Calls that were carried out, those that went wrong included."""
    used: frozenset[str] = frozenset()
    """Tools that gave a result."""
    turns: int = 0
    """Replies so far."""
    response: str = ""
    """All replies and results, where they are judged."""
    over: bool = False
    """It was judged."""
    won: bool = False
    """The answer is right."""

    @property
    def recall(self) -> float:
        """Share of the supporting passages that was found; 0 where they are not known."""
        known = {plain(title) for title in self.found}
        wanted = self.task.question.supporting
        return sum(plain(title) in known for title in wanted) / len(wanted) if wanted else 0.0
