"""Evaluation: play what a suite asks for and has not been played yet, many episodes at once.

Each episode that ends is handed on at once (`agentrl.evaluation.store` appends it), so an evaluation that was killed
is one that has less left to do. An episode that broke outside the policy is played again the next time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from agentrl.env import EVAL_SEED_BASE
from agentrl.errors import EngineError
from agentrl.evaluation.players import Job, Player
from agentrl.evaluation.record import Outcome, outcomes_of
from agentrl.evaluation.suites import Part, Suite
from agentrl.evaluation.summary import Summary, by_member
from agentrl.rollout.loop import Task
from agentrl.seeds import derive_seed
from agentrl.trajectory import Stage

__all__ = ["Summary", "by_member", "held_out", "jobs_of", "missing", "outcomes_of", "play"]


def jobs_of(suite: Suite, seed: int = 0) -> list[Job]:
    """All episodes of a suite, in order; the members of a mixture take turns."""
    return [
        Job(part, task, attempt, seed, members[task % len(members)])
        for part in suite.parts
        for members in [_members(part)]
        for task in range(part.first, part.first + part.tasks)
        for attempt in range(part.attempts)
    ]


def held_out(episodes: int, seed: int, members: Sequence[str] = ()) -> list[Task]:
    """Evaluation tasks, one episode each; the members of a mixture take turns."""
    return [
        Task(
            EVAL_SEED_BASE + i,
            derive_seed(seed, "eval", i),
            1,
            {"member": members[i % len(members)]} if members else None,
        )
        for i in range(episodes)
    ]


def missing(jobs: Sequence[Job], found: Mapping[tuple[str, int, int], Outcome]) -> list[Job]:
    """Those that have not been played, or broke."""
    return [job for job in jobs if (one := found.get(job.key)) is None or one.failure is not None]


async def play(
    jobs: Collection[Job],
    players: Mapping[str, Player],
    on_end: Callable[[Outcome], None],
    *,
    concurrency: int = 128,
    give_up: int = 0,
) -> None:
    """Play episodes; ``on_end`` gets each outcome as it comes.

    Args:
        players: By name of the part.
        concurrency: Episodes at once.
        give_up: So many failures one after another end the evaluation; 0: none do. Prompts that do not fit the
            policy's context say nothing about what stands outside, and are not among them.

    Raises:
        ConfigError: see `Player.play`. What ended before has been handed on.
        EngineError: given up.
    """
    waiting = deque(jobs)
    failed = 0

    async def lane() -> None:
        # From the end of one episode to the start of the next there is no await, so a deterministic engine
        # never sees a gap.
        nonlocal failed
        while waiting:
            job = waiting.popleft()
            outcome = await players[job.part.name].play(job)
            on_end(outcome)
            counts = outcome.failure is not None and outcome.failure.stage != Stage.PARSE
            failed = failed + 1 if counts else 0
            if outcome.failure and give_up and failed >= give_up:
                raise EngineError(
                    f"{failed} episodes in a row broke outside the policy, the last one at the stage "
                    f"'{outcome.failure.stage}': {outcome.failure.error} Mend it and run the same command again; it "
                    f"goes on with what is missing. (--trial.give_up 0 never gives up.)"
                )

    try:
        async with asyncio.TaskGroup() as lanes:
            for _ in range(min(concurrency, len(jobs))):
                lanes.create_task(lane())
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


def _members(part: Part) -> list[str]:
    return list(part.env_settings().shares) or [""]
