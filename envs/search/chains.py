"""Ways through the generated world, along relations from a thing to another or to a number, in words and passages."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import NamedTuple

from agentrl.envs.search.encyclopedia import World
from agentrl.envs.search.schema import Relation


class Hop(NamedTuple):
    """One passage on the way to an answer."""

    query: str
    """What finds it."""
    title: str
    """Whose passage it is."""
    answer: str
    """What is to be read there."""


class Chain(NamedTuple):
    """A way through the world from a thing to another or to a number."""

    phrase: str
    """In words: "the birthplace of the director of Amber Lantern"."""
    end: str
    """Name or number that it leads to."""
    hops: tuple[Hop, ...] = ()


def follow(world: World, start: str, path: Sequence[Relation], rng: random.Random) -> Chain | None:
    """Walk along relations; None where something is not known, or where one comes to the same thing twice."""
    chain = Chain(start, start)
    for relation in path:
        value = world.value(chain.end, relation.name)
        if value is None or str(value) in (start, *(hop.title for hop in chain.hops)):
            return None
        hop = Hop(chain.end, chain.end, str(value))
        chain = Chain(worded(world, relation.phrases, rng).format(x=chain.phrase), hop.answer, (*chain.hops, hop))
    return chain


@functools.lru_cache(maxsize=256)
def paths(relations: tuple[Relation, ...], length: int, end: str = "") -> tuple[tuple[Relation, ...], ...]:
    """Sequences of relations that fit; ``end`` is the kind of thing or number that they lead to, if any."""
    if length == 0:
        return ((),)
    last = [r for r in relations if not end or r.object == end]
    return tuple((*path, r) for r in last for path in paths(relations, length - 1, r.subject))


def some_chain(
    world: World, split: str, length: int, kind: str, rng: random.Random, end: str | None = None
) -> Chain | None:
    """A chain by chance that leads to a kind of thing or number (any, if empty); None where this try failed.

    Its end is drawn first, so that all are equally frequent; numbers are drawn with the thing that they are said of.
    """
    found = paths(world.relations, length, kind)
    if not found:
        return None
    path = rng.choice(found)
    way = [r for r in path if not r.is_number]
    at = end or rng.choice(world.things[split, way[-1].object if way else path[0].subject if path else kind])
    for relation in reversed(way):
        before = world.whose.get((relation.name, at))
        if not before:
            return None
        at = rng.choice(before)
    return follow(world, at, path, rng)


def worded(world: World, wordings: Sequence[str], rng: random.Random) -> str:
    """One of the wordings that the level knows."""
    return rng.choice(wordings[: world.level.wordings])


def merged(hops: Sequence[Hop]) -> tuple[Hop, ...]:
    """Each passage once, where it is needed first, with all that is to be read there.

    >>> [(hop.title, hop.answer) for hop in merged([Hop("A", "A", "B"), Hop("B", "B", "1"), Hop("A", "A", "2")])]
    [('A', 'B, 2'), ('B', '1')]
    """
    found: dict[str, Hop] = {}
    for hop in hops:
        known = found.setdefault(hop.title, hop)
        if hop.answer not in known.answer:
            found[hop.title] = known._replace(answer=f"{known.answer}, {hop.answer}")
    return tuple(found.values())
