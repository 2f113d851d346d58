"""Demonstrators: one that knows what to compute, and one that errs on what to compute or does not compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentrl.envs.python.answers import plainly_equal
from agentrl.envs.python.notebook import Cell
from agentrl.envs.python.tasks import Task


class Move(NamedTuple):
    """What a demonstrator does."""

    is_code: bool
    """Whether it is a cell to run."""
    text: str
    """The cell, or the answer."""


@dataclass(frozen=True)
class Slips:
    """How often the fallible demonstrator errs."""

    misread: float = 0.25
    """It computes something else than was asked for, and believes the result."""
    habit: float = 0.5
    """The same where the question is tricky: it takes it for what it is easily taken for."""
    guess: float = 0.1
    """It answers without computing."""


def oracle(task: Task, cells: tuple[Cell, ...], calls_left: int) -> Move:
    """Look at the data, compute, answer; the answer is right whatever was computed before."""
    ran = [cell.code for cell in cells]
    if calls_left > 1 and task.look and task.look not in ran:
        return Move(True, task.look)
    if calls_left > 0 and task.code and task.code not in ran:
        return Move(True, task.code)
    return Move(False, task.answer)


def fallible(task: Task, cells: tuple[Cell, ...], calls_left: int, rng: np.random.Generator, slips: Slips) -> Move:
    """Compute, at times the wrong thing, and answer with the last line of what came out."""
    right = oracle(task, cells, calls_left)
    if task.rule == "tests":
        return Move(False, _one(task.slips, rng)) if task.slips and rng.random() < slips.misread else right
    if right.is_code and right.text == task.look:
        return right
    tried = [cell for cell in cells if cell.code != task.look]
    if not tried:
        chance = rng.random()
        if chance < slips.guess and task.guesses:
            return Move(False, _one(task.guesses, rng))
        if chance < slips.guess + (slips.habit if task.tricky else slips.misread) and task.slips:
            return Move(True, task.slips[0] if task.tricky else _one(task.slips, rng))
        return right
    if tried[-1].status != "ok":
        return right
    said = tried[-1].shown.strip().rpartition("\n")[2].strip("'\"")
    return Move(False, task.answer if plainly_equal(said, task.answer) else said or task.answer)


def _one(texts: tuple[str, ...], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]
