"""What a task is, and what an expert has to know to do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from agentrl.envs.gui.goals import Goal
from agentrl.envs.gui.state import Path, State


class Offer(NamedTuple):
    """A field that is filled by choosing what it offers."""

    typed: str
    """What to type."""
    taken: str
    """The offer to take."""


class Aim(NamedTuple):
    """One thing to do on one page: fill what is to be filled, then press a button."""

    path: Path
    """The page."""
    fields: tuple[tuple[str, str | Offer], ...] = ()
    """Keys of widgets, and what they are to hold; ``on`` and ``off`` for what is checked or expanded."""
    press: str = ""
    """Key of what is clicked last."""
    want: int = -1
    """Number of the goal's want that is met by it; -1: the page is only to be read."""
    done: Callable[[State], bool] | None = None
    """Whether it is done, where no want says so."""


class Task(NamedTuple):
    """A task, ready to begin."""

    kind: str
    """Name of the template."""
    text: str
    """What is to be done, in words."""
    state: State
    """Where it begins."""
    goal: Goal
    """When it is done."""
    aims: tuple[Aim, ...]
    """A way to do it."""
