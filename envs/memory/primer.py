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
        """Lantern Mirror Shadow Dancer Echo Empire Fever Island Journey Kingdom Legend Melody Midnight Mountain Ocean
        Palace Parade Planet Promise Rainbow Riddle Rocket Symphony Thunder""".split(),
        """Abbott Adler Baxter Becker Brandt Carver Chandler Dalton Draper Ellis Foster Garner Gruber Harper Keller
        Lambert Lowell Mercer Nolan Porter Quinn Ramsey Spencer Wagner""".split(),
    ),
    Fact(
        "book",
        "publisher",
        "published by",
        """Almanac Ballad Canvas Clock Compass Crown Diary Door Fable Feather Flame Flute Forest Fountain Garden Harvest
        Ladder Loom Needle Poem Ribbon Saga Tapestry Window""".split(),
        """Acme Apex Argon Atlas Beacon Cobalt Corona Delta Epsilon Fulcrum Helix Kappa Lumen Matrix Nimbus Nova Omega
        Orbit Prisma Quanta Sigma Vector Vertex Zenith""".split(),
    ),
    Fact(
        "town",
        "river",
        "on the river",
        """Aldford Ashby Barlow Belmont Brookby Burley Colby Dalby Denholm Dunmore Elkton Fairby Grafton Harwick Kelby
        Langford Linton Marston Norby Oakham Penrith Radley Selby Whitby""".split(),
        """Arno Avon Clyde Danube Ebro Elbe Ganges Indus Jordan Loire Mersey Neckar Niger Oder Rhone Severn Tagus Thames
        Tiber Tigris Ural Vistula Volga Yukon""".split(),
    ),
    Fact(
        "dish",
        "spice",
        "cooked with",
        """Bisque Broth Chowder Crumble Curry Custard Dumpling Fritter Goulash Gumbo Hotpot Kebab Lasagna Omelette
        Paella Pancake Pilaf Pudding Ragout Ravioli Risotto Samosa Stew Waffle""".split(),
        """anise basil caraway cardamom chili chives cinnamon clove coriander cumin dill fennel ginger juniper lavender
        marjoram mint mustard nutmeg oregano paprika saffron sage thyme""".split(),
    ),
    Fact(
        "team",
        "colour",
        "playing in",
        """Badgers Beavers Bisons Cobras Cougars Cranes Dolphins Eagles Falcons Foxes Hawks Hornets Jaguars Lions Lynxes
        Otters Panthers Pumas Ravens Sharks Stallions Tigers Vipers Wolves""".split(),
        """amber azure beige black blue bronze brown coral crimson gold gray green indigo ivory maroon olive orange pink
        purple red silver violet white yellow""".split(),
    ),
    Fact(
        "band",
        "instrument",
        "famous for the",
        """Avalanche Blizzard Boulder Canyon Cascade Comet Cyclone Ember Geyser Glacier Granite Harbor Horizon Lagoon
        Meteor Monsoon Nebula Oasis Prairie Quasar Savanna Tempest Tornado Volcano""".split(),
        """accordion bagpipe banjo bassoon bugle cello clarinet cornet cymbal fiddle flugelhorn guitar harmonica harp
        kazoo lute mandolin oboe organ piano tuba ukulele viola zither""".split(),
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
