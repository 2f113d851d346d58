"""A long log of machines, and questions about what happened.

    last     "What is the last mode of north pump?"           what was set last
    first    "Which stopped first, north pump or old gate?"   the order of two events
    count    "How many alarms did north pump raise?"          1 to 6
    sum      "How many litres did north pump use?"

What answers a question stands in lines anywhere in the log, among lines about other machines and other things.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from agentrl.envs.memory.answers import join
from agentrl.envs.memory.cases import Asked, numbered
from agentrl.envs.memory.levels import Reading as Level
from agentrl.envs.memory.pages import OPEN, asked, paged
from agentrl.envs.memory.words import SETTINGS, names, side_of

COUNTS = (1, 6)
"""Fewest and most alarms that are asked for."""
LITRES = tuple(range(10, 100, 10))
TIMES = (2, 4)
"""Fewest and most lines of what is asked for by its last value or its sum."""
WORDS_A_LINE = 5

LINES: dict[str, tuple[str, ...]] = {
    "set": ("{u} set {k} to {v}", "the {k} of {u} became {v}", "{u} now has the {k} {v}"),
    "alarm": ("{u} raised an alarm", "there was an alarm from {u}", "an alarm was raised by {u}"),
    "used": ("{u} used {v} litres", "{v} litres went into {u}", "{u} took {v} litres more"),
    "stopped": ("{u} stopped", "{u} came to a halt", "{u} was shut down"),
}
"""Kind of event -> its wordings; the first is that of the lower levels."""
SAYS = {"last": "set", "first": "stopped", "count": "alarm", "sum": "used"}
"""Kind of question -> the kind of events that answer it."""
QUESTIONS = {
    "last": "What is the last {k} of {u}?",
    "first": "Which stopped first, {u} or {w}?",
    "count": "How many alarms did {u} raise?",
    "sum": "How many litres did {u} use?",
}


class Event(NamedTuple):
    """A line of the log."""

    what: str
    """A key of `LINES`."""
    unit: str
    """The machine."""
    key: str = ""
    """What was set, if anything."""
    value: str = ""
    """What to, or how many litres."""


class Wanted(NamedTuple):
    """A question."""

    kind: str
    """A key of `QUESTIONS`."""
    units: tuple[str, ...]
    """The machine, or both of them."""
    key: str = ""
    """What was set, if it asks for that."""

    @property
    def text(self) -> str:
        """As it is put."""
        return QUESTIONS[self.kind].format(u=self.units[0], w=self.units[-1], k=self.key)

    def meets(self, event: Event) -> bool:
        """Whether an event has to do with the answer."""
        return (SAYS[self.kind], self.key) == (event.what, event.key) and event.unit in self.units

    def answer(self, events: Sequence[Event]) -> str:
        """What these events say, in their order."""
        found = [event for event in events if self.meets(event)]
        if self.kind == "count":
            return str(len(found))
        if self.kind == "sum":
            return str(sum(int(event.value) for event in found))
        if not found:
            return OPEN
        return found[-1].value if self.kind == "last" else found[0].unit


class LogBook(NamedTuple):
    """A case: a log and what is asked about it."""

    pages: tuple[str, ...]
    """What is read."""
    events: tuple[tuple[Event, ...], ...]
    """What each page tells."""
    wanted: tuple[Wanted, ...]
    """The questions."""
    questions: tuple[Asked, ...]
    """The same, with their answers."""
    passes: bool = False
    """Pages can be read at any time."""

    @property
    def opening(self) -> str:
        return f"{len(self.pages)} pages.\n{numbered([question.text for question in self.questions])}"

    @property
    def kind(self) -> str:
        return f"log-{len(self.questions)}"

    def told(self, pages: Sequence[int]) -> tuple[str, ...]:
        """What the pages of these indices say to each question."""
        events = [event for page in pages for event in self.events[page]]
        return tuple(wanted.answer(events) for wanted in self.wanted)

    def state(self, pages: Sequence[int]) -> str:
        """The same as a note."""
        return join(self.told(pages))

    def mistakes(self) -> Sequence[str]:
        """Values and machines of the log."""
        return [event.value or event.unit for page in self.events for event in page]


def write_log(level: Level, seed: int, *, split: str, world: int) -> LogBook:
    """The log of a seed.

    Args:
        split: ``train``, ``eval`` or ``all``.
        world: Gives other logs for the same seeds.
    """
    rng = random.Random(f"log {world} {split} {seed}")
    count = rng.randint(*level.questions)
    units = rng.sample(names("log", side_of(split, seed)), 2 * count + level.others)
    wanted = [_wanted(rng.choice(level.kinds), units[2 * n : 2 * n + 2], rng) for n in range(count)]
    facts = [event for one in wanted for event in _facts(one, rng)]
    size = max(level.page_words // WORDS_A_LINE, -(-2 * len(facts) // level.pages))  # at most half of it is facts
    lines = size * level.pages
    others = [_filler(units, wanted, rng) for _ in range(lines - len(facts))]
    events = rng.sample([*facts, *others], lines)
    texts = [rng.choice(LINES[e.what][: level.wordings]).format(u=e.unit, k=e.key, v=e.value) for e in events]
    told = tuple(tuple(events[at : at + size]) for at in range(0, lines, size))
    truths = [one.answer(events) for one in wanted]
    return LogBook(paged(texts, level.pages), told, tuple(wanted), asked([one.text for one in wanted], truths))


def _wanted(kind: str, units: Sequence[str], rng: random.Random) -> Wanted:
    if kind == "first":
        return Wanted(kind, tuple(units))
    return Wanted(kind, (units[0],), rng.choice(list(SETTINGS)) if kind == "last" else "")


def _facts(wanted: Wanted, rng: random.Random) -> list[Event]:
    """The lines that answer a question."""
    unit, what = wanted.units[0], SAYS[wanted.kind]
    if wanted.kind == "first":
        return [Event(what, unit) for unit in wanted.units]
    if wanted.kind == "count":
        return [Event(what, unit)] * rng.randint(*COUNTS)
    times = rng.randint(*TIMES)
    if wanted.kind == "sum":
        return [Event(what, unit, value=str(rng.choice(LITRES))) for _ in range(times)]
    return [Event(what, unit, wanted.key, value) for value in rng.sample(SETTINGS[wanted.key], times)]


def _filler(units: Sequence[str], wanted: Sequence[Wanted], rng: random.Random) -> Event:
    """A line that has nothing to do with the questions, but may be about the same machines."""
    while True:
        what, unit = rng.choice(list(LINES)), rng.choice(units)
        key = rng.choice(list(SETTINGS)) if what == "set" else ""
        value = rng.choice(SETTINGS[key]) if key else str(rng.choice(LITRES)) if what == "used" else ""
        event = Event(what, unit, key, value)
        if not any(one.meets(event) for one in wanted):
            return event
