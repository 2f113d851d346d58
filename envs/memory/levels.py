"""The levels of the three tasks: one row of numbers each.

In each, level 0 is for tests and 1 is where a tiny policy starts; 4 fills the context of a large model. What a whole
transcript takes, and the context that is meant to be given instead, stands in this environment's README.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """Several questions at once."""

    world: int
    """Level of the encyclopedia (`agentrl.envs.search.levels`)."""
    questions: tuple[int, int]
    """Fewest and most."""
    hops: int
    """Most passages that a question needs."""
    topk: int
    """Passages that a search returns."""
    passage_words: int | None = None
    """Most words that are shown of a passage; None is all."""
    max_turns: int
    """Turn limit."""


OBJECTIVES: dict[int, Objectives] = {
    0: Objectives(world=0, questions=(2, 2), hops=1, topk=2, max_turns=8),
    1: Objectives(world=1, questions=(2, 4), hops=2, topk=2, max_turns=20),
    2: Objectives(world=2, questions=(3, 5), hops=3, topk=3, max_turns=35),
    3: Objectives(world=3, questions=(4, 6), hops=4, topk=4, max_turns=50),
    4: Objectives(world=4, questions=(6, 8), hops=4, topk=5, max_turns=70),
}
