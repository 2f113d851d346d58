"""The levels of the three tasks: one row of numbers each.

In each, level 0 is for tests and 1 is where a tiny policy starts; 4 fills the context of a large model. What a whole
transcript takes, and the context that is meant to be given instead, stands in this environment's README.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentrl.envs.memory.worlds import PRIMER


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """Several questions at once."""

    world: int | str
    """The encyclopedia: a level of `search`, or `worlds.PRIMER`."""
    questions: tuple[int, int]
    """Fewest and most."""
    hops: int
    """Most passages that a question needs."""
    topk: int
    """Passages that a search returns."""
    passage_words: int | None = None
    """Words of a passage: longer ones are cut, shorter ones filled up with empty phrases; None is as they are."""
    distinct: bool = False
    """Whether the questions of an episode are of different kinds, as far as there are so many."""
    context: int
    """Tokens that suffice the embedded policy if it notes down what it reads (--model.max_context)."""
    prune_at: int
    """Records in sight at which demonstrations for that prune (--rollout.prune_at)."""

    @property
    def max_turns(self) -> int:
        """Twice the searches that are needed at most: the others are for detours and for editing the context."""
        return 2 * self.questions[1] * self.hops + 4


OBJECTIVES: dict[int, Objectives] = {
    0: Objectives(world=0, questions=(4, 4), hops=1, topk=3, context=224, prune_at=2),
    1: Objectives(
        world=PRIMER, questions=(3, 3), hops=1, topk=1, passage_words=32, distinct=True, context=184, prune_at=2
    ),
    2: Objectives(world=2, questions=(4, 6), hops=3, topk=3, context=480, prune_at=3),
    3: Objectives(world=3, questions=(4, 6), hops=4, topk=4, context=896, prune_at=4),
    4: Objectives(world=4, questions=(6, 8), hops=4, topk=5, context=1152, prune_at=4),
}
FILES = Objectives(world=0, questions=(1, 3), hops=6, topk=3, context=4096, prune_at=4)
"""With questions from a file, whatever the level; as many as the published training asks at once."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Something long that is read page by page: a log, or the stream of an inventory."""

    pages: int
    """How many."""
    page_words: int
    """About how many words a page has."""
    questions: tuple[int, int]
    """Fewest and most."""
    kinds: tuple[str, ...] = ()
    """Log: kinds of questions (`log.QUESTIONS`)."""
    others: int
    """Log: machines that nothing is asked about. Inventory: things."""
    goods: int = 0
    """Inventory: kinds of goods, which are counted."""
    places: int = 0
    """Inventory: places."""
    wordings: int = 1
    """Wordings of a line."""
    context: int
    """Tokens that suffice the embedded policy if it notes down what it reads (--model.max_context)."""
    prune_at: int
    """Records in sight at which demonstrations for that prune (--rollout.prune_at)."""

    @property
    def max_turns(self) -> int:
        """Twice the pages: the other turns are for editing the context."""
        return 2 * self.pages + 8


_SOME, _ALL = ("last", "first", "count"), ("last", "first", "count", "sum")

LOG: dict[int, Reading] = {
    0: Reading(pages=6, page_words=20, questions=(2, 2), kinds=("last",), others=2, context=192, prune_at=2),
    1: Reading(pages=8, page_words=40, questions=(2, 2), kinds=("last", "first"), others=4, context=288, prune_at=3),
    2: Reading(pages=12, page_words=60, questions=(2, 3), kinds=_SOME, others=6, context=416, prune_at=3),
    3: Reading(pages=16, page_words=120, questions=(3, 5), kinds=_ALL, others=12, wordings=3, context=960, prune_at=4),
    4: Reading(pages=24, page_words=250, questions=(5, 8), kinds=_ALL, others=30, wordings=3, context=2560, prune_at=6),
}
INVENTORY: dict[int, Reading] = {
    0: Reading(pages=6, page_words=12, questions=(2, 2), others=3, places=6, context=192, prune_at=2),
    1: Reading(pages=10, page_words=24, questions=(2, 2), others=6, places=8, context=288, prune_at=3),
    2: Reading(
        pages=12, page_words=48, questions=(2, 3), others=6, goods=2, places=8, wordings=2, context=480, prune_at=3
    ),
    3: Reading(
        pages=16, page_words=96, questions=(3, 5), others=8, goods=4, places=8, wordings=3, context=896, prune_at=4
    ),
    4: Reading(
        pages=24, page_words=240, questions=(5, 8), others=16, goods=8, places=12, wordings=3, context=2688, prune_at=6
    ),
}
