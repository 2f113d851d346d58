"""Something long that is read page by page, and questions about it.

A `Book` says what its pages tell; everything else is the same for a log and for the stream of an inventory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from agentrl.envs.memory.answers import join
from agentrl.envs.memory.cases import Asked, Case, Move, Progress, numbered, one_of
from agentrl.envs.memory.levels import Reading as Level
from agentrl.errors import ToolError

OPEN = "open"


class Book(Case, Protocol):
    """A case of pages. Immutable."""

    @property
    def pages(self) -> tuple[str, ...]:
        """What is read."""
        ...

    @property
    def passes(self) -> bool:
        """Whether pages come once, one after the other, and the questions last."""
        ...

    def told(self, pages: Sequence[int]) -> tuple[str, ...]:
        """What the pages of these indices say to each question; `OPEN` where they say nothing."""
        ...

    def state(self, pages: Sequence[int]) -> str:
        """What has to be known of these pages to read on."""
        ...

    def mistakes(self) -> Sequence[str]:
        """Answers that are of the right kind and mostly wrong."""
        ...


@dataclass(frozen=True)
class Slips:
    """How often the fallible demonstrator errs in an episode, about."""

    skip: float = 0.25
    """Pages that it leaves out (where that can be done)."""
    early: float = 0.15
    """Episodes that it ends by answering from what it has read so far (where questions come first)."""
    overlook: float = 0.3
    """Answers for which it overlooks one of the pages."""
    mix: float = 0.25
    """Answers that are another word."""


@dataclass
class Pages:
    """Draws books and shows their pages."""

    write: Callable[[Level, int], Book]
    """The book of a seed."""
    level: Level
    """How long they are."""
    slips: Slips = Slips()

    @property
    def max_turns(self) -> int:
        """Of the level."""
        return self.level.max_turns

    def draw(self, seed: int) -> Book:
        """The book of a seed."""
        return self.write(self.level, seed)

    def look(self, case: Book, progress: Progress, said: str, most: int | None) -> tuple[Progress, str]:
        """Read a page."""
        page, last, due = int(said), len(case.pages), len(progress.found) + 1
        if case.passes and page != due:
            raise ToolError(f"The next page is {due}." if due <= last else "All pages were read. Answer the questions.")
        if not 1 <= page <= last:
            raise ToolError(f"There are pages 1 to {last}.")
        shown = f"Page {page} of {last}.\n{case.pages[page - 1]}"
        if case.passes and page == last:
            shown += f"\n{numbered([question.text for question in case.questions])}"
        return progress._replace(found=tuple(dict.fromkeys([*progress.found, str(page)]))), shown

    def seen(self, case: Book, progress: Progress) -> float:
        """Share of the pages."""
        return len(progress.found) / len(case.pages)

    def oracle(self, case: Book, progress: Progress) -> Move:
        """The first page that was not read; then what is right."""
        unread = next((page for page in range(1, len(case.pages) + 1) if str(page) not in progress.found), None)
        return Move(look=str(unread)) if unread else Move(tuple(asked.answers[0] for asked in case.questions))

    def fallible(self, case: Book, progress: Progress, rng: np.random.Generator) -> Move:
        """Reads on after the newest page, with slips, and answers by what it has read."""
        read, last, slips = _indices(progress), len(case.pages), self.slips
        following = max(read, default=-1) + 2
        if following > last:
            return Move(tuple(self._slip(case, read, n, rng) for n in range(len(case.questions))))
        chance = rng.random()
        if not case.passes and read:
            if chance < slips.early / last:
                return Move(case.told(read))
            if chance < (slips.early + slips.skip) / last and following < last:
                return Move(look=str(following + 1))
        return Move(look=str(following))

    def note(self, case: Book, progress: Progress) -> str:
        """The newest page, and what is known: for the questions once they were seen, else of all."""
        read = _indices(progress)
        if not read:
            return ""
        page = max(read) + 1
        known = case.state(read)
        if not case.passes or page == len(case.pages):
            known = join(case.told(read))
        return f"page {page}; {known}"

    def _slip(self, case: Book, read: Sequence[int], number: int, rng: np.random.Generator) -> str:
        """The answer to a question by the pages read, with slips."""
        chance = rng.random() * len(case.questions)
        if chance < self.slips.overlook:
            left_out = read[int(rng.integers(len(read)))]
            return case.told([page for page in read if page != left_out])[number]
        if chance < self.slips.overlook + self.slips.mix:
            return one_of(case.mistakes(), rng)
        return case.told(read)[number]


def _indices(progress: Progress) -> list[int]:
    """Indices of the pages that were read, in the order of pages."""
    return sorted(int(page) - 1 for page in progress.found)


def paged(lines: Sequence[str], pages: int) -> tuple[str, ...]:
    """Lines as pages of the same length.

    >>> paged(["a", "b", "c", "d"], 2)
    ('a.\\nb.', 'c.\\nd.')
    """
    size = len(lines) // pages
    return tuple("\n".join(f"{line}." for line in lines[at : at + size]) for at in range(0, size * pages, size))


def asked(texts: Sequence[str], truths: Sequence[str]) -> tuple[Asked, ...]:
    """Questions with the one right answer of each."""
    return tuple(Asked(text, (truth,)) for text, truth in zip(texts, truths, strict=True))
