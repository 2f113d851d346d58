"""Forms of tasks: number theory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Any

from agentrl.envs.python.forms import Facts, Form, a_number, numbers, two_numbers
from agentrl.envs.python.levels import Level

F = Mapping[str, Any]


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
        draw=two_numbers,
        answer=lambda f: math.lcm(f["a"], f["b"]),
        wordings=(
            "What is the least common multiple of {a} and {b}?",
            "What is the smallest positive number that both {a} and {b} divide?",
            "Two lights blink every {a} and every {b} seconds, now both at once. After how many seconds again?",
        ),
        code="from math import lcm; lcm({a}, {b})",
        tricky=True,
        slips=("{a} * {b}", "from math import gcd; gcd({a}, {b})", "{a} + {b}"),
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
        tricky=True,
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
