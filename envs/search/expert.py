"""Demonstrators: one that follows the chain of passages, and one that errs on what to search and what to answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentrl.envs.search.questions import Hop, Question


class Move(NamedTuple):
    """What a demonstrator does."""

    is_search: bool
    text: str
    """The query, or the answer."""


@dataclass(frozen=True)
class Slips:
    """How often the fallible demonstrator errs."""

    astray: float = 0.25
    """It searches for another name that it read."""
    early: float = 0.15
    """It answers with a name that it read, though it has to read on."""
    mix: float = 0.3
    """It has read all, and answers with another name that it read."""


def plain(title: str) -> str:
    """A title as titles are compared: retrievers differ in quotes and case."""
    return title.strip().strip('"').casefold()


def next_hop(question: Question, found: Sequence[str], asked: Sequence[str]) -> Hop | None:
    """The first passage on the way that was neither found nor searched for."""
    known = {plain(title) for title in found}
    return next((h for h in question.hops if plain(h.title) not in known and h.query not in asked), None)


def oracle(question: Question, found: Sequence[str], asked: Sequence[str]) -> Move:
    """Follow the chain, then answer; where no chain is known, search for the question itself first."""
    if hop := next_hop(question, found, asked):
        return Move(True, hop.query)
    if not question.hops and not asked:
        return Move(True, question.text)
    return Move(False, question.answers[0])


def fallible(
    question: Question,
    found: Sequence[str],
    asked: Sequence[str],
    named: Callable[[str], Sequence[str]],
    rng: np.random.Generator,
    slips: Slips,
) -> Move:
    """Like `oracle`, with slips. Only names that were read are confused, so the first search is always right."""
    right = oracle(question, found, asked)
    read = [name for title in found for name in (*named(title), title) if name not in question.answers]
    if not read:
        return right
    done = next_hop(question, found, asked) is None
    way = {h.title for h in question.hops} | {h.answer for h in question.hops}
    other = [name for name in read if name not in way and name not in asked] or read
    chance = rng.random()
    if chance < slips.astray:
        return Move(True, _one(other, rng))
    if chance < slips.astray + (slips.mix if done else slips.early):
        return Move(False, _one(other if done else read, rng))
    return right


def note(question: Question, found: Sequence[str]) -> str:
    """What was read of the chain so far: "Amber Lantern: Ada Kemp. Ada Kemp: Cedar Bay."; empty where nothing was."""
    known = {plain(title) for title in found}
    return " ".join(f"{h.title}: {h.answer}." for h in question.hops if h.answer and plain(h.title) in known)


def _one(names: Sequence[str], rng: np.random.Generator) -> str:
    return names[int(rng.integers(len(names)))]
