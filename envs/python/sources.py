"""Where tasks come from: a generator, or files."""

from __future__ import annotations

import functools
from typing import Protocol

from agentrl.envs.python import verifier
from agentrl.envs.python.datasets import read_tasks
from agentrl.envs.python.levels import LEVELS
from agentrl.envs.python.procedural import chosen_kinds, generate, is_held_out
from agentrl.envs.python.tasks import Task
from agentrl.errors import ConfigError, MissingExtra, UnknownName

SPLITS = ("train", "eval", "all")


class Source(Protocol):
    """Tasks by seed."""

    def task(self, seed: int) -> Task:
        """The task of a seed."""
        ...


class Generated:
    """Tasks of a level."""

    def __init__(self, level: int, split: str, kinds: str) -> None:
        if level not in LEVELS:
            raise UnknownName("level of generated tasks", str(level), map(str, LEVELS))
        self.level, self.split, self.kinds = level, split, chosen_kinds(level, kinds)

    def task(self, seed: int) -> Task:
        """The task of a seed."""
        return generate(self.level, self.split, self.kinds, seed)


class Filed:
    """Tasks of files; seed s takes number ``s % len(tasks)``."""

    def __init__(self, data: str, split: str, kinds: str) -> None:
        found = [task for path in data.split(",") if path.strip() for task in _read(path.strip())]
        known = sorted({task.kind for task in found})
        wanted = [name.strip() for name in kinds.split(",") if name.strip()]
        if wanted != ["all"]:
            for name in wanted or [""]:
                if name not in known:
                    raise UnknownName("kind of task of these files", name, known)
            found = [task for task in found if task.kind in wanted]
        self.tasks = [t for t in found if split == "all" or is_held_out(t.question) == (split == "eval")]
        """Those of the split."""
        if not self.tasks:
            raise ConfigError(f"{data} holds no task of the split '{split}'. Use split=all.")
        formula = next((t.answer for t in self.tasks if t.rule == "math" and verifier.needs_math(t.answer)), None)
        if formula is not None and not verifier.is_installed():
            raise MissingExtra("math-verify", "math")

    def task(self, seed: int) -> Task:
        """The task of a seed."""
        return self.tasks[seed % len(self.tasks)]


def open_source(data: str | None, level: int, split: str, kinds: str) -> Source:
    """The source of some settings.

    Raises:
        UnknownName: no such split, level or kind.
        DataError: a file is missing or broken.
        MissingExtra: answers are formulas, and math-verify is not installed.
    """
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    return Generated(level, split, kinds) if data is None else Filed(str(data), split, kinds)


@functools.lru_cache(maxsize=8)
def _read(path: str) -> tuple[Task, ...]:
    return tuple(read_tasks(path))
