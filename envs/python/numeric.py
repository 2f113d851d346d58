"""Forms of tasks with numbers: arithmetic, number theory, counting."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from agentrl.envs.python.forms import Facts, Form, a_number, numbers
from agentrl.envs.python.levels import Level

F = Mapping[str, Any]


def _abc(rng: Random, level: Level) -> Facts:
    """Three numbers. Results of the lower levels have three digits at most: a tiny policy knows these as words."""
    facts = numbers("a", "b", "c")(rng, level)
    return facts | {"b": rng.randrange(3, 10)} if level.digits < 3 else facts


def _ab(rng: Random, level: Level) -> Facts:
    """Two numbers, as `_abc`."""
    return {name: rng.randrange(6, 32) for name in "ab"} if level.digits < 3 else numbers("a", "b")(rng, level)


ARITHMETIC = (
    Form(
        name="product and sum",
        hardness=0,
        draw=_abc,
        answer=lambda f: f["a"] * f["b"] + f["c"],
        wordings=("What is {a} times {b} plus {c}?",),
        code="{a} * {b} + {c}",
        slips=("{b} * {c} + {a}", "{a} + {b} + {c}", "{a} * {b} - {c}"),
    ),
    Form(
        name="product and difference",
        hardness=1,
        draw=_abc,
        answer=lambda f: f["a"] * f["b"] - f["c"],
        wordings=(
            "What is {a} times {b} minus {c}?",
            "Multiply {a} by {b}, then take away {c}.",
            "By how much is the product of {a} and {b} larger than {c}?",
        ),
        code="{a} * {b} - {c}",
        slips=("{b} * {c} - {a}", "{a} * {b} + {c}", "{a} - {b} - {c}"),
    ),
    Form(
        name="squares",
        hardness=1,
        draw=_ab,
        answer=lambda f: f["a"] ** 2 + f["b"] ** 2,
        wordings=(
            "What is {a} squared plus {b} squared?",
            "Add the squares of {a} and {b}.",
            "What is the sum of the squares of {a} and {b}?",
        ),
        code="{a} ** 2 + {b} ** 2",
        slips=("{a} * 2 + {b} * 2", "{a} ** 2 + {b}", "{a} ** 2 - {b} ** 2"),
    ),
    Form(
        name="quotient",
        hardness=2,
        draw=_abc,
        answer=lambda f: f["a"] * f["b"] // f["c"],
        wordings=(
            "What is the whole part of {a} times {b} divided by {c}?",
            "How often does {c} fit into the product of {a} and {b}?",
            "Multiply {a} by {b}, divide by {c} and drop the fraction.",
        ),
        code="{a} * {b} // {c}",
        slips=("{a} * {b} % {c}", "{a} * {b} / {c}", "{a} * {c} // {b}"),
    ),
    Form(
        name="two products",
        hardness=3,
        draw=numbers("a", "b", "c", "d"),
        answer=lambda f: f["a"] * f["b"] + f["c"] * f["d"],
        wordings=(
            "What is {a} times {b} plus {c} times {d}?",
            "Add the product of {a} and {b} to that of {c} and {d}.",
            "{a} boxes weigh {b} grams each and {c} bags {d} grams each. How many grams do they weigh together?",
        ),
        code="{a} * {b} + {c} * {d}",
        slips=("{a} * {c} + {b} * {d}", "({a} + {b}) * ({c} + {d})", "{a} * {b} * {c} * {d}"),
    ),
    Form(
        name="digit sum of a power",
        hardness=4,
        draw=lambda rng, level: {"a": a_number(rng, 3), "b": rng.randrange(30, 90)},
        answer=lambda f: sum(map(int, str(f["a"] ** f["b"]))),
        wordings=(
            "What is the sum of the digits of {a} to the power {b}?",
            "Raise {a} to the power {b} and add up the digits of the result.",
            "What do the decimal digits of {a}^{b} add up to?",
        ),
        code="sum(int(d) for d in str({a} ** {b}))",
        slips=("len(str({a} ** {b}))", "sum(int(d) for d in str({a} * {b}))", "sum(int(d) for d in str({b} ** {a}))"),
    ),
)


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))


def _next_prime(f: F) -> int:
    n = int(f["a"]) + 1
    while not is_prime(n):
        n += 1
    return n


def primes_below(n: int) -> list[int]:
    """The sieve of Eratosthenes."""
    sieve = bytearray([0, 0]) + bytearray([1]) * max(n - 2, 0)
    for p in range(2, math.isqrt(max(n - 1, 0)) + 1):
        if sieve[p]:
            sieve[p * p :: p] = bytes(len(range(p * p, len(sieve), p)))
    return [n for n, prime in enumerate(sieve) if prime]


def _largest_factor(f: F) -> int:
    n, largest = int(f["a"]), 1
    for p in range(2, math.isqrt(n) + 1):
        while n % p == 0:
            n, largest = n // p, p
    return max(n, largest)


def _coprime(rng: Random, level: Level) -> Facts:
    while True:
        a, b = a_number(rng, level.digits), a_number(rng, level.digits)
        if a < b and math.gcd(a, b) == 1:
            return {"a": a, "b": b}


_ROOT = "int(n ** 0.5) + 1"
THEORY = (
    Form(
        name="power modulo",
        hardness=1,
        draw=numbers("a", "b", "c"),
        answer=lambda f: pow(f["a"], f["b"], f["c"]),
        wordings=(
            "What is {a} to the power {b} modulo {c}?",
            "What is left when {a} to the power {b} is divided by {c}?",
            "Find the remainder of {a}^{b} on division by {c}.",
        ),
        code="pow({a}, {b}, {c})",
        slips=("pow({b}, {a}, {c})", "pow({a}, {c}, {b})", "{a} * {b} % {c}"),
    ),
    Form(
        name="least common multiple",
        hardness=1,
        draw=_ab,
        answer=lambda f: math.lcm(f["a"], f["b"]),
        wordings=(
            "What is the least common multiple of {a} and {b}?",
            "What is the smallest positive number that both {a} and {b} divide?",
            "Two lights blink every {a} and every {b} seconds, now both at once. After how many seconds again?",
        ),
        code="from math import lcm; lcm({a}, {b})",
        slips=("from math import gcd; gcd({a}, {b})", "{a} * {b}", "{a} + {b}"),
    ),
    Form(
        name="sum of divisors",
        hardness=2,
        draw=numbers("a", most_digits=4),
        answer=lambda f: sum(d for d in range(1, f["a"] + 1) if f["a"] % d == 0),
        wordings=(
            "What is the sum of all divisors of {a}, 1 and itself included?",
            "Add up all positive numbers that divide {a}.",
            "What do the divisors of {a} add up to (1 and {a} count)?",
        ),
        code="sum(d for d in range(1, {a} + 1) if {a} % d == 0)",
        slips=("sum(d for d in range(1, {a}) if {a} % d == 0)", "sum({a} % d == 0 for d in range(1, {a} + 1))"),
        guesses=("{a}",),
    ),
    Form(
        name="next prime",
        hardness=2,
        draw=numbers("a"),
        answer=_next_prime,
        wordings=(
            "What is the smallest prime number larger than {a}?",
            "Which prime comes first after {a}?",
            "Find the first prime number above {a}.",
        ),
        code="n = {a} + 1\nwhile any(n % d == 0 for d in range(2, " + _ROOT + ")):\n    n += 1\nprint(n)",
        slips=(
            "n = {a}\nwhile any(n % d == 0 for d in range(2, 5)):\n    n += 1\nprint(n)",
            "n = {a} - 1\nwhile any(n % d == 0 for d in range(2, " + _ROOT + ")):\n    n -= 1\nprint(n)",
        ),
        guesses=("{a}",),
    ),
    Form(
        name="modular inverse",
        hardness=3,
        draw=_coprime,
        answer=lambda f: pow(f["a"], -1, f["b"]),
        wordings=(
            "Which number from 1 to {b} leaves the remainder 1 when {a} times it is divided by {b}?",
            "What is the inverse of {a} modulo {b}, as a positive number below {b}?",
            "Find the least positive x for which {a} * x is 1 modulo {b}.",
        ),
        code="pow({a}, -1, {b})",
        slips=("pow({b}, -1, {a})", "{b} % {a}", "pow({a}, 2, {b})"),
    ),
    Form(
        name="sum of primes",
        hardness=3,
        draw=numbers("a", most_digits=5),
        answer=lambda f: sum(primes_below(f["a"])),
        wordings=(
            "What is the sum of all prime numbers below {a}?",
            "Add up all primes that are smaller than {a}.",
            "What do the primes less than {a} add up to?",
        ),
        code="sum(n for n in range(2, {a}) if all(n % d for d in range(2, " + _ROOT + ")))",
        slips=(
            "sum(1 for n in range(2, {a}) if all(n % d for d in range(2, " + _ROOT + ")))",
            "sum(n for n in range(2, {a}) if n % 2)",
        ),
        guesses=("{a}",),
    ),
    Form(
        name="largest prime factor",
        hardness=4,
        draw=numbers("a"),
        answer=_largest_factor,
        wordings=(
            "What is the largest prime factor of {a}?",
            "Which is the largest prime that divides {a}?",
            "Factor {a} into primes. What is the largest of them?",
        ),
        code="n, p = {a}, 2\nwhile p * p <= n:\n    if n % p:\n        p += 1\n    else:\n        n //= p\nprint(n)",
        slips=(
            "p = 2\nwhile {a} % p:\n    p += 1\nprint(p)",
            "max(d for d in range(1, {a}) if {a} % d == 0)",
        ),
        guesses=("{a}",),
    ),
)


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
        slips=(
            "sum(x * y % {d} == {r} for y in range(1, {a} + 1) for x in range(1, {a} + 1))",
            "sum(x * y % {d} == 0 for y in range(1, {a} + 1) for x in range(1, y))",
        ),
        guesses=("{a}",),
    ),
)
