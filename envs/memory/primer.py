"""A small encyclopedia for level 1, where a tiny policy starts: one fact a passage, names of one word.

Six kinds of things, and one thing to know about each of them: the director of a film, the river of a town. Many of
these small worlds have the same names, and in each something else is true, so that nothing can be learnt by heart.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from agentrl.envs.search.passages import Passage
from agentrl.envs.search.questions import Hop, Question


class Fact(NamedTuple):
    """What there is to know about a kind of things."""

    kind: str
    """What things of the kind are called."""
    noun: str
    """What is asked for."""
    clause: str
    """What the passage says, before the name that is asked for."""
    names: list[str]
    """The things."""
    values: list[str]
    """What is asked for, by name."""


FACTS = (
    Fact(
        "film",
        "director",
        "directed by",
        """Dancer Echo Fever Island Kingdom Lantern Legend Midnight Mirror Mountain Palace Parade Promise
        Rainbow Rocket Symphony""".split(),
        """Abbott Adler Becker Brandt Chandler Dalton Ellis Foster Gruber Harper Lambert Lowell Nolan
        Porter Ramsey Spencer""".split(),
    ),
    Fact(
        "book",
        "publisher",
        "published by",
        """Almanac Ballad Clock Compass Diary Door Feather Flame Forest Fountain Harvest Ladder Needle Poem
        Saga Tapestry""".split(),
        """Acme Apex Atlas Beacon Corona Delta Fulcrum Helix Lumen Matrix Nova Omega Prisma Quanta Vector
        Vertex""".split(),
    ),
    Fact(
        "town",
        "river",
        "on the river",
        """Aldford Ashby Belmont Brookby Colby Dalby Dunmore Elkton Grafton Harwick Langford Linton Norby
        Oakham Radley Selby""".split(),
        """Arno Avon Danube Ebro Ganges Indus Loire Mersey Niger Oder Severn Tagus Tiber Tigris Vistula
        Volga""".split(),
    ),
    Fact(
        "dish",
        "spice",
        "cooked with",
        """Bisque Broth Crumble Curry Dumpling Fritter Gumbo Hotpot Lasagna Omelette Pancake Pilaf Ragout
        Ravioli Samosa Stew""".split(),
        """anise basil cardamom chili cinnamon clove cumin dill ginger juniper marjoram mint nutmeg oregano
        saffron sage""".split(),
    ),
    Fact(
        "team",
        "colour",
        "playing in",
        """Badgers Beavers Cobras Cougars Dolphins Eagles Foxes Hawks Jaguars Lions Otters Panthers Ravens
        Sharks Tigers Vipers""".split(),
        """amber azure black blue brown coral gold gray indigo ivory olive orange purple red violet white""".split(),
    ),
    Fact(
        "band",
        "instrument",
        "famous for the",
        """Avalanche Blizzard Canyon Cascade Cyclone Ember Glacier Granite Horizon Lagoon Monsoon Nebula
        Prairie Quasar Tempest Tornado""".split(),
        """accordion bagpipe bassoon bugle clarinet cornet fiddle flugelhorn harmonica harp lute mandolin
        organ piano ukulele viola""".split(),
    ),
)
"""All words are different, so that a name tells what it is a name of."""


class Primer:
    """What is true in one small world, and questions about it.

    Args:
        seed: Any integer.
    """

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"primer {seed}")
        self.seed = seed
        self.facts: dict[str, tuple[Fact, str]] = {}
        """Name -> what there is to know about it: the kind of fact, and the name that is asked for."""
        for fact in FACTS:
            values = rng.sample(fact.values, len(fact.values))
            self.facts |= {name: (fact, value) for name, value in zip(fact.names, values, strict=True)}
        names = rng.sample(list(self.facts), len(self.facts))
        self.passages = [Passage(str(number), name, self._article(name)) for number, name in enumerate(names)]
        """One for each thing."""

    def question(self, seed: int) -> Question:
        """The question of a seed; its kind is that of the fact that it asks for."""
        rng = random.Random(f"primer {self.seed} {seed}")
        fact = rng.choice(FACTS)
        name = rng.choice(fact.names)
        value = self.facts[name][1]
        text = f"{'Who' if fact.noun == 'director' else 'What'} is the {fact.noun} of {name}?"
        return Question(text, (value,), fact.noun, (Hop(name, name, value),), (name,))

    def named(self, title: str) -> tuple[str, ...]:
        """Names in the passage of a title."""
        return (self.facts[title][1],) if title in self.facts else ()

    def _article(self, name: str) -> str:
        fact, value = self.facts[name]
        return f"{name} is a {fact.kind} {fact.clause} {value}."
