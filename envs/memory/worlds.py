"""Encyclopedias of this environment's own, beside those of the levels of `search`."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable
from functools import partial
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
    size=600,
    words=24,
    topk=1,
    max_turns=4,
)
"""One fact a passage: films and their directors, people and where they were born."""
PRIMERS = {"train": range(32), "eval": range(32, 40)}
"""Seeds of the worlds of a split, among which episodes are spread: what is true in the one is not in the others."""
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
    """

    def __init__(self, level: Level, world: int) -> None:
        self.world = World(level, world)
        """Things and facts."""

    def question(self, seed: int) -> Question:
        """The question of a seed."""
        world = self.world
        rng = random.Random(f"{world.level.name} {world.seed} {seed}")
        return draw(world, rng.choice(SIDES), rng.choice(world.level.kinds), rng)

    def named(self, title: str) -> tuple[str, ...]:
        """Names in the passage of a title."""
        return self.world.mentions.get(title, ())


Pool = tuple[Asking, Retriever]
"""Questions, and what searches for their answers."""
Opener = Callable[[], Pool]
"""Opens a pool when an episode needs it."""


def open_pools(
    level: int | Level, world: int, split: str, data: str | None, corpus: str | None, retriever: str | None
) -> list[Opener]:
    """Pools among which episodes are spread; one, but for encyclopedias of this environment's own.

    Args:
        level: A level of `search`, or an encyclopedia of its own.
        world: Seed; of several encyclopedias all are other ones.
        split: ``train``, ``eval`` or ``all``.
        data, corpus, retriever: As for `search`.

    Raises:
        UnknownName: there is no such retriever.
        ConfigError: a corpus without questions, or what a retriever needs is missing.
        DataError: a file is missing or broken.
    """
    if isinstance(level, Level) and data is None and corpus is None:
        splits = tuple(PRIMERS) if split == "all" else (split,)
        seeds = [seed for name in splits for seed in PRIMERS[name]]
        openers = [partial(_opened, level, world * 1000 + seed, retriever) for seed in seeds]
        openers[0]()  # what is wrong with a setting shows at once
        return [*openers]
    number = level if isinstance(level, int) else min(LEVELS)
    found = open_source(data, corpus, number, world, split, "all")
    shared = shared_retriever(retriever, found, data)
    return [lambda: (found, shared)]


def _opened(level: Level, seed: int, retriever: str | None) -> Pool:
    with _LOCK:
        return _pool(level, seed, retriever)


@functools.lru_cache(maxsize=64)
def _pool(level: Level, seed: int, retriever: str | None) -> Pool:
    source = Own(level, seed)
    return source, open_retriever(retriever, source.world.passages)
