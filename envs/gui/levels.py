"""The levels: which templates, how much there is on the device, and what gets in the way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Level:
    """One row of numbers."""

    groups: tuple[tuple[str, int], ...]
    """Groups of templates (`agentrl.envs.gui.tasks.templates`), and how often each is drawn."""
    size: int
    """About how many mails, contacts, events, files of a folder, products."""
    items: tuple[int, int]
    """Fewest and most widgets of a choice on a small page."""
    rows: int
    """Rows of a list that fit the screen."""
    home: bool
    """Whether one starts at the home screen of all apps; otherwise the only app is open."""
    rich: bool
    """Whether apps show folders, filters, searches, and people have two names."""
    popups: int = 0
    """Most windows that pop up."""
    slow: int = 0
    """Most steps that the pages of an app need to load."""
    wordings: int = 1
    """Ways to word a task."""
    slips: float = 1.0
    """How often the demonstrator errs, in the measure of `agentrl.envs.gui.expert.Slips`."""
    max_turns: int
    """Turn limit: about twice what the expert needs at most."""


LEVELS: dict[int, Level] = {
    0: Level(groups=(("small", 1),), size=3, items=(4, 5), rows=8, home=False, rich=False, max_turns=6),
    1: Level(groups=(("first", 1),), size=4, items=(4, 5), rows=8, home=False, rich=False, max_turns=8),
    2: Level(groups=(("single", 1),), size=10, items=(5, 8), rows=8, home=True, rich=True, max_turns=20),
    3: Level(
        groups=(("single", 1), ("double", 3)),
        size=12,
        items=(6, 9),
        rows=8,
        home=True,
        rich=True,
        popups=1,
        slips=0.8,
        wordings=2,
        max_turns=30,
    ),
    4: Level(
        groups=(("double", 1), ("triple", 2)),
        size=24,
        items=(8, 12),
        rows=9,
        home=True,
        rich=True,
        popups=2,
        slow=2,
        slips=0.5,
        wordings=3,
        max_turns=50,
    ),
}
