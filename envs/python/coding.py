"""Generated coding tasks: a function is asked for, and graded by calls whose values its sandbox never sees.

The question shows one example; the tests are others. Their values come from a reference that runs in the generator,
the demonstrator's solution is text.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from random import Random
from typing import Any

from agentrl.envs.python.cases import Calls
from agentrl.envs.python.forms import Facts
from agentrl.envs.python.levels import Level
from agentrl.envs.python.tasks import Task
from agentrl.envs.python.words import WORDS

TESTS = 6
"""Calls that a solution is held to."""
DISTINCT = 3
"""Different values that they have at least, so that no constant passes."""


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function to be written; ``{f}`` is its name, ``{k}`` a number from 2 to 9."""

    hardness: int
    """From 0 to 4."""
    asked: str
    """What it is to do, after "Write a Python function f(...) that"."""
    parameters: str
    """Names of its parameters."""
    body: str
    """Lines of a solution."""
    slips: tuple[str, ...]
    """Lines of wrong ones."""
    reference: Callable[..., Any]
    """The right value, of ``k`` and the arguments."""
    inputs: Callable[[Random], tuple[Any, ...]]
    """Arguments of a call."""

    def draw(self, rng: Random, level: Level) -> Facts:
        """Facts of a task: a name, a number, and where its examples come from."""
        return {"f": "_".join(rng.sample(WORDS, 2)), "k": rng.randrange(2, 10), "examples": rng.random()}

    def key(self, kind: str, facts: Facts) -> str:
        """What tells the task of some facts from others."""
        return f"{kind} {facts['f']} {facts['k']} {self.asked}"

    def task(self, kind: str, facts: Facts, wording: int) -> Task:
        """The task of some facts; there is one wording."""
        name, k = facts["f"], facts["k"]
        example, *tests = self._cases(Random(facts["examples"]), k, name)
        head = f"def {name}({self.parameters}):\n"

        def written(body: str) -> str:
            lines = body.replace("{k}", str(k)).splitlines()
            return head + "\n".join(f"    {line}" for line in lines)

        return Task(
            kind=kind,
            question=(
                f"Write a Python function {name}({self.parameters}) that {self.asked.replace('{k}', str(k))}. For "
                f"example, {example[0]} is {example[1]}. Answer with its code alone."
            ),
            answer=written(self.body),
            rule="tests",
            slips=tuple(map(written, self.slips)),
            tests=Calls(tuple(tests)),
            key=self.key(kind, facts),
        )

    def _cases(self, rng: Random, k: int, name: str) -> list[tuple[str, str]]:
        while True:
            inputs = [self.inputs(rng) for _ in range(TESTS + 1)]
            values = [self.reference(k, *given) for given in inputs]
            if len(set(map(repr, values[1:]))) >= DISTINCT:
                calls = [f"{name}({', '.join(map(repr, given))})" for given in inputs]
                return list(zip(calls, map(repr, values), strict=True))


def _numbers(rng: Random) -> tuple[list[int]]:
    return ([rng.randrange(1, 60) for _ in range(rng.randrange(5, 10))],)


def _words(rng: Random) -> tuple[str]:
    return (" ".join(rng.choices(WORDS, k=rng.randrange(4, 9))),)


def _letters(rng: Random) -> tuple[str]:
    return ("".join(rng.choice("abc") * rng.randrange(1, 5) for _ in range(rng.randrange(2, 6))),)


def _intervals(rng: Random) -> tuple[list[tuple[int, int]]]:
    starts = [rng.randrange(60) for _ in range(rng.randrange(3, 7))]
    return ([(start, start + rng.randrange(1, 12)) for start in starts],)


def _ways(k: int, amount: int) -> int:
    @functools.cache
    def ways(left: int, coins: tuple[int, ...]) -> int:
        if left < 0 or not coins:
            return 0
        return 1 if left == 0 else ways(left - coins[0], coins) + ways(left, coins[1:])

    return ways(amount, (1, k, 3 * k))


