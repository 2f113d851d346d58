"""A form of task: facts that are drawn, wordings that they are put into, the code that finds the answer, its slips.

    facts      a=47, b=83, c=12
    wording    "What is {a} times {b} plus {c}?"
    code       "{a} * {b} + {c}"            slips    "{a} * {b} - {c}", ...
    answer     3913, found by the generator without running any of the code

A form's hardness says at which levels it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from agentrl.envs.python.levels import Level
from agentrl.envs.python.tasks import Task

Facts = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Form:
    """Tasks that differ in their facts alone."""

    name: str
    """What to call it."""
    hardness: int
    """From 0 to 4."""
    draw: Callable[[Random, Level], Facts]
    """Facts of a task; ``files`` are those that lie in its work folder."""
    answer: Callable[[Mapping[str, Any]], object]
    """The right answer."""
    wordings: tuple[str, ...]
    """The question; the first is that of the lower levels."""
    code: str
    """The cell that finds the answer."""
    slips: tuple[str, ...]
    """Cells that find something else."""
    tricky: bool = False
    """Whether it is easily taken for what the first of its slips does."""
    guesses: tuple[str, ...] = ("{a}", "{b}")
    """Answers of one who does not compute."""
    look: str = ""
    """A cell that shows the data."""

    def task(self, kind: str, facts: Facts, wording: int) -> Task:
        """The task of some facts, in a wording."""
        return Task(
            kind=kind,
            question=self.wordings[wording % len(self.wordings)].format(**facts),
            answer=str(self.answer(facts)),
            code=self.code.format(**facts),
            look=self.look.format(**facts),
            slips=tuple(slip.format(**facts) for slip in self.slips),
            tricky=self.tricky,
            guesses=tuple(guess.format(**facts) for guess in self.guesses),
            files=tuple(facts.get("files", ())),
            key=self.key(kind, facts),
        )

    def key(self, kind: str, facts: Facts) -> str:
        """What tells the task of some facts from others: its first wording, and its files."""
        return f"{kind} {self.wordings[0].format(**facts)} {facts.get('files', ())}"


def a_number(rng: Random, digits: int) -> int:
    """A number of so many digits that is not round."""
    number = rng.randrange(10 ** (digits - 1) + 1, 10**digits)
    return number if number % 10 else number + 1


def numbers(*names: str, most_digits: int = 99) -> Callable[[Random, Level], Facts]:
    """Facts that are numbers with the level's digits."""
    return lambda rng, level: {name: a_number(rng, min(level.digits, most_digits)) for name in names}


def three_numbers(rng: Random, level: Level) -> Facts:
    """Three numbers. Results of the lower levels have three digits at most: a tiny policy knows these as words."""
    facts = numbers("a", "b", "c")(rng, level)
    return facts | {"b": rng.randrange(3, 10)} if level.digits < 3 else facts


def two_numbers(rng: Random, level: Level) -> Facts:
    """Two numbers, as `three_numbers`."""
    return {name: rng.randrange(6, 32) for name in "ab"} if level.digits < 3 else numbers("a", "b")(rng, level)
