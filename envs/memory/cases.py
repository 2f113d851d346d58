"""What the three tasks have in common: a case with its questions, how far one has come, and what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np


class Asked(NamedTuple):
    """A question and what is right."""

    text: str
    """As it is put."""
    answers: tuple[str, ...]
    """All that are right; the first is what the expert says."""


class Progress(NamedTuple):
    """How far an episode has come."""

    found: tuple[str, ...] = ()
    """Titles of the passages or numbers of the pages that were shown, in the order of their first showing."""
    asked: tuple[str, ...] = ()
    """The newest queries."""


class Move(NamedTuple):
    """What a demonstrator does."""

    answers: tuple[str, ...] = ()
    """One for each question; empty where it looks further."""
    look: str = ""
    """The query, or the number of the page."""


class Case(Protocol):
    """One episode's task. Immutable."""

    @property
    def opening(self) -> str:
        """The first observation."""
        ...

    @property
    def questions(self) -> tuple[Asked, ...]:
        """What is to be answered at the end, all at once."""
        ...

    @property
    def kind(self) -> str:
        """What ``info["task_type"]`` says."""
        ...


C = TypeVar("C", bound=Case)


class Task(Protocol[C]):
    """A kind of cases: how they are drawn, what looking shows, and what demonstrators do and note down."""

    @property
    def max_turns(self) -> int:
        """Turn limit, with room for turns in which the policy edits or summarises its context."""
        ...

    def draw(self, seed: int) -> C:
        """The case of a seed."""
        ...

    def look(self, case: C, progress: Progress, said: str, most: int | None) -> tuple[Progress, str]:
        """Search for ``said`` (``most``: passages wanted), or read the page of that number.

        Raises:
            ToolError: that cannot be done; the text tells the policy why.
        """
        ...

    def seen(self, case: C, progress: Progress) -> float:
        """Share of what the answers rest on that was shown; 0 where that is not known."""
        ...

    def oracle(self, case: C, progress: Progress) -> Move:
        """What leads on, without errors."""
        ...

    def fallible(self, case: C, progress: Progress, rng: np.random.Generator) -> Move:
        """What a demonstrator with flaws does."""
        ...

    def note(self, case: C, progress: Progress) -> str:
        """What was found out so far, and what is open: all that is needed to go on; empty before the first look."""
        ...


def numbered(texts: Sequence[str]) -> str:
    """Lines with their numbers.

    >>> numbered(["Who?", "Where?"])
    '1. Who?\\n2. Where?'
    """
    return "\n".join(f"{n}. {text}" for n, text in enumerate(texts, 1))


def one_of(names: Sequence[str], rng: np.random.Generator) -> str:
    """A name by chance."""
    return names[int(rng.integers(len(names)))]
