"""Where questions and passages come from: the generated encyclopedia, or files. Opened once per process."""

from __future__ import annotations

import functools
import random
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from agentrl.envs.search.datasets import Dataset, is_held_out, read_questions
from agentrl.envs.search.encyclopedia import World
from agentrl.envs.search.levels import LEVELS
from agentrl.envs.search.passages import Passage, corpus_files
from agentrl.envs.search.questions import KINDS, Question, draw
from agentrl.envs.search.retrievers import Retriever, open_retriever
from agentrl.errors import ConfigError, UnknownName

SPLITS = ("train", "eval", "all")
_LOCK = threading.RLock()


class Source(Protocol):
    """Questions, and what they are about."""

    corpus: Sequence[Passage] | str | None
    """What a retriever of its own searches."""

    def question(self, seed: int) -> Question:
        """The question of a seed."""
        ...

    def named(self, title: str) -> tuple[str, ...]:
        """Names in the passage of a title, where they are known (for a demonstrator's mistakes)."""
        ...


class Generated:
    """Questions about the generated encyclopedia.

    Args:
        level: A key of `LEVELS`.
        world: Seed of the encyclopedia.
        split: ``train`` or ``eval``: one of the two parts of the world; ``all``: by turns of seeds.
        kinds: Kinds of questions, separated by commas; ``all`` is all of the level.

    Raises:
        UnknownName: there is no such level or kind.
    """

    def __init__(self, level: int, world: int, split: str, kinds: str) -> None:
        self.world = open_world(level, world)
        """Things and facts."""
        self.corpus: Sequence[Passage] = self.world.passages
        self._split, self._draw = split, f"search {level} {world} {split} {kinds}"
        chosen = [k.strip() for k in kinds.split(",")]
        self._kinds = LEVELS[level].kinds if chosen == ["all"] else tuple(chosen)
        for name in self._kinds:
            if name not in KINDS:
                raise UnknownName("kind of question", name, KINDS)

    def question(self, seed: int) -> Question:
        rng = random.Random(f"{self._draw} {seed}")
        split = ("train", "eval")[seed % 2] if self._split == "all" else self._split
        return draw(self.world, split, rng.choice(self._kinds), rng)

    def named(self, title: str) -> tuple[str, ...]:
        return self.world.mentions.get(title, ())


class Filed:
    """Questions from a file.

    Args:
        data: The file (`agentrl.envs.search.datasets`).
        corpus: A file or folder of passages; None for those that come along with the questions.
        split: ``train``, ``eval`` (one question in five, by a hash), or ``all``.
        kinds: Kinds of questions, as the file calls them, separated by commas; or ``all``.

    Raises:
        DataError: a file is missing or broken.
        ConfigError: nothing in the file is of this kind and split.
    """

    def __init__(self, data: str, corpus: str | None, split: str, kinds: str) -> None:
        file = Path(data).expanduser()
        found = _dataset(data, file.stat().st_mtime_ns if file.is_file() else 0)
        self.corpus: Sequence[Passage] | str | None = corpus or found.passages or None
        chosen = {k.strip() for k in kinds.split(",")} - {"all"}
        known = {q.kind for q in found.questions}
        for name in sorted(chosen - known):
            raise UnknownName("kind of question", name, known, hint=f"(in {data})")
        self.questions = [
            q
            for q in found.questions
            if (not chosen or q.kind in chosen) and (split == "all" or is_held_out(q) == (split == "eval"))
        ]
        """Those of the split and the kinds, in the order of the file."""
        if not self.questions:
            raise ConfigError(f"None of the {len(found.questions)} questions of {data} is of the split '{split}'.")

    def question(self, seed: int) -> Question:
        return self.questions[seed % len(self.questions)]

    def named(self, title: str) -> tuple[str, ...]:
        return ()


def open_world(level: int, seed: int) -> World:
    """The encyclopedia of a level and a seed, made once per process.

    Raises:
        UnknownName: there is no such level.
    """
    if level not in LEVELS:
        raise UnknownName("level of the generated encyclopedia", str(level), map(str, LEVELS))
    with _LOCK:
        return _world(level, seed)


def open_source(
    data: str | None, corpus: str | None, level: int, world: int, split: str, kinds: str
) -> Generated | Filed:
    """Questions from a file where ``data`` names one, else of the generated encyclopedia.

    Raises:
        UnknownName: a split, level or kind is not known.
        ConfigError: there are no questions of this kind, or a corpus is given for the generated world.
        DataError: a file is missing or broken.
    """
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    if data is not None:
        file = Path(data).expanduser()
        with _LOCK:
            return _filed(file.stat().st_mtime_ns if file.is_file() else 0, data, corpus, split, kinds)
    if corpus is not None:
        raise ConfigError("The generated questions are about a corpus of their own: give --env.data with --env.corpus.")
    return Generated(level, world, split, kinds)


def shared_retriever(spec: str | None, source: Generated | Filed, data: str | None) -> Retriever:
    """The retriever that a setting names, one per process and corpus.

    Raises:
        ConfigError: it searches a corpus and there is none; and what `open_retriever` raises.
    """
    if source.corpus is None and re.split("[:#]", spec or "bm25")[0].strip() in ("bm25", "dense", "hybrid"):
        raise ConfigError(
            f"No passages come along with {data}: give --env.corpus PATH, or a server by --env.retriever."
        )
    key: tuple[Any, ...]
    if isinstance(source, Generated):
        key = (source.world.level.name, source.world.seed)
    else:
        files = corpus_files(source.corpus) if isinstance(source.corpus, str) else [Path(str(data)).expanduser()]
        key = tuple((str(f.resolve()), f.stat().st_mtime_ns) for f in files)
    with _LOCK:
        found = _RETRIEVERS.get((spec, key))
        if found is None:
            found = _RETRIEVERS[spec, key] = open_retriever(spec, source.corpus)
        return found


_RETRIEVERS: dict[tuple[Any, ...], Retriever] = {}


@functools.lru_cache(maxsize=8)
def _world(level: int, seed: int) -> World:
    return World(LEVELS[level], seed)


@functools.lru_cache(maxsize=8)
def _dataset(data: str, modified: int) -> Dataset:
    return read_questions(data)


@functools.lru_cache(maxsize=16)
def _filed(modified: int, data: str, corpus: str | None, split: str, kinds: str) -> Filed:
    return Filed(data, corpus, split, kinds)
