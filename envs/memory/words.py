"""Words of logs and inventories. Names of units and things are made of two, and split between training and evaluation.

All words stand in both splits; a name, that is a pair of words, stands in one only.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

SIDES = ("train", "eval")
EVAL_SHARE = 5
"""One name in so many is for evaluation."""

WHERE = """north south east west upper lower inner outer front rear left right old new main spare first second
third fourth deep high long short""".split()
UNITS = """pump valve gate lamp mixer crane door heater boiler belt press siren turbine scale tank furnace elevator
winch sluice fan motor filter burner grinder""".split()
SETTINGS: dict[str, list[str]] = {
    "mode": "quiet boost eco manual auto safe test night idle turbo".split(),
    "operator": "Ada Boris Clara Edwin Fiona Gustav Hanna Igor Julia Karl".split(),
    "signal": "red green blue white amber violet black pink gray orange".split(),
}
"""What can be set -> its values."""

LOOKS = """red green blue white black gray brown golden silver wooden iron glass paper round square heavy light broken
painted polished dusty striped tiny giant""".split()
THINGS = """cup rope lamp chair clock book drum mirror basket hammer kettle vase ladder bottle blanket candle helmet
saddle carpet anvil barrel globe trumpet wheel""".split()
GOODS = """apples bricks candles coins eggs feathers grapes hats jars keys lemons maps nails onions plates ropes shells
tiles""".split()
PLACES = "attic cellar garage kitchen garden office stable tower chapel library harbor barn".split()


@functools.lru_cache(maxsize=8)
def names(first: str, side: str) -> tuple[str, ...]:
    """All names of units (``log``) or things (``inventory``) of one side."""
    one, two = (WHERE, UNITS) if first == "log" else (LOOKS, THINGS)
    held = SIDES.index(side)
    return tuple(
        f"{a} {b}"
        for i, a in enumerate(one)
        for j, b in enumerate(two)
        if ((i * 7 + j * 3) % EVAL_SHARE == 0) == bool(held)
    )


def side_of(split: str, seed: int) -> str:
    """``train`` or ``eval``; of ``all`` by turns of seeds."""
    return SIDES[seed % 2] if split == "all" else split


def worded(wordings: Sequence[str], most: int) -> Sequence[str]:
    """The wordings that a level knows."""
    return wordings[:most]
