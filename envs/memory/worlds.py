"""Which encyclopedia, or file, questions come from, and what searches it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from agentrl.envs.memory.primer import Primer
from agentrl.envs.search.levels import LEVELS
from agentrl.envs.search.questions import Question
from agentrl.envs.search.retrievers import Retriever, open_retriever
from agentrl.envs.search.sources import open_source, shared_retriever

PRIMER = "primer"
"""The name of the encyclopedia that is this environment's own (`agentrl.envs.memory.primer`)."""
PRIMERS = {"train": range(64), "eval": range(64, 80)}
"""Seeds of its worlds, among which the episodes of a split are spread."""
_LOCK = threading.Lock()


class Asking(Protocol):
    """Questions, as this environment needs them."""

    def question(self, seed: int) -> Question:
        """The question of a seed."""
        ...

    def named(self, title: str) -> tuple[str, ...]:
        """Names in the passage of a title, where they are known."""
        ...


Pool = tuple[Asking, Retriever]
"""Questions, and what searches for their answers."""
Opener = Callable[[], Pool]
"""Opens a pool when an episode needs it."""


def open_pools(
    level: int | str, world: int, split: str, data: str | None, corpus: str | None, retriever: str | None
) -> list[Opener]:
    """Pools among which episodes are spread; one, but for the primer.

    Args:
        level: A level of `search`, or `PRIMER`.
        world: Seed; of the primer's worlds all are others then.
        split: ``train``, ``eval`` or ``all``.
        data, corpus, retriever: As for `search`.

    Raises:
        UnknownName: there is no such retriever.
        ConfigError: a corpus without questions, or what a retriever needs is missing.
        DataError: a file is missing or broken.
    """
    if level == PRIMER and data is None and corpus is None:
        splits = tuple(PRIMERS) if split == "all" else (split,)
        seeds = [seed for name in splits for seed in PRIMERS[name]]
        openers = [partial(_opened, world * 1000 + seed, retriever) for seed in seeds]
        openers[0]()  # what is wrong with a setting shows at once
        return [*openers]
    number = level if isinstance(level, int) else min(LEVELS)
    found = open_source(data, corpus, number, world, split, "all")
    shared = shared_retriever(retriever, found, data)
    return [lambda: (found, shared)]


def _opened(seed: int, retriever: str | None) -> Pool:
    with _LOCK:
        return _primer(seed, retriever)


@functools.lru_cache(maxsize=128)
def _primer(seed: int, retriever: str | None) -> Pool:
    source = Primer(seed)
    return source, open_retriever(retriever, source.passages)
