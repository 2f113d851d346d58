"""Demonstrators: one that looks up, computes and answers, and one that errs on all three, and on what is needed.

The fallible one makes up a number that it did not look up, takes operands in the wrong order or the wrong operation,
answers with a number that it read, follows wrong names, and uses a tool where none is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentrl.envs.python import expert as computing
from agentrl.envs.python.notebook import Cell
from agentrl.envs.search import expert as searching
from agentrl.envs.search.expert import note
from agentrl.envs.tools.tasks import Task


class Move(NamedTuple):
    """What a demonstrator does."""

    tool: str
    """``search`` or ``python``; empty for an answer."""
    text: str
    """The query, the code, or the answer."""


class Sight(NamedTuple):
    """What a demonstrator knows of an episode."""

    task: Task
    found: tuple[str, ...]
    """Titles of the passages seen."""
    asked: tuple[str, ...]
    """Queries."""
    cells: tuple[Cell, ...]
    """Code that ran."""
    calls_left: int
    """Calls that would be carried out."""


@dataclass(frozen=True)
class Slips:
    """How often the fallible demonstrator errs."""

    skip: float = 0.1
    """It looks nothing up, and computes with numbers that it makes up."""
    hasty: float = 0.3
    """It looked something up, but not all, and makes up the rest."""
    order: float = 0.55
    """It takes numbers in the order in which it read them, where the question wants them the other way round."""
    misread: float = 0.15
    """It computes something else than was asked for."""
    guess: float = 0.1
    """It answers with a number that it read instead of computing."""
    astray: float = 0.2
    """Where nothing is to be computed: it searches for another name that it read."""
    mix: float = 0.2
    """Where nothing is to be computed: it answers with another name that it read."""
    needless: float = 0.2
    """It computes where nothing is to be computed, or searches where nothing is to be found."""


def oracle(sight: Sight) -> Move:
    """Look up what is needed and not yet known, compute, answer; the answer is right whatever happened before."""
    question, done = sight.task.question, sight.task.computing
    if sight.calls_left > 0:
        if hop := searching.next_hop(question, sight.found, sight.asked):
            return Move("search", hop.query)
        if done is None and not question.hops and not sight.asked:
            return Move("search", question.text)
    if done is None:
        return Move("", question.answers[0])
    move = computing.oracle(done, sight.cells, sight.calls_left)
    return Move("python" if move.is_code else "", move.text)


def fallible(sight: Sight, named: Callable[[str], Sequence[str]], rng: np.random.Generator, slips: Slips) -> Move:
    """Like `oracle`, with slips."""
    return _to_find(sight, named, rng, slips) if sight.task.computing is None else _to_compute(sight, rng, slips)


def _to_find(sight: Sight, named: Callable[[str], Sequence[str]], rng: np.random.Generator, slips: Slips) -> Move:
    """Where the answer stands in a passage."""
    right = oracle(sight)
    if not right.tool and not sight.cells and sight.calls_left > 0 and rng.random() < slips.needless:
        return Move("python", repr(right.text))
    ways = searching.Slips(astray=slips.astray if sight.calls_left > 0 else 0.0, early=slips.mix / 2, mix=slips.mix)
    move = searching.fallible(sight.task.question, sight.found, sight.asked, named, rng, ways)
    return Move("search" if move.is_search else "", move.text) if right.tool or not move.is_search else right


def _to_compute(sight: Sight, rng: np.random.Generator, slips: Slips) -> Move:
    """Where the answer is computed."""
    task, right = sight.task, oracle(sight)
    assert task.computing is not None
    if right.tool == "search" and not sight.cells:
        skips = task.plan is not None and rng.random() < (slips.hasty if sight.found else slips.skip)
        return Move("python", task.plan.cell(sight.found)) if task.plan and skips else right
    idle = not task.question.hops and not sight.asked and not sight.cells and sight.calls_left > 1
    if idle and rng.random() < slips.needless:
        return Move("search", task.computing.code.partition("\n")[0] or task.question.text)
    if right.tool and task.plan and task.plan.as_read and not sight.cells and rng.random() < slips.order:
        return Move("python", task.plan.as_read)
    ways = computing.Slips(slips.misread, slips.guess)
    move = computing.fallible(task.computing, sight.cells, sight.calls_left, rng, ways)
    return Move("python" if move.is_code else "", move.text)


def remember(sight: Sight) -> str:
    """What a demonstrator notes down of an episode: what it read, and the last result."""
    last = f"Result: {sight.cells[-1].shown}" if sight.cells else ""
    return " ".join(part for part in (note(sight.task.question, sight.found), last) if part)
