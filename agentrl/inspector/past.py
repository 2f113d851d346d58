"""A run as it lies on disk: its steps, what was trained in them, and what the algorithm remembered before each.

Nothing here needs the model or the environment. A dump holds all groups that were collected for a step; which of them
were trained follows from `Algorithm.keep_groups` and `Algorithm.replay`, as in the trainer. What the algorithm
remembered is in the checkpoint of the step before; where that is gone it is made again from an earlier checkpoint
and the dumps since.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agentrl.algorithms import Algorithm, Steps
from agentrl.algorithms.steps import History
from agentrl.config import Config
from agentrl.errors import RunError
from agentrl.run import read_config, read_metrics, read_rollouts, step_of
from agentrl.seeds import derive_seed
from agentrl.settings import load
from agentrl.trajectory import Group


@dataclass(frozen=True)
class Batch:
    """The groups of a step that were trained on."""

    groups: list[Group]
    """With remembered episodes in them, where the algorithm has put some in."""
    place: list[int]
    """Where each of them is in the dump."""
    history: History
    """What the algorithm remembered from earlier steps."""


class Past:
    """A run directory, read only.

    Raises:
        RunError: there is no run in ``path``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        read_config(path)  # says so if this is no run

    @cached_property
    def config(self) -> Config:
        """The run's settings."""
        return load(Config, [], toml=self.path / "config.toml").resolved()

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics."""
        return read_metrics(self.path)

    @cached_property
    def steps(self) -> list[int]:
        """Steps whose rollouts were dumped, ascending."""
        return sorted(int(file.name[5:].split(".")[0]) for file in (self.path / "rollouts").glob("step-*.jsonl.gz"))

    @cached_property
    def checkpoints(self) -> dict[int, Path]:
        """Folders of whole checkpoints by step, ascending."""
        found = sorted((self.path / "checkpoints").glob("step-[0-9]*"), key=step_of)
        return {step_of(folder): folder for folder in found}

    def groups(self, step: int) -> list[Group]:
        """All groups that were collected for a step.

        Raises:
            RunError: they were not dumped, or the file is broken.
        """
        if step not in self.steps:
            there = f"there are those of steps {_ranges(self.steps)}" if self.steps else "there are none"
            raise RunError(
                f"'{self.path}' has no rollouts of step {step}; {there}. They are written unless run.rollouts is off."
            )
        return read_rollouts(self.path / "rollouts" / f"step-{step:06d}.jsonl.gz")

    def batch(self, step: int, groups: Sequence[Group]) -> Batch:
        """What was trained of the groups of a step."""
        history = self.history(step)
        kept = trained(self.config, groups, history)
        seed = derive_seed(self.config.run.seed, "replay", step)
        replayed = self.config.algo.replay([groups[i] for i in kept], history, seed)
        return Batch(list(replayed), kept, history)

    def history(self, step: int) -> History:
        """What the algorithm remembered when it began a step.

        Raises:
            RunError: it cannot be made again: no earlier checkpoint, or dumps between are missing.
        """
        algo = self.config.algo
        if type(algo).remember is Algorithm.remember:
            return {}
        before = [n for n in self.checkpoints if n < step]
        if not before:
            raise RunError(f"'{algo.name}' remembers earlier steps, and '{self.path}' has no checkpoint before {step}.")
        import torch

        saved = torch.load(
            self.checkpoints[before[-1]] / "trainer.pt", map_location="cpu", weights_only=True, mmap=True
        )
        history: History = saved["history"]
        for between in range(before[-1] + 1, step):
            groups = self.groups(between)
            kept = trained(self.config, groups, history)
            seed = derive_seed(self.config.run.seed, "replay", between)
            batch = algo.replay([groups[i] for i in kept], history, seed)
            try:
                algo.remember(Steps.of(batch, history))
            except ValueError as error:  # it reads what only the model knows
                raise RunError(
                    f"What '{algo.name}' remembered before step {step} is not known: {error}. Keep the checkpoint of "
                    f"step {step - 1} (run.save_every, run.keep)."
                ) from None
        return history


def trained(config: Config, groups: Sequence[Group], history: History) -> list[int]:
    """Places of the groups that a step trains on, as `Trainer.worth_training` chooses them."""
    keep = np.asarray(config.algo.keep_groups(Steps.of(groups, history)))
    places = np.flatnonzero(keep).tolist()
    if config.algo.pad:
        places += np.flatnonzero(~keep).tolist()
    return [int(i) for i in places[: config.rollout.groups]]


def own_modules(algo: Algorithm) -> tuple[str, ...]:
    """The modules that an algorithm's classes are written in."""
    return tuple(cls.__module__ for cls in type(algo).__mro__ if issubclass(cls, Algorithm))


def decoder(past: Past) -> Any:
    """The run's tokenizer, or None where no checkpoint is left."""
    for folder in reversed(past.checkpoints.values()):
        if (folder / "tokenizer_config.json").is_file():
            return importlib.import_module("transformers").AutoTokenizer.from_pretrained(folder)
    return None


def _ranges(steps: Sequence[int]) -> str:
    """``1-3, 7`` of 1, 2, 3, 7."""
    out: list[list[int]] = []
    for step in steps:
        if out and out[-1][1] == step - 1:
            out[-1][1] = step
        else:
            out.append([step, step])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in out)
