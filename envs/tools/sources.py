"""Where tasks and passages come from: the generated encyclopedia and generated computing tasks, or files."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from agentrl.envs.python.sources import Generated as Computations
from agentrl.envs.search.encyclopedia import SIDES, World
from agentrl.envs.search.passages import Passage
from agentrl.envs.search.questions import draw as draw_question
from agentrl.envs.search.retrievers import Retriever, open_retriever
from agentrl.envs.tools.computed import draw as draw_computed
from agentrl.envs.tools.levels import LEVELS
from agentrl.envs.tools.tasks import Task
from agentrl.errors import ConfigError, UnknownName

SPLITS = ("train", "eval", "all")
TASKS = {"search": 1, "compute": 1, "both": 4}
"""Kinds of tasks, with their weights in the mixture."""
_LOCK = threading.RLock()


class Source(Protocol):
    """Tasks, and the corpus they are about."""

    corpus: Sequence[Passage] | str | None
    """What a retriever of its own searches."""
    key: tuple[Any, ...]
    """Equal for equal corpora."""

    def task(self, seed: int) -> Task:
        """The task of a seed."""
        ...

    def named(self, title: str) -> tuple[str, ...]:
        """Names in the passage of a title, where they are known (for a demonstrator's mistakes)."""
        ...


class Generated:
    """Questions about the generated encyclopedia, computing tasks, and questions that take both.

    Args:
        level: A key of `LEVELS`.
        world: Seed of the encyclopedia.
        split: ``train`` or ``eval``; ``all``: by turns of seeds.
        tasks: Kinds of tasks, separated by commas; ``all`` is all.

    Raises:
        UnknownName: there is no such level or kind.
    """

    def __init__(self, level: int, world: int, split: str, tasks: str) -> None:
        if level not in LEVELS:
            raise UnknownName("level of the tools", str(level), map(str, LEVELS))
        self.level, self.world = LEVELS[level], _opened(level, world)
        self.corpus: Sequence[Passage] | str | None = self.world.passages
        self.key: tuple[Any, ...] = ("generated", level, world)
        self._split, self._kinds, self._draw = split, chosen(tasks), f"tools {level} {world} {split} {tasks}"
        kinds = ",".join(self.level.kinds)
        self._computations = {side: Computations(self.level.python, side, kinds) for side in SIDES}

    def task(self, seed: int) -> Task:
        """The task of a seed."""
        rng = random.Random(f"{self._draw} {seed}")
        side = SIDES[seed % 2] if self._split == "all" else self._split
        (kind,) = rng.choices(self._kinds, [TASKS[kind] for kind in self._kinds])
        if kind == "both":
            return draw_computed(self.world, self.level, side, rng.choice(self.level.forms), rng)
        if kind == "compute":
            return Task.of_computing(self._computations[side].task(rng.randrange(2**31)))
        return Task.of_question(draw_question(self.world, side, rng.choice(self.level.world.kinds), rng))

    def named(self, title: str) -> tuple[str, ...]:
        """Names and numbers in the passage of a title."""
        return self.world.mentions.get(title, ())


def chosen(tasks: str) -> list[str]:
    """The kinds of a setting.

    Raises:
        UnknownName: there is no such kind.
    """
    names = [name.strip() for name in tasks.split(",")]
    if names == ["all"]:
        return list(TASKS)
    for name in names:
        if name not in TASKS:
            raise UnknownName("kind of task", name, ["all", *TASKS])
    return list(dict.fromkeys(names))


def retriever_of(spec: str | None, source: Source) -> Retriever:
    """The retriever that a setting names, one per process and corpus.

    Raises:
        ConfigError: it searches a corpus and there is none; and what `open_retriever` raises.
    """
    if source.corpus is None and (spec or "bm25").partition(":")[0] in ("bm25", "dense", "hybrid"):
        raise ConfigError(
            "No passages come along with these tasks: give --env.corpus PATH, or a server by --env.retriever."
        )
    with _LOCK:
        found = _RETRIEVERS.get((spec, source.key))
        if found is None:
            found = _RETRIEVERS[spec, source.key] = open_retriever(spec, source.corpus)
        return found


_RETRIEVERS: dict[tuple[Any, ...], Retriever] = {}


def _opened(level: int, seed: int) -> World:
    with _LOCK:
        return _world(level, seed)


@functools.lru_cache(maxsize=8)
def _world(level: int, seed: int) -> World:
    return World(LEVELS[level].world, seed)
