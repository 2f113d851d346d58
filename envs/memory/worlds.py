"""Encyclopedias of this environment's own, beside those of the levels of `search`."""

from __future__ import annotations

import functools
import random
import threading
from typing import Protocol

from agentrl.envs.search.encyclopedia import SIDES, World
from agentrl.envs.search.levels import LEVELS, Level
from agentrl.envs.search.questions import Question, draw
from agentrl.envs.search.retrievers import Retriever, open_retriever
from agentrl.envs.search.sources import open_source, shared_retriever

PRIMER = Level(
    name="primer",
    kinds=("bridge",),
    hops=(1, 2),
    relations=("director", "birthplace"),
    size=1900,
    words=28,
    topk=1,
    max_turns=4,
)
"""One fact a passage: films and their directors, people and where they were born."""
_LOCK = threading.Lock()


class Asking(Protocol):
    """Questions, as this environment needs them."""

    def question(self, seed: int) -> Question:
        """The question of a seed."""
        ...

    def named(self, title: str) -> tuple[str, ...]:
        """Names in the passage of a title, where they are known."""
        ...


class Own:
    """Questions about an encyclopedia that is no level of `search`.

    Args:
        level: What it is like.
        world: Seed of the encyclopedia.
        split: ``train`` or ``eval``: one of its two parts; ``all``: by turns of seeds.
    """

    def __init__(self, level: Level, world: int, split: str) -> None:
        self.world = open_world(level, world)
        """Things and facts."""
        self._split, self._draw = split, f"{level.name} {world} {split}"

    def question(self, seed: int) -> Question:
        """The question of a seed."""
        rng = random.Random(f"{self._draw} {seed}")
        split = SIDES[seed % 2] if self._split == "all" else self._split
        return draw(self.world, split, rng.choice(self.world.level.kinds), rng)

    def named(self, title: str) -> tuple[str, ...]:
        """Names in the passage of a title."""
        return self.world.mentions.get(title, ())


def open_world(level: Level, seed: int) -> World:
    """The encyclopedia of a level and a seed, made once per process."""
    with _LOCK:
        return _world(level, seed)


def open_pool(
    level: int | Level, world: int, split: str, data: str | None, corpus: str | None, retriever: str | None
) -> tuple[Asking, Retriever]:
    """Questions and what searches for their answers, from a file where ``data`` names one.

    Raises:
        UnknownName: there is no such retriever.
        ConfigError: a corpus without questions, or what a retriever needs is missing.
        DataError: a file is missing or broken.
    """
    if isinstance(level, Level) and data is None and corpus is None:
        source = Own(level, world, split)
        with _LOCK:
            return source, _retriever(level, world, retriever)
    number = level if isinstance(level, int) else min(LEVELS)
    found = open_source(data, corpus, number, world, split, "all")
    return found, shared_retriever(retriever, found, data)


@functools.lru_cache(maxsize=8)
def _world(level: Level, seed: int) -> World:
    return World(level, seed)


@functools.lru_cache(maxsize=8)
def _retriever(level: Level, seed: int, spec: str | None) -> Retriever:
    return open_retriever(spec, _world(level, seed).passages)
