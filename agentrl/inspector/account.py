"""The credit of a step as an account: what was trained, with which advantages, and how they came about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from agentrl.algorithms import Algorithm, Steps
from agentrl.algorithms.steps import Floats, Ints
from agentrl.inspector.past import Past, own_modules
from agentrl.inspector.trace import Call, watch
from agentrl.seeds import derive_seed
from agentrl.trajectory import Group

Annotate = Callable[[Steps], Steps]
"""Adds to the tokens what only the model knows."""


@dataclass
class Account:
    """The credit of one batch."""

    algo: Algorithm
    steps: Steps
    advantage: Floats
    """[S] or [K]."""
    times: Ints
    """[S] or [K] how often each step or token is trained."""
    calls: list[Call]
    """What led to the advantages, see `agentrl.inspector.trace`."""
    place: list[int] = field(default_factory=list)
    """Where each group of the batch is in the dump."""
    notes: list[str] = field(default_factory=list)
    """What is not exactly as in the run, and why."""

    def tokens_of(self, row: int) -> slice:
        """Where a row's tokens are among all."""
        ends = np.cumsum(self.steps.tokens)
        return slice(int(ends[row] - self.steps.tokens[row]), int(ends[row]))

    def at(self, values: Floats | Ints, row: int) -> Floats | Ints:
        """The values of a row's tokens, or its own value, of a column of S or K entries."""
        if len(values) == len(self.steps):
            return values[row : row + 1]
        return values[self.tokens_of(row)]

    def replaced(self, group: int, trajectory: int) -> bool:
        """Whether the algorithm put a remembered episode in the place of one of the dump."""
        batch = self.steps.groups
        return group in self.place and bool(batch) and trajectory in _replayed(batch[self.place.index(group)])

    def rows_of(self, group: int, trajectory: int) -> Ints:
        """Rows of a trajectory, by its group's place in the dump and its own place in the group."""
        found = [self.place.index(group)] if group in self.place and not self.replaced(group, trajectory) else []
        where = self.steps.where
        return np.flatnonzero((where[:, 0] == found[0]) & (where[:, 1] == trajectory)) if found else np.zeros(0, int)


def _replayed(group: Group) -> Sequence[int]:
    found: Sequence[int] = group.extras.get("replayed", ())
    return found


def account_of(algo: Algorithm, steps: Steps, *, seed: int = 0) -> Account:
    """Assign credit and see how.

    Args:
        algo: The algorithm.
        steps: The batch, with all that the algorithm reads.
        seed: Of `Algorithm.select`.
    """
    sizes = (len(steps), int(steps.tokens.sum()))
    advantage, calls = watch(lambda: np.asarray(algo.credit(steps)), sizes=sizes, modules=own_modules(algo))
    return Account(algo, steps, advantage, algo.select(steps, advantage, seed), calls)


def account_of_step(
    past: Past, step: int, groups: list[Group], annotate: Callable[[list[Group], Steps], Steps] | None = None
) -> Account:
    """The credit of a dumped step.

    Args:
        past: The run.
        step: Its step.
        groups: All that was dumped of it.
        annotate: What adds the columns that only the model knows (`Learner.annotate`); without it they are missing,
            and the engine's entropies stand for the learner's.

    Raises:
        ValueError: the algorithm reads a column that is missing.
    """
    algo = past.config.algo
    batch = past.batch(step, groups)
    steps = Steps.of(batch.groups, batch.history)
    notes = []
    if annotate is not None:
        steps = annotate(batch.groups, steps)
    elif "entropies" in algo.needs and (past.config.engine.name != "torch" or past.config.model.dtype == "bfloat16"):
        notes.append("entropies are the engine's; the run took the learner's")
    if steps.groups is not batch.groups:
        steps = replace(steps, groups=batch.groups)
    found = account_of(algo, steps, seed=derive_seed(past.config.run.seed, "select", step))
    found.place, found.notes = batch.place, notes
    return found
