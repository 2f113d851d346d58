"""Words that generated tasks are made of: short, lower case, of ASCII letters."""

from __future__ import annotations

from agentrl.envs.python.levels import Level

WORDS = tuple(
    "acorn amber apple bacon basil beach berry birch brick broom cabin camel candle carrot cedar cherry clock cloud "
    "comet coral crane daisy donkey eagle ember fern fiddle flint fox garlic ginger goat hazel heron honey iris ivory "
    "jelly kettle lemon lilac linen lotus maple melon mint moss nettle olive onion otter pearl pepper pine plum poppy "
    "quartz rabbit raven saddle salmon silver spoon tulip turtle velvet walnut willow yarrow zebra".split()
)
COLOURS = ("red", "green", "blue", "black", "white")


def vocabulary(level: Level) -> tuple[str, ...]:
    """The words of a level; a tiny policy knows few."""
    return WORDS[::2] if level.digits < 3 else WORDS
