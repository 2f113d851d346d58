"""The tasks by name, with their levels and settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any, TypeVar

from agentrl.envs.memory.cases import Task
from agentrl.envs.memory.inventory import write_stream
from agentrl.envs.memory.levels import FILES, INVENTORY, LOG, OBJECTIVES, Objectives, Reading
from agentrl.envs.memory.log import write_log
from agentrl.envs.memory.objectives import Quests
from agentrl.envs.memory.pages import Pages
from agentrl.envs.memory.worlds import open_pools
from agentrl.errors import ConfigError, UnknownName

TASKS = ("objectives", "log", "inventory")
REWARDS = ("success", "share", "published")
MOST_QUESTIONS = 8
R = TypeVar("R", Objectives, Reading)


def open_task(
    task: str,
    level: int,
    split: str,
    world: int,
    sizes: Mapping[str, int | None],
    files: Mapping[str, str | None],
) -> Task[Any]:
    """What is to be done, from a level and the settings that differ from it.

    Args:
        task: One of `TASKS`.
        sizes: Fields of the level's row by their names; None is the level's.
        files: ``data``, ``corpus`` and ``retriever``, of objectives.

    Raises:
        UnknownName: there is no such level.
        ConfigError: a setting is not one of the task, or out of range.
        DataError: a file is missing or broken.
    """
    if task == "objectives":
        row = _sized(task, _row(OBJECTIVES, level) if files["data"] is None else FILES, sizes)
        return Quests(open_pools(row.world, world, split, files["data"], files["corpus"], files["retriever"]), row)
    for name, value in files.items():
        if value is not None:
            raise ConfigError(f"env.{name} is a setting of the task 'objectives', not of '{task}'.")
    if task == "log":
        return Pages(partial(write_log, split=split, world=world), _sized(task, _row(LOG, level), sizes))
    return Pages(partial(write_stream, split=split, world=world), _sized(task, _row(INVENTORY, level), sizes))


def _row(rows: Mapping[int, R], level: int) -> R:
    if level not in rows:
        raise UnknownName("level", str(level), map(str, rows))
    return rows[level]


def _sized(task: str, row: R, sizes: Mapping[str, int | None]) -> R:
    """The level's row with the sizes that are given."""
    given: dict[str, Any] = {name: size for name, size in sizes.items() if size is not None}
    known = {field.name for field in fields(row)}
    for name, size in given.items():
        if name not in known:
            raise ConfigError(f"env.{name} is no setting of the task '{task}'.")
        if size < 1:
            raise ConfigError(f"env.{name}={size} must be 1 or more.")
    if (count := given.get("questions")) is not None:
        if count > MOST_QUESTIONS:
            raise ConfigError(f"env.questions={count}: {MOST_QUESTIONS} are the most.")
        given["questions"] = (count, count)
    return replace(row, **given)
