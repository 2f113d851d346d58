"""The levels: one row each of what the world is like, what is asked about it, and how hard its computing is.

Level 0 is for tests, 1 is where a tiny policy starts: a year and a place in each passage, one wording, one or two
searches and a difference. From level 2 on there are sums of larger numbers and things that are only described ("the
founder of Iron Foods"), from level 3 on averages, terms of office and lists of works; 4 has ten thousand passages.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentrl.envs.search.levels import LEVELS as SEARCH_LEVELS
from agentrl.envs.search.levels import Level as WorldLevel


@dataclass(frozen=True, kw_only=True)
class Level:
    """What is asked for."""

    world: WorldLevel
    """The encyclopedia, with what questions of the kind ``search`` are like."""
    forms: tuple[str, ...]
    """Forms of computed questions (`forms.FORMS`)."""
    depth: int
    """Most passages on the way to one of the things that are computed with."""
    searches: int
    """Most passages that a computed question takes."""
    python: int
    """Level of tasks of the kind ``compute`` (`agentrl.envs.python.levels`)."""
    kinds: tuple[str, ...]
    """Their kinds."""
    max_turns: int
    """Turn limit of an episode."""

    @property
    def topk(self) -> int:
        """Passages that a search returns."""
        return self.world.topk


_YEARS = ("started", "seat", "opened", "place", "born", "birthplace")
_NUMBERS = ("released", "studio", "founder", "country", "population", "river", "length")
_ALL = SEARCH_LEVELS[4].relations

LEVELS: dict[int, Level] = {
    0: Level(
        world=WorldLevel(
            name="register of a club",
            kinds=("bridge",),
            hops=(1, 1),
            relations=("started", "seat"),
            size=120,
            words=12,
            topk=1,
            max_turns=4,
        ),
        forms=("ago",),
        depth=0,
        searches=1,
        python=0,
        kinds=("arithmetic",),
        max_turns=4,
    ),
    1: Level(
        world=WorldLevel(
            name="register of a town",
            kinds=("bridge",),
            hops=(1, 1),
            relations=_YEARS,
            size=4000,
            words=32,
            years=5,
            topk=1,
            max_turns=5,
        ),
        forms=("ago", "gap", "lead", "age"),
        depth=0,
        searches=2,
        python=0,
        kinds=("arithmetic",),
        max_turns=5,
    ),
    2: Level(
        world=WorldLevel(
            name="register of a country",
            kinds=("bridge", "comparison"),
            hops=(1, 2),
            relations=(*_YEARS, *_NUMBERS),
            size=2500,
            words=28,
            wordings=2,
            topk=2,
            max_turns=7,
        ),
        forms=("ago", "gap", "lead", "age", "total", "excess", "trips"),
        depth=1,
        searches=3,
        python=1,
        kinds=("arithmetic", "theory", "counting"),
        max_turns=7,
    ),
    3: Level(
        world=WorldLevel(
            name="register of a continent",
            kinds=("bridge", "comparison", "temporal", "counting"),
            hops=(2, 3),
            relations=_ALL,
            size=4000,
            words=36,
            wordings=3,
            works=True,
            leaders=True,
            asides=0.3,
            topk=3,
            max_turns=9,
        ),
        forms=("gap", "lead", "age", "total", "excess", "trips", "average", "reign", "span"),
        depth=1,
        searches=3,
        python=2,
        kinds=("arithmetic", "theory", "counting", "table", "text", "date"),
        max_turns=9,
    ),
    4: Level(
        world=WorldLevel(
            name="register of a planet",
            kinds=("bridge", "comparison", "temporal", "counting"),
            hops=(2, 4),
            relations=_ALL,
            size=10000,
            words=64,
            wordings=3,
            works=True,
            leaders=True,
            asides=0.6,
            topk=3,
            max_turns=11,
        ),
        forms=("gap", "lead", "age", "total", "excess", "trips", "average", "reign", "span"),
        depth=2,
        searches=4,
        python=3,
        kinds=("arithmetic", "theory", "counting", "table", "text", "date", "file"),
        max_turns=11,
    ),
}
"""By number."""
