"""The levels of the generated tasks: one row each.

Level 0 is for tests, 1 is where a tiny policy starts: numbers of two digits, one wording, a line of code for each
form of task. From level 2 on nothing can be done by heart, from level 3 on data lie in files and code is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Level:
    """How hard tasks are."""

    name: str
    """What to call it."""
    kinds: tuple[str, ...]
    """Kinds of tasks (`procedural.KINDS`)."""
    hardness: tuple[int, int]
    """Least and most hardness of the forms of tasks (`forms.Form`)."""
    digits: int
    """Digits of numbers."""
    rows: tuple[int, int]
    """Least and most rows of a table."""
    wordings: int
    """Wordings of each form."""
    max_turns: int
    """Turn limit of an episode."""


LEVELS: dict[int, Level] = {
    0: Level(
        name="toy",
        kinds=("arithmetic",),
        hardness=(0, 0),
        digits=2,
        rows=(3, 3),
        wordings=1,
        max_turns=4,
    ),
    1: Level(
        name="pocket calculator",
        kinds=("arithmetic", "theory", "counting", "table", "text", "date"),
        hardness=(0, 1),
        digits=2,
        rows=(4, 4),
        wordings=1,
        max_turns=4,
    ),
    2: Level(
        name="exercise book",
        kinds=("arithmetic", "theory", "counting", "table", "text", "date", "code"),
        hardness=(1, 2),
        digits=3,
        rows=(5, 8),
        wordings=3,
        max_turns=6,
    ),
    3: Level(
        name="workshop",
        kinds=("arithmetic", "theory", "counting", "table", "text", "date", "file", "code"),
        hardness=(2, 3),
        digits=5,
        rows=(8, 12),
        wordings=3,
        max_turns=8,
    ),
    4: Level(
        name="laboratory",
        kinds=("arithmetic", "theory", "counting", "table", "text", "date", "file", "code"),
        hardness=(3, 4),
        digits=7,
        rows=(10, 14),
        wordings=3,
        max_turns=8,
    ),
}
