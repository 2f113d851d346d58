"""The levels of the generated encyclopedia: one row of numbers each.

Level 0 is for tests, 1 is where a tiny policy starts (two facts a passage, one wording, one or two hops), from 2 on
there are numbers to compare, from 3 on several kinds of questions up to four hops, wordings vary and passages mention
what is easily confused; 4 has ten thousand passages. Level 1 has thousands as well: a policy that can learn a world by
heart does not learn to read it (with 700 passages the embedded one won 40% in training and 8% held out).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Level:
    """How large the world is, what its passages say, and what is asked about it."""

    name: str
    """What to call it."""
    kinds: tuple[str, ...]
    """Kinds of questions (`questions.KINDS`); one that stands twice is asked twice as often."""
    hops: tuple[int, int]
    """Fewest and most passages that a bridge question needs; the most holds for the other kinds as well."""
    relations: tuple[str, ...]
    """What passages say (`schema.RELATIONS`); the things that there are follow from it."""
    size: int
    """Things in the world, each with a name and (where there is something to say) a passage."""
    words: int
    """Most words of each list that names are made of: the fewer, the more names are alike."""
    wordings: int = 1
    """Wordings of a fact in passages and of a phrase in questions."""
    years: int = 1
    """Years are multiples of it."""
    works: bool = False
    """Whether the passages of people list their films and books."""
    leaders: bool = False
    """Whether the passages of companies and countries say who led them when."""
    asides: float = 0.0
    """Share of passages that mention something else whose name is alike."""
    topk: int
    """Passages that a search returns."""
    max_turns: int
    """Turn limit of an episode."""


_PLACES = ("director", "studio", "birthplace", "university", "founder", "seat", "country", "river")
_ALL = (
    *("director", "studio", "released", "author", "publisher", "printed", "birthplace", "university", "born"),
    *("founder", "seat", "started", "place", "opened", "country", "river", "population", "capital", "established"),
    *("length",),
)

LEVELS: dict[int, Level] = {
    0: Level(
        name="leaflet",
        kinds=("bridge",),
        hops=(1, 1),
        relations=("director", "birthplace"),
        size=200,
        words=12,
        topk=1,
        max_turns=3,
    ),
    1: Level(
        name="pocket guide",
        kinds=("bridge",),
        hops=(1, 2),
        relations=_PLACES,
        size=4000,
        words=32,
        topk=1,
        max_turns=4,
    ),
    2: Level(
        name="handbook",
        kinds=("bridge", "comparison"),
        hops=(1, 3),
        relations=(*_PLACES, "released", "born", "started"),
        size=5000,
        words=40,
        wordings=2,
        years=10,
        topk=2,
        max_turns=6,
    ),
    3: Level(
        name="almanac",
        kinds=("bridge", "bridge", "comparison", "temporal", "counting"),
        hops=(2, 4),
        relations=_ALL,
        size=7000,
        words=48,
        wordings=3,
        works=True,
        leaders=True,
        asides=0.3,
        topk=3,
        max_turns=8,
    ),
    4: Level(
        name="encyclopedia",
        kinds=("bridge", "bridge", "comparison", "temporal", "counting"),
        hops=(2, 4),
        relations=_ALL,
        size=10000,
        words=64,
        wordings=3,
        works=True,
        leaders=True,
        asides=0.6,
        topk=3,
        max_turns=10,
    ),
}
"""By number."""
