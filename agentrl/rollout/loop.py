"""The one place where environment, renderer and engine meet.

Many episodes (`agentrl.rollout.episode`) run at once as coroutines; environments in their threads, sampling
in the engine. Every await has a deadline. What breaks outside the policy ends that episode and never its
siblings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentrl.engines.base import Engine
from agentrl.renderers.base import Renderer
from agentrl.rollout.branching import play_branching
from agentrl.rollout.context import Context
from agentrl.rollout.episode import Episode
from agentrl.rollout.explore import EntropyBranching, Explore
from agentrl.rollout.worker import WorkerPool
from agentrl.seeds import derive_seed
from agentrl.tokentree import TokenTree
from agentrl.trajectory import Group, Trajectory


@dataclass(frozen=True)
class Limits:
    """Where an episode is cut. Times in seconds."""

    max_turns: int | None = None
    """None takes the environment's own."""
    max_new_tokens: int = 512
    """Sampled tokens of one turn."""
    token_budget: int | None = None
    """Sampled tokens of one episode."""
    max_tool_calls: int | None = None
    """Tool calls of one episode; the turn that would exceed them ends it, and is not carried out (where calls are read
    from the text by the environment, it is)."""
    max_invalid: int | None = None
    """Invalid actions of one episode."""
    episode_s: float = 1800.0
    reset_s: float = 120.0
    step_s: float = 120.0
    sample_s: float = 600.0


@dataclass(frozen=True)
class Task:
    """One task to be tried ``n`` times; all its randomness follows from its two seeds."""

    env_seed: int
    sampling_seed: int
    n: int
    options: dict[str, Any] | None = None


@dataclass
class Rollout:
    """Runs episodes of one environment with one policy."""

    engine: Engine
    renderer: Renderer
    context: Context
    pool: WorkerPool
    env_name: str
    limits: Limits = field(default_factory=Limits)
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    concurrency: int = 256

    async def collect(
        self,
        tasks: Sequence[Task],
        on_end: Callable[[Trajectory], None] | None = None,
        explore: Explore | None = None,
    ) -> list[Group]:
        """Run all episodes of all tasks; groups come back in the order of the tasks.

        Args:
            tasks: What to run.
            on_end: Called with each trajectory as it ends.
            explore: Where episodes start and fork; None: all at the prompt.

        Raises:
            ContextOverflow: a first prompt does not fit the model's context.
            ConfigError: forks by entropy, with an engine that gives none.
        """
        lanes = self.lanes(tasks, explore)
        try:
            async with asyncio.TaskGroup() as together:
                played = [together.create_task(self.play(task, lanes, on_end, explore)) for task in tasks]
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        return [task.result() for task in played]

    def lanes(self, tasks: Sequence[Task], explore: Explore | None = None) -> asyncio.Semaphore:
        """What bounds the episodes in flight; groups that are played at the same time share it."""
        together = max((task.n for task in tasks), default=1) if isinstance(explore, EntropyBranching) else 1
        return asyncio.Semaphore(max(1, self.concurrency // together))

    async def play(
        self,
        task: Task,
        lanes: asyncio.Semaphore,
        on_end: Callable[[Trajectory], None] | None = None,
        explore: Explore | None = None,
    ) -> Group:
        """Run the episodes of one task, as `collect` does. When it is cancelled, so are they."""
        group = Group(task.env_seed, self.env_name, TokenTree(), [])
        ended = on_end or (lambda trajectory: None)

        async def lane(episodes: Awaitable[None]) -> None:
            async with lanes:
                await episodes

        if isinstance(explore, EntropyBranching):
            await lane(play_branching(self, task, group, explore, ended))
            return group
        try:
            async with asyncio.TaskGroup() as together:
                for index in range(task.n):
                    group.trajectories.append(Trajectory(index, derive_seed(task.sampling_seed, index)))
                    together.create_task(lane(self._play(task, group, group.trajectories[-1], ended)))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        return group

    async def _play(
        self, task: Task, group: Group, trajectory: Trajectory, on_end: Callable[[Trajectory], None]
    ) -> None:
        await Episode(self, task, group, trajectory).run()
        on_end(trajectory)
