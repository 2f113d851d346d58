"""A generated encyclopedia: a world of named things, what is true of them, and a passage about each.

The world has two parts, ``train`` and ``eval``, with four fifths and one fifth of the things. What is said of a thing
leads to things of its own part only, so a question about one part can neither be asked nor answered in the other; names
of both are made of the same words (`names.py`), and all passages lie in one corpus.
"""

from __future__ import annotations

import functools
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from agentrl.envs.search.levels import Level
from agentrl.envs.search.names import make_names
from agentrl.envs.search.passages import Passage
from agentrl.envs.search.schema import HEADS, RELATIONS, WEIGHTS, WORKS, Relation

SIDES = ("train", "eval")
"""The parts of the world."""
EVAL_SHARE = 5
"""One in so many things is in the part for evaluation."""
FIRST_YEAR, LAST_YEAR = 1800, 1999
LED = ("company", "country")
"""Kinds of things that somebody leads."""


class Term(NamedTuple):
    """A time in which somebody led a company or a country."""

    leader: str
    first: int
    """Year in which it began."""
    last: int
    """Year in which it ended, and the next one began."""


class World:
    """Things by name, and what is true of them; all of it follows from level and seed.

    Args:
        level: How large it is, and what is said of things.
        seed: Any integer.
    """

    def __init__(self, level: Level, seed: int) -> None:
        self.level, self.seed = level, seed
        self._rng = random.Random(f"encyclopedia {level.name} {seed}")
        self.relations: tuple[Relation, ...] = tuple(r for r in RELATIONS.values() if r.name in level.relations)
        """What passages say, in their order."""
        self.kind: dict[str, str] = {}
        """Name of a thing -> its kind (``film``, ``person``, ...)."""
        self.side: dict[str, str] = {}
        """Name of a thing -> its part of the world."""
        self.things: dict[tuple[str, str], list[str]] = {}
        """(part, kind) -> names."""
        self.facts: dict[tuple[str, str], str | int] = {}
        """(name, relation) -> the name or number that it leads to."""
        self.whose: defaultdict[tuple[str, str | int], list[str]] = defaultdict(list)
        """(relation, name or number) -> of whom that is true."""
        self.terms: dict[str, tuple[Term, ...]] = {}
        """Name of a company or country -> who led it, in the order of years."""
        self._name_things()
        for side in SIDES:
            self._connect(side)
        for (name, relation), value in self.facts.items():
            self.whose[relation, value].append(name)
        self.passages: list[Passage] = self._write()
        """One for each thing that something is said of."""

    def value(self, name: str, relation: str) -> str | int | None:
        """What a relation leads to from a thing; None where nothing is known."""
        return self.facts.get((name, relation))

    def said_of(self, kind: str) -> tuple[Relation, ...]:
        """The relations of a kind of things."""
        return tuple(r for r in self.relations if r.subject == kind)

    @functools.cached_property
    def mentions(self) -> dict[str, tuple[str, ...]]:
        """Title of a passage -> names and numbers that it holds, without the title."""
        found = {}
        for passage in self.passages:
            name = passage.title
            values = [
                str(self.facts[name, r.name]) for r in self.said_of(self.kind[name]) if (name, r.name) in self.facts
            ]
            values += [term.leader for term in self.terms.get(name, ())]
            found[name] = tuple(dict.fromkeys([*values, *self.works(name, "director"), *self.works(name, "author")]))
        return found

    def works(self, person: str, relation: str) -> list[str]:
        """Films (relation ``director``) or books (``author``) of a person, where passages list them."""
        return self.whose.get((relation, person), []) if self.level.works else []

    def _name_things(self) -> None:
        kinds = {r.subject for r in self.relations} | {r.object for r in self.relations if not r.is_number}
        present = {kind: weight for kind, weight in WEIGHTS.items() if kind in kinds}
        for kind, weight in present.items():
            count = max(10, round(self.level.size * weight / sum(present.values())))
            names = make_names(kind, count, self.level.words, self._rng)
            held = max(4, count // EVAL_SHARE)
            self.things["eval", kind], self.things["train", kind] = names[:held], names[held:]
            for side in SIDES:
                for name in self.things[side, kind]:
                    self.kind[name], self.side[name] = kind, side

    def _connect(self, side: str) -> None:
        """Draw what is true in one part of the world."""
        for relation in self.relations:
            subjects = self.things[side, relation.subject]
            if relation.name == "capital":
                self._choose_capitals(side)
                continue
            values: Sequence[str | int] = (
                [self._number(relation) for _ in subjects] if relation.is_number else self._objects(relation, side)
            )
            self.facts |= {(name, relation.name): value for name, value in zip(subjects, values, strict=True)}
        if self.level.works:
            self._make_loyal(side)
        if self.level.leaders:
            self.terms |= {n: self._terms(side) for kind in LED for n in self.things[side, kind]}

    def _objects(self, relation: Relation, side: str) -> list[str]:
        """Works are spread by chance where they are counted; all else evenly, so that no answer is frequent."""
        count, stock = len(self.things[side, relation.subject]), self.things[side, relation.object]
        if relation.name in WORKS and self.level.works:
            makers = self._rng.sample(stock, max(2, len(stock) // 4))
            return [self._rng.choice(makers) for _ in range(count)]
        return [name for _ in range(count // len(stock) + 1) for name in self._rng.sample(stock, len(stock))][:count]

    def _number(self, relation: Relation) -> int:
        if relation.object == "year":
            step = self.level.years
            return self._rng.randrange(FIRST_YEAR, LAST_YEAR + 1 - step, step)
        return self._rng.randrange(20, 1000) * (1000 if relation.name == "population" else 1)

    def _choose_capitals(self, side: str) -> None:
        cities: defaultdict[str | int, list[str]] = defaultdict(list)
        for city in self.things[side, "city"]:
            cities[self.facts[city, "country"]].append(city)
        for country in self.things[side, "country"]:
            if cities[country]:
                self.facts[country, "capital"] = self._rng.choice(cities[country])

    def _make_loyal(self, side: str) -> None:
        """Directors work with the studios of their first two films, so that some of their films share one."""
        studios: defaultdict[str | int, list[str | int]] = defaultdict(list)
        for film in self.things[side, "film"]:
            known = studios[self.facts[film, "director"]]
            if len(known) == 2:
                self.facts[film, "studio"] = self._rng.choice(known)
            else:
                known.append(self.facts[film, "studio"])

    def _terms(self, side: str) -> tuple[Term, ...]:
        """Two or three leaders, one after the other."""
        leaders = self._rng.sample(self.things[side, "person"], self._rng.randint(2, 3))
        inner = sorted(self._rng.sample(range(FIRST_YEAR + 10, LAST_YEAR - 10, 5), len(leaders) - 1))
        years = [FIRST_YEAR, *inner, LAST_YEAR]
        return tuple(Term(*term) for term in zip(leaders, years[:-1], years[1:], strict=True))

    def _write(self) -> list[Passage]:
        alike: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name, kind in self.kind.items():
            alike[kind, name.split()[0]].append(name)
        names = [name for name, kind in self.kind.items() if self.said_of(kind)]
        self._rng.shuffle(names)
        return [
            Passage(str(number), name, self._article(name, alike[self.kind[name], name.split()[0]]))
            for number, name in enumerate(names)
        ]

    def _article(self, name: str, alike: list[str]) -> str:
        """A sentence with all facts, then works and leaders, and at times a name that is alike.

        Every sentence but the last repeats the name, so that long passages are found by it as well as short ones.
        """
        said = [
            self._worded(r.clauses).format(v=self.facts[name, r.name])
            for r in self.said_of(self.kind[name])
            if (name, r.name) in self.facts
        ]
        sentences = [f"{name} {self._worded(HEADS[self.kind[name]])} {listed(said)}."]
        for relation, (kind, _) in WORKS.items():
            if works := self.works(name, relation):
                sentences.append(f"The {kind}s of {name}: {listed(works)}.")
        if terms := self.terms.get(name, ()):
            led = listed([f"{t.leader} from {t.first} to {t.last}" for t in terms])
            sentences.append(f"The leaders of {name}: {led}.")
        others = [other for other in alike if other != name]
        if others and self._rng.random() < self.level.asides:
            sentences.append(f"Not to be confused with {self._rng.choice(others)}.")
        return " ".join(sentences)

    def _worded(self, wordings: tuple[str, ...]) -> str:
        return self._rng.choice(wordings[: self.level.wordings])


def listed(parts: list[str]) -> str:
    """An enumeration.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
