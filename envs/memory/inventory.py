"""What became of things and goods, told once; in the end it is asked where they are and how many there are.

    bought, moved, sold      things: "red cup was bought for the attic"
    bought, moved, sold      goods: "5 apples moved from the attic to the barn"

Questions come last, so the state of everything has to be kept: "Where is the red cup?" (a place, or "sold"), "How many
apples are in the attic?" They are about what the last page says nothing of, as far as there is enough of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from agentrl.envs.memory.cases import Asked
from agentrl.envs.memory.levels import Reading as Level
from agentrl.envs.memory.pages import OPEN, asked, paged
from agentrl.envs.memory.words import GOODS, PLACES, names, side_of

SOLD = "sold"
AMOUNTS = (1, 9)
"""Fewest and most goods that are bought at once."""
SALES = 0.12
"""Share of events with things that are sales."""
WORDS_A_LINE = 6

LINES: dict[str, tuple[str, ...]] = {
    "thing bought": ("{x} was bought for the {q}", "a new thing for the {q}, {x}", "the {q} has got {x}"),
    "thing moved": ("{x} moved to the {q}", "{x} was carried to the {q}", "somebody put {x} into the {q}"),
    "thing sold": ("{x} was sold", "a buyer took {x}", "{x} has gone to a new owner"),
    "goods bought": ("{n} {x} were bought for the {q}", "{n} new {x} came to the {q}", "the {q} has got {n} more {x}"),
    "goods moved": (
        "{n} {x} moved from the {p} to the {q}",
        "{n} {x} left the {p} for the {q}",
        "to the {q} went {n} of the {x} of the {p}",
    ),
    "goods sold": ("{n} {x} were sold from the {p}", "buyers of {x} took {n} from the {p}", "the {p} has sold {n} {x}"),
}
"""Kind of event -> its wordings; the first is that of the lower levels."""


class Event(NamedTuple):
    """A line of the stream."""

    what: str
    """A key of `LINES`."""
    thing: str
    """A thing or goods."""
    amount: int = 0
    """How many, of goods."""
    source: str = ""
    """Where from, of goods."""
    target: str = ""
    """Where to; empty for sales."""


class Wanted(NamedTuple):
    """A question."""

    thing: str
    """A thing or goods."""
    place: str = ""
    """Where, of goods; empty: it asks for the place of a thing."""

    @property
    def text(self) -> str:
        """As it is put."""
        return f"How many {self.thing} are in the {self.place}?" if self.place else f"Where is the {self.thing}?"


class State:
    """Where things are, and how many goods, after some events."""

    def __init__(self, events: Sequence[Event] = ()) -> None:
        self.things: dict[str, str] = {}
        """Thing -> its place, or `SOLD`."""
        self.goods: dict[str, dict[str, int]] = {}
        """Goods -> place -> how many."""
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """One event more."""
        if not event.amount:
            self.things[event.thing] = event.target or SOLD
            return
        stock = self.goods.setdefault(event.thing, {})
        for place, more in ((event.source, -event.amount), (event.target, event.amount)):
            if place:
                stock[place] = max(0, stock.get(place, 0) + more)

    def answer(self, wanted: Wanted) -> str:
        """What it says to a question."""
        if wanted.place:
            return str(self.goods.get(wanted.thing, {}).get(wanted.place, 0))
        return self.things.get(wanted.thing, OPEN)

    def written(self, names: Sequence[str]) -> str:
        """All that is known, in the order of these names."""
        return "; ".join(f"{name}: {known}" for name in names if (known := self._known(name)))

    def _known(self, name: str) -> str:
        if name in self.goods:
            held = [f"{place} {count}" for place, count in self.goods[name].items() if count]
            return ", ".join(held) or "none"
        return self.things.get(name, "")


class Stream(NamedTuple):
    """A case: what became of things, and what is asked in the end."""

    pages: tuple[str, ...]
    """What is read."""
    events: tuple[tuple[Event, ...], ...]
    """What each page tells."""
    names: tuple[str, ...]
    """Things and goods that are told of, in the order of notes."""
    wanted: tuple[Wanted, ...]
    """The questions."""
    questions: tuple[Asked, ...]
    """The same, with their answers."""
    passes: bool = True
    """Pages are read once, in order."""

    @property
    def opening(self) -> str:
        count = len(self.questions)
        what = f"{len(self.pages)} pages, then {count} question{'s' if count > 1 else ''}"
        return f"{what}, about {', '.join(self.names)}."

    @property
    def kind(self) -> str:
        return f"inventory-{len(self.questions)}"

    def told(self, pages: Sequence[int]) -> tuple[str, ...]:
        """What the pages of these indices say to each question."""
        state = self._after(pages)
        return tuple(state.answer(wanted) for wanted in self.wanted)

    def state(self, pages: Sequence[int]) -> str:
        """Where everything is after these pages."""
        return self._after(pages).written(self.names)

    def mistakes(self) -> Sequence[str]:
        """Places and numbers."""
        return [*PLACES, *(str(event.amount) for page in self.events for event in page if event.amount)]

    def _after(self, pages: Sequence[int]) -> State:
        return State([event for page in pages for event in self.events[page]])


def write_stream(level: Level, seed: int, *, split: str, world: int) -> Stream:
    """The stream of a seed.

    Args:
        split: ``train``, ``eval`` or ``all``.
        world: Gives other streams for the same seeds.
    """
    rng = random.Random(f"inventory {world} {split} {seed}")
    count = rng.randint(*level.questions)
    things = rng.sample(names("inventory", side_of(split, seed)), max(level.others, count))
    told, places = [*things, *rng.sample(GOODS, level.goods)], rng.sample(PLACES, level.places)
    size = max(level.page_words // WORDS_A_LINE, -(-2 * len(told) // level.pages))
    state, events, untold = State(), [], set(told)
    for left in range(size * level.pages, 0, -1):
        name = rng.choice(told if left > len(untold) else [one for one in told if one in untold])
        event = _happens(state, name, name in things, places, rng)
        state.add(event)
        events.append(event)
        untold.discard(name)
    wanted = _asked(state, events[-size:], rng, count)
    texts = [
        rng.choice(LINES[e.what][: level.wordings]).format(x=e.thing, n=e.amount, p=e.source, q=e.target)
        for e in events
    ]
    pages = tuple(tuple(events[at : at + size]) for at in range(0, len(events), size))
    truths = [state.answer(one) for one in wanted]
    questions = asked([one.text for one in wanted], truths)
    return Stream(paged(texts, level.pages), pages, tuple(told), tuple(wanted), questions)


def _happens(state: State, name: str, is_thing: bool, places: Sequence[str], rng: random.Random) -> Event:
    """Something that can happen now."""
    if not is_thing:
        return _trade(name, state.goods.get(name, {}), places, rng)
    at = state.things.get(name, SOLD)
    if at == SOLD:
        return Event("thing bought", name, target=rng.choice(places))
    if rng.random() < SALES:
        return Event("thing sold", name)
    return Event("thing moved", name, target=rng.choice([place for place in places if place != at]))


def _trade(goods: str, stock: dict[str, int], places: Sequence[str], rng: random.Random) -> Event:
    held = [place for place, count in stock.items() if count]
    what = rng.choice(("bought", "moved", "sold")) if held else "bought"
    if what == "bought":
        return Event("goods bought", goods, rng.randint(*AMOUNTS), target=rng.choice(places))
    source = rng.choice(held)
    count = rng.randint(1, stock[source])
    if what == "sold":
        return Event("goods sold", goods, count, source)
    return Event("goods moved", goods, count, source, rng.choice([place for place in places if place != source]))


def _asked(state: State, newest: Sequence[Event], rng: random.Random, count: int) -> list[Wanted]:
    """Different questions; about what the last page (``newest``) says nothing of, as far as there is enough of it."""
    possible = [Wanted(thing) for thing in state.things]
    possible += [Wanted(goods, place) for goods, stock in state.goods.items() for place in stock]
    fresh = {event.thing for event in newest}
    chosen = rng.sample(possible, len(possible))
    return sorted(chosen, key=lambda wanted: wanted.thing in fresh)[:count]
