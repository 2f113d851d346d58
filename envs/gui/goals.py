"""What a task wants, as a difference of states: all that is asked for is there, and nothing else changed.

As tau-bench (arXiv 2406.12045) and AndroidWorld (2405.14573) do: the contents of the device are compared, never the
way there or what was said. A deleted mail too many, a setting touched and left, a second order: not reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from agentrl.envs.gui.data import Change, Data, difference
from agentrl.envs.gui.state import State

INCIDENTAL = {("mail", "unread")}
"""Fields that reading alone changes."""


class Want(NamedTuple):
    """One row that is to be different."""

    what: str
    """``added``, ``changed`` or ``removed``."""
    table: str
    """Name of the table."""
    id: int = 0
    """Its number; 0 for one that is added."""
    fields: Mapping[str, Any] = {}
    """What stands in it then; of an added row, what is not named here does not matter."""


class Goal(NamedTuple):
    """What a task wants."""

    start: Data
    """What was stored in the beginning."""
    wants: tuple[Want, ...] = ()
    """In any order."""
    answer: str | None = None
    """What is to be answered."""

    def reached(self, state: State) -> bool:
        """Whether everything is there, and nothing else."""
        met, others = self.judge(state)
        return all(met) and not others

    def progress(self, state: State) -> float:
        """Share of what is wanted that is there."""
        met, _ = self.judge(state)
        return sum(met) / len(met)

    def judge(self, state: State) -> tuple[list[bool], list[Change]]:
        """Which wants are met (the answer is the last), and what else changed."""
        changes = [c for change in difference(self.start, state.data) if (c := _essential(change)) is not None]
        met = []
        for want in self.wants:
            found = next((c for c in changes if _meets(c, want)), None)
            met.append(found is not None)
            if found is not None:
                changes.remove(found)
        if self.answer is not None:
            met.append(state.answer is not None and plain(state.answer) == plain(self.answer))
        return met, changes


def plain(value: Any) -> Any:
    """A value as it is compared: texts without regard to case, spaces and a final stop."""
    return " ".join(value.split()).casefold().rstrip(".") if isinstance(value, str) else value


def _essential(change: Change) -> Change | None:
    if change.what != "changed":
        return change
    fields = {k: v for k, v in change.fields.items() if (change.table, k) not in INCIDENTAL}
    return change._replace(fields=fields) if fields else None


def _meets(change: Change, want: Want) -> bool:
    if change[:2] != want[:2] or (want.id and change.id != want.id):
        return False
    if change.what == "changed" and set(change.fields) != set(want.fields):
        return False
    return all(plain(change.fields.get(k)) == plain(v) for k, v in want.fields.items())