def _merged(k: int, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + k:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _longest_climb(k: int, numbers: list[int]) -> int:
    best = [1] * len(numbers)
    for i, n in enumerate(numbers):
        best[i] = 1 + max((best[j] for j in range(i) if numbers[j] + k <= n), default=0)
    return max(best)


FUNCTIONS = (
    Function(
        hardness=2,
        asked="returns the sum of those numbers in the list xs that {k} divides",
        parameters="xs",
        body="return sum(x for x in xs if x % {k} == 0)",
        slips=("return sum(x for x in xs if x % {k})", "return sum(x % {k} == 0 for x in xs)"),
        reference=lambda k, xs: sum(x for x in xs if x % k == 0),
        inputs=_numbers,
    ),
    Function(
        hardness=2,
        asked="returns the list of the numbers in xs that are followed by a number at least {k} larger",
        parameters="xs",
        body="return [a for a, b in zip(xs, xs[1:]) if b >= a + {k}]",
        slips=(
            "return [a for a, b in zip(xs, xs[1:]) if b > a + {k}]",
            "return [b for a, b in zip(xs, xs[1:]) if b >= a + {k}]",
        ),
        reference=lambda k, xs: [x for i, x in enumerate(xs[:-1]) if xs[i + 1] - x >= k],
        inputs=_numbers,
    ),
    Function(
        hardness=3,
        asked="returns a dictionary with how often each word of the text s occurs, for words that have more than {k} "
        "letters or occur more than once",
        parameters="s",
        body="words = s.split()\nreturn {w: words.count(w) for w in words if len(w) > {k} or words.count(w) > 1}",
        slips=(
            "words = s.split()\nreturn {w: words.count(w) for w in words if len(w) > {k}}",
            "words = s.split()\nreturn {w: words.count(w) for w in words if len(w) > {k} and words.count(w) > 1}",
        ),
        reference=lambda k, s: {w: n for w, n in Counter(s.split()).items() if len(w) > k or n > 1},
        inputs=_words,
    ),
    Function(
        hardness=3,
        asked="replaces each run of equal letters in the text s by the letter and the length of the run times {k}",
        parameters="s",
        body='from itertools import groupby\nreturn "".join(c + str(len(list(run)) * {k}) for c, run in groupby(s))',
        slips=(
            'from itertools import groupby\nreturn "".join(c + str(len(list(run)) + {k}) for c, run in groupby(s))',
            'from itertools import groupby\nreturn "".join(c * {k} for c, run in groupby(s))',
        ),
        reference=lambda k, s: "".join(f"{c}{sum(1 for _ in run) * k}" for c, run in groupby(s)),
        inputs=_letters,
    ),
    Function(
        hardness=4,
        asked="returns in how many ways the amount n can be paid with coins of 1, {k} and three times {k}, the order "
        "of coins left aside",
        parameters="n",
        body="ways = [1] + [0] * n\nfor coin in (1, {k}, 3 * {k}):\n    for m in range(coin, n + 1):\n"
        "        ways[m] += ways[m - coin]\nreturn ways[n]",
        slips=(
            "ways = [1] + [0] * n\nfor m in range(1, n + 1):\n"
            "    ways[m] = sum(ways[m - c] for c in (1, {k}, 3 * {k}) if c <= m)\nreturn ways[n]",
            "return n // {k} + n // (3 * {k}) + 1",
        ),
        reference=_ways,
        inputs=lambda rng: (rng.randrange(20, 90),),
    ),
    Function(
        hardness=4,
        asked="merges the intervals in the list spans, pairs of start and end, that overlap or lie at most {k} apart, "
        "and returns the list of merged pairs in order",
        parameters="spans",
        body="found = []\nfor a, b in sorted(spans):\n    if found and a <= found[-1][1] + {k}:\n"
        "        found[-1] = (found[-1][0], max(b, found[-1][1]))\n    else:\n        found.append((a, b))\n"
        "return found",
        slips=(
            "found = []\nfor a, b in sorted(spans):\n    if found and a <= found[-1][1] + {k}:\n"
            "        found[-1] = (found[-1][0], b)\n    else:\n        found.append((a, b))\nreturn found",
            "return sorted(spans)",
        ),
        reference=_merged,
        inputs=_intervals,
    ),
    Function(
        hardness=4,
        asked="returns the length of the longest subsequence of the list xs in which each number is at least {k} "
        "larger than the one before",
        parameters="xs",
        body="best = []\nfor i, x in enumerate(xs):\n"
        "    best.append(1 + max((best[j] for j in range(i) if xs[j] + {k} <= x), default=0))\nreturn max(best)",
        slips=(
            "best = []\nfor i, x in enumerate(xs):\n"
            "    best.append(1 + max((best[j] for j in range(i) if xs[j] < x), default=0))\nreturn max(best)",
            "return 1 + sum(b - a >= {k} for a, b in zip(xs, xs[1:]))",
        ),
        reference=_longest_climb,
        inputs=_numbers,
    ),
)
