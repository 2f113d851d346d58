"""A small encyclopedia of one fact a passage, for level 1: films and their directors, people and where they were born.

It is that of `search`, cut down to what a tiny policy can learn to copy: names are single words. Many of these small
worlds have the same names, and in each something else is true, so that nothing can be learnt by heart.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from agentrl.envs.memory.words import FILMS, PEOPLE, TOWNS
from agentrl.envs.search.passages import Passage
from agentrl.envs.search.questions import Hop, Question
from agentrl.envs.search.schema import HEADS, RELATIONS, Relation

NAMES = {"film": FILMS, "person": PEOPLE, "city": TOWNS}
FACTS = (RELATIONS["director"], RELATIONS["birthplace"])
PATHS = ((FACTS[0],), (FACTS[1],), FACTS, FACTS)
"""Relations along which questions go, by chance: half of them take two passages."""


class Primer:
    """What is true in one small world, and questions about it.

    Args:
        seed: Any integer.
    """

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"primer {seed}")
        self.seed = seed
        self.facts: dict[str, tuple[Relation, str]] = {}
        """Name -> what is said of it: a relation and the name that it leads to."""
        for relation in FACTS:
            values = _shuffled(NAMES[relation.object], rng)
            self.facts |= {n: (relation, values[i % len(values)]) for i, n in enumerate(NAMES[relation.subject])}
        written = [Passage("", name, self._article(name)) for name in _shuffled(list(self.facts), rng)]
        self.passages = [Passage(str(number), p.title, p.text) for number, p in enumerate(written)]
        """One for each film and person."""

    def question(self, seed: int) -> Question:
        """The question of a seed."""
        rng = random.Random(f"primer {self.seed} {seed}")
        path = rng.choice(PATHS)
        phrase = end = rng.choice(NAMES[path[0].subject])
        hops = []
        for relation in path:
            phrase = relation.phrases[0].format(x=phrase)
            hops.append(Hop(end, end, self.facts[end][1]))
            end = self.facts[end][1]
        text = f"{'Who' if path[-1].object == 'person' else 'What'} is {phrase}?"
        return Question(text, (end,), "bridge", tuple(hops), tuple(hop.title for hop in hops))

    def named(self, title: str) -> tuple[str, ...]:
        """Names in the passage of a title."""
        return (self.facts[title][1],) if title in self.facts else ()

    def _article(self, name: str) -> str:
        relation, value = self.facts[name]
        return f"{name} {HEADS[relation.subject][0]} {relation.clauses[0].format(v=value)}."


def _shuffled(names: Sequence[str], rng: random.Random) -> list[str]:
    return rng.sample(names, len(names))
