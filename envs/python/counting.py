"""Forms of tasks: counting numbers with a property. Answers come from digits and remainders, not from a loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from agentrl.envs.python.forms import Facts, Form, a_number
from agentrl.envs.python.levels import Level

F = Mapping[str, Any]


def _span(rng: Random, level: Level) -> Facts:
    """A span of numbers and a divisor."""
    digits = min(level.digits, 4)
    last = a_number(rng, digits) + 10**digits if digits > 2 else rng.randrange(60, 100)
    return {"d": rng.randrange(3, 10), "a": a_number(rng, digits) if digits > 2 else rng.randrange(11, 50), "b": last}


def _reached(limit: int, step: Callable[[int, int], int]) -> Counter[int]:
    """How many numbers from 0 to ``limit - 1`` reach each state, from 0, by their digits from the left."""
    found: Counter[int] = Counter()
    along = 0
    for last in map(int, str(limit)):
        after: Counter[int] = Counter()
        for state, count in found.items():
            for digit in range(10):
                after[step(state, digit)] += count
        for digit in range(last):
            after[step(along, digit)] += 1
        found, along = after, step(along, last)
    return found


def _pairs(f: F) -> int:
    """Pairs of different numbers by their remainders."""
    d, rest = f["d"], Counter(n % f["d"] for n in range(1, f["a"] + 1))
    ordered = sum(rest[x] * rest[y] for x in range(d) for y in range(d) if x * y % d == f["r"])
    return (ordered - sum(rest[x] for x in range(d) if x * x % d == f["r"])) // 2


COUNTING = (
    Form(
        name="multiples",
        hardness=2,
        draw=_span,
        answer=lambda f: f["b"] // f["d"] - (f["a"] - 1) // f["d"],
        wordings=(
            "How many multiples of {d} are there from {a} to {b}?",
            "How many whole numbers from {a} to {b}, both included, can be divided by {d}?",
            "Count the numbers from {a} up to and with {b} that {d} divides.",
        ),
        code="sum(n % {d} == 0 for n in range({a}, {b} + 1))",
        slips=(
            "sum(n % {d} == 0 for n in range({b} + 1))",
            "sum(n % {d} for n in range({a}, {b} + 1))",
            "sum(n % {d} != 0 for n in range({a}, {b} + 1))",
        ),
    ),
    Form(
        name="sum of multiples",
        hardness=1,
        draw=_span,
        answer=lambda f: sum(range(-(-f["a"] // f["d"]) * f["d"], f["b"] + 1, f["d"])),
        wordings=(
            "What is the sum of the multiples of {d} from {a} to {b}?",
            "Add up the whole numbers from {a} to {b}, both included, that can be divided by {d}.",
            "What do all numbers from {a} up to and with {b} that {d} divides add up to?",
        ),
        code="sum(n for n in range({a}, {b} + 1) if n % {d} == 0)",
        tricky=True,
        slips=(
            "sum(n % {d} == 0 for n in range({a}, {b} + 1))",
            "sum(n for n in range({b} + 1) if n % {d} == 0)",
            "sum(n % {d} for n in range({a}, {b} + 1))",
        ),
    ),
    Form(
        name="digit within",
        hardness=2,
        draw=lambda rng, level: {"d": rng.randrange(1, 10), "a": a_number(rng, min(level.digits, 5))},
        answer=lambda f: _reached(f["a"] + 1, lambda has, digit: int(has or digit == f["d"]))[1],
        wordings=(
            "How many numbers from 1 to {a} contain the digit {d}?",
            "In how many whole numbers from 1 up to and with {a} does a {d} occur among the digits?",
            "Count the numbers from 1 to {a}, both included, that have at least one digit {d}.",
        ),
        code='sum("{d}" in str(n) for n in range(1, {a} + 1))',
        slips=(
            'sum(str(n).count("{d}") for n in range(1, {a} + 1))',
            'sum("{d}" not in str(n) for n in range(1, {a} + 1))',
            "sum(n % {d} == 0 for n in range(1, {a} + 1))",
        ),
        guesses=("{a}",),
    ),
    Form(
        name="digit sum",
        hardness=3,
        draw=lambda rng, level: {"d": rng.randrange(12, 30), "a": a_number(rng, 5)},
        answer=lambda f: _reached(f["a"], int.__add__)[f["d"]],
        wordings=(
            "How many positive numbers below {a} have digits that add up to {d}?",
            "Of how many whole numbers from 1 to less than {a} is {d} the sum of digits?",
            "Count the positive numbers less than {a} whose digits sum to {d}.",
        ),
        code="sum(sum(map(int, str(n))) == {d} for n in range(1, {a}))",
        slips=(
            "sum(n for n in range(1, {a}) if sum(map(int, str(n))) == {d})",
            "sum(sum(map(int, str(n))) % {d} == 0 for n in range(1, {a}))",
        ),
        guesses=("{a}",),
    ),
    Form(
        name="pairs",
        hardness=4,
        draw=lambda rng, level: {"a": a_number(rng, 3), "d": rng.randrange(5, 20), "r": rng.randrange(5)},
        answer=_pairs,
        wordings=(
            "How many pairs of whole numbers x < y from 1 to {a} have a product that leaves {r} when divided by {d}?",
            "Count the pairs (x, y) with 1 <= x < y <= {a} and x * y = {r} modulo {d}.",
            "Two different numbers from 1 to {a} are chosen. In how many ways is their product {r} modulo {d}?",
        ),
        code="sum(x * y % {d} == {r} for y in range(1, {a} + 1) for x in range(1, y))",
        tricky=True,
        slips=(
            "sum(x * y % {d} == {r} for y in range(1, {a} + 1) for x in range(1, {a} + 1))",
            "sum(x * y % {d} == 0 for y in range(1, {a} + 1) for x in range(1, y))",
        ),
        guesses=("{a}",),
    ),
)
