"""Forms of tasks with words and with dates."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from agentrl.envs.python.forms import Facts, Form
from agentrl.envs.python.levels import Level
from agentrl.envs.python.words import vocabulary

F = Mapping[str, Any]


def _phrase(count: int) -> Callable[[Random, Level], Facts]:
    def draw(rng: Random, level: Level) -> Facts:
        words = rng.sample(vocabulary(level), count)
        return {"w": " ".join(words), "a": words[0], "b": words[1], "k": rng.randrange(3, 24)}

    return draw


def _shifted(f: F) -> str:
    return "".join(chr((ord(c) - 97 + f["k"]) % 26 + 97) if c != " " else c for c in f["w"])


def _secret(rng: Random, level: Level) -> Facts:
    facts = _phrase(4)(rng, level)
    return facts | {"s": base64.b64encode(facts["w"].encode()).decode()}


TEXT = (
    Form(
        name="backwards",
        hardness=1,
        draw=_phrase(2),
        answer=lambda f: f["w"][::-1],
        wordings=('Write "{w}" backwards.', 'What is "{w}" from its last letter to its first?', 'Reverse "{w}".'),
        code='print("{w}"[::-1])',
        slips=('print("{b} {a}")', 'print("{w}"[1:])', 'print("{a}"[::-1])'),
    ),
    Form(
        name="letters in order",
        hardness=2,
        draw=_phrase(2),
        answer=lambda f: "".join(sorted(f["a"] + f["b"])),
        wordings=(
            'Write the letters of "{a}{b}" in alphabetical order.',
            'Sort the letters of "{a}{b}" from a to z, in one word.',
            'What do the letters of "{a}{b}" spell when they are put in alphabetical order?',
        ),
        code='print("".join(sorted("{a}{b}")))',
        slips=('print("".join(sorted("{a}")))', 'print("{a}{b}"[::-1])', 'print("".join(sorted(set("{a}{b}"))))'),
    ),
    Form(
        name="shifted letters",
        hardness=2,
        draw=_phrase(2),
        answer=_shifted,
        wordings=(
            'Shift each letter of "{w}" by {k} places in the alphabet, from z on to a.',
            'Write "{w}" in the Caesar cipher with a shift of {k}.',
            'Replace each letter of "{w}" by the one {k} places later; after z comes a.',
        ),
        code='print("".join(chr((ord(c) - 97 + {k}) % 26 + 97) if c != " " else c for c in "{w}"))',
        slips=(
            'print("".join(chr((ord(c) - 97 - {k}) % 26 + 97) if c != " " else c for c in "{w}"))',
            'print("".join(chr(ord(c) + {k}) if c != " " else c for c in "{w}"))',
        ),
    ),
    Form(
        name="places of letters",
        hardness=3,
        draw=_phrase(4),
        answer=lambda f: sum(i * (ord(c) - 96) for i, c in enumerate(f["w"].replace(" ", ""), 1)),
        wordings=(
            'Number the letters of "{w}" from 1 on, without spaces. Multiply each number by its letter\'s place in the '
            "alphabet (a = 1) and add up.",
            'With a = 1 to z = 26, what is the sum over the letters of "{w}" (no spaces) of position times value?',
            'Weigh each letter of "{w}" (a = 1, b = 2, ...) by its position, spaces left out, and add up.',
        ),
        code='sum(i * (ord(c) - 96) for i, c in enumerate("{w}".replace(" ", ""), 1))',
        tricky=True,
        slips=(
            'sum(i * (ord(c) - 96) for i, c in enumerate("{w}".replace(" ", "")))',
            'sum(ord(c) - 96 for c in "{w}".replace(" ", ""))',
            'sum(i * ord(c) for i, c in enumerate("{w}".replace(" ", ""), 1))',
        ),
        guesses=("{k}",),
    ),
    Form(
        name="base64",
        hardness=4,
        draw=_secret,
        answer=lambda f: hashlib.sha256(f["w"].encode()).hexdigest()[:10],
        wordings=(
            "{s} is a text in Base64. What are the first 10 hexadecimal digits of the SHA-256 of that text?",
            "Decode {s} (Base64) and give the first 10 digits of its SHA-256 in hexadecimal.",
            "Which 10 hexadecimal digits does the SHA-256 of the text that {s} stands for in Base64 begin with?",
        ),
        code='import base64, hashlib\nprint(hashlib.sha256(base64.b64decode("{s}")).hexdigest()[:10])',
        tricky=True,
        slips=(
            'import hashlib\nprint(hashlib.sha256("{s}".encode()).hexdigest()[:10])',
            'import base64, hashlib\nprint(hashlib.md5(base64.b64decode("{s}")).hexdigest()[:10])',
        ),
    ),
)

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _days(years: int) -> Callable[[Random, Level], Facts]:
    """Two days in order, so many years apart at most; ``n`` days; a day of the week."""

    def draw(rng: Random, level: Level) -> Facts:
        first = date(2001, 1, 1) + timedelta(rng.randrange(365 * 25))
        last = first + timedelta(rng.randrange(100, 365 * years))
        day = rng.randrange(7)
        return {"a": first, "b": last, "n": rng.randrange(100, 2000), "w": day, "day": _DAYS[day]}

    return draw


def _moments(rng: Random, level: Level) -> Facts:
    first = datetime(2001, 1, 1) + timedelta(seconds=rng.randrange(10**9))
    return {"a": first, "b": first + timedelta(seconds=rng.randrange(10**6, 10**9))}


def _later(f: F) -> str:
    day = f["a"] + timedelta(f["n"])
    return f"{_DAYS[day.weekday()]} {day}"


_ISO = "from datetime import date as d, timedelta\na, b = d.fromisoformat('{a}'), d.fromisoformat('{b}')\n"
DATE = (
    Form(
        name="days between",
        hardness=1,
        draw=_days(2),
        answer=lambda f: (f["b"] - f["a"]).days,
        wordings=(
            "How many days are there from {a} to {b}?",
            "How many days after {a} is {b}?",
            "Something begins on {a} and ends on {b}. How many days lie between these dates?",
        ),
        code='from datetime import date as d; (d.fromisoformat("{b}") - d.fromisoformat("{a}")).days',
        slips=(
            'from datetime import date as d; (d.fromisoformat("{a}") - d.fromisoformat("{b}")).days',
            'from datetime import date as d; (d.fromisoformat("{b}") - d.fromisoformat("{a}")).days + 1',
        ),
        guesses=("365",),
    ),
    Form(
        name="day after",
        hardness=2,
        draw=_days(2),
        answer=_later,
        wordings=(
            "Which day is {n} days after {a}? Answer like: Monday 2001-01-01.",
            "Count {n} days on from {a}. Which day is it then (like: Monday 2001-01-01)?",
            "Something lasts {n} days from {a} on. Give the day on which it ends, like: Monday 2001-01-01.",
        ),
        code=_ISO + "print((a + timedelta({n})).strftime('%A %Y-%m-%d'))",
        slips=(
            _ISO + "print((a - timedelta({n})).strftime('%A %Y-%m-%d'))",
            _ISO + "print(a.strftime('%A %Y-%m-%d'))",
            _ISO + "print(a + timedelta({n}))",
        ),
    ),
    Form(
        name="days of the week",
        hardness=3,
        draw=_days(25),
        answer=lambda f: sum((f["a"] + timedelta(n)).weekday() == f["w"] for n in range((f["b"] - f["a"]).days + 1)),
        wordings=(
            "How many {day}s are there from {a} to {b}, both included?",
            "Count the {day}s from {a} up to and with {b}.",
            "A club meets each {day}. How many meetings does it have from {a} to {b}, both days included?",
        ),
        code=_ISO + "sum((a + timedelta(n)).weekday() == {w} for n in range((b - a).days + 1))",
        slips=(
            _ISO + "sum((a + timedelta(n)).weekday() == ({w} + 1) % 7 for n in range((b - a).days))",
            _ISO + "(b - a).days // 7",
        ),
        guesses=("52",),
    ),
    Form(
        name="seconds between",
        hardness=4,
        draw=_moments,
        answer=lambda f: int((f["b"] - f["a"]).total_seconds()),
        wordings=(
            "How many seconds pass from {a} to {b}?",
            "It is {a}. How many seconds is it until {b}?",
            "Something lasts from {a} to {b}. How many seconds is that (every day has 24 hours)?",
        ),
        code="from datetime import datetime as d\n"
        'int((d.fromisoformat("{b}") - d.fromisoformat("{a}")).total_seconds())',
        slips=(
            'from datetime import datetime as d\n(d.fromisoformat("{b}") - d.fromisoformat("{a}")).seconds',
            'from datetime import datetime as d\n(d.fromisoformat("{b}") - d.fromisoformat("{a}")).days * 86400',
        ),
        guesses=("86400",),
    ),
)
