"""Who plays an episode of an evaluation and says what came of it.

`RolloutPlayer` plays a model, or an endpoint, through the very rollout loop that training uses; `TextPlayer` plays a
text policy (`agentrl.evaluation.policies`). Neither raises for what breaks outside the policy: that is a `Failure` of
the outcome, with its stage.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

import numpy as np

from agentrl.env import StepResult, TextEnv, check_reset, check_step
from agentrl.errors import AgentRLError, ConfigError, ContextOverflow
from agentrl.evaluation.policies import TextPolicy
from agentrl.evaluation.record import Outcome, Usage, outcome_of, tokens_read, tokens_said
from agentrl.evaluation.recording import Recording
from agentrl.evaluation.suites import Part
from agentrl.rollout.episode import Episode
from agentrl.rollout.loop import Limits, Rollout, Task
from agentrl.rollout.worker import EnvWorker, WorkerPool
from agentrl.seeds import derive_seed
from agentrl.tokentree import TokenTree
from agentrl.trajectory import Failure, Group, Stage, StopReason, Trajectory, Turn

OVERFLOW = f"{ContextOverflow.__name__}:"


@dataclass(frozen=True)
class Job:
    """One episode to be played."""

    part: Part
    task: int
    attempt: int
    seed: int
    """The command's, from which sampling follows."""
    member: str = ""
    """Which environment of a mixture; empty where there is none."""

    @property
    def key(self) -> tuple[str, int, int]:
        """As `Outcome.key`."""
        return self.part.name, self.task, self.attempt

    def as_task(self) -> Task:
        """For the rollout loop."""
        options = {"member": self.member} if self.member else None
        return Task(self.part.seed(self.task), derive_seed(self.seed, "eval", self.task), 1, options)


class Player(Protocol):
    """Plays one part of a suite."""

    async def play(self, job: Job) -> Outcome:
        """Play an episode.

        Raises:
            ConfigError: the evaluation cannot go on as it was asked for.
        """
        ...


@dataclass
class RolloutPlayer:
    """A model, or whatever stands behind an engine. Its rollout's context must be a
    `agentrl.evaluation.recording.Recorded`."""

    rollout: Rollout
    usage: Callable[[Group, Trajectory], Usage] | None = None
    """What an episode consumed; None: as many tokens as its tree holds."""
    fatal: Callable[[], AgentRLError | None] = lambda: None
    """An error of the engine after which no episode can be played."""

    async def play(self, job: Job) -> Outcome:
        started = time.perf_counter()
        task = job.as_task()
        group = Group(task.env_seed, job.part.env, TokenTree(), [])
        trajectory = Trajectory(job.attempt, derive_seed(task.sampling_seed, job.attempt))
        group.trajectories.append(trajectory)
        episode = Episode(self.rollout, task, group, trajectory)
        reader = cast(Recording, episode.reader)
        try:
            await episode.run()
        except ContextOverflow as error:  # of the first prompt: this policy cannot play this task
            trajectory.stop, trajectory.failure = StopReason.FAILED, Failure(Stage.PARSE, f"{OVERFLOW} {error}")
        if fatal := self.fatal():
            raise fatal
        _overflow(trajectory)
        usage = self.usage or (lambda g, t: Usage(tokens_said(g, t), tokens_read(g, t)))
        return outcome_of(
            trajectory,
            part=job.part.name,
            task=job.task,
            seed=task.env_seed,
            usage=usage(group, trajectory),
            member=group.member,
            kind=group.kind,
            opening=group.task,
            sent=reader.given(len(trajectory.turns)),
            seconds=time.perf_counter() - started,
        )


def _overflow(trajectory: Trajectory) -> None:
    """An engine that finds a prompt too long says so by `ContextOverflow`: the context is full, nothing broke."""
    failure = trajectory.failure
    if failure is None or not failure.error.startswith(OVERFLOW):
        return
    if trajectory.turns:
        trajectory.stop, trajectory.failure = StopReason.CONTEXT_FULL, None
    else:
        trajectory.failure = Failure(Stage.PARSE, failure.error)


class _Broke(Exception):
    def __init__(self, stage: Stage, error: str) -> None:
        super().__init__(error)
        self.failure = Failure(stage, error)


@dataclass
class TextPlayer:
    """A text policy in the environment's own thread."""

    make: Callable[[], TextPolicy]
    pool: WorkerPool
    limits: Limits

    async def play(self, job: Job) -> Outcome:
        started = time.perf_counter()
        task = job.as_task()
        trajectory = Trajectory(job.attempt, task.sampling_seed)
        sent: list[list[str]] = []
        told: dict[str, str] = {"member": job.member}
        worker = self.pool.take()
        try:
            async with asyncio.timeout(self.limits.episode_s):
                await self._run(worker, job, task, trajectory, sent, told)
        except _Broke as broke:
            trajectory.stop, trajectory.failure = StopReason.FAILED, broke.failure
        except TimeoutError:
            trajectory.stop = StopReason.DEADLINE
        except BaseException:
            trajectory.stop = StopReason.CANCELLED
            raise
        finally:
            self.pool.give(worker, healthy=trajectory.counts and trajectory.stop != StopReason.DEADLINE)
        return outcome_of(
            trajectory,
            part=job.part.name,
            task=job.task,
            seed=task.env_seed,
            usage=Usage(),
            sent=[*sent, *([] for _ in range(len(trajectory.turns) - len(sent)))],
            seconds=time.perf_counter() - started,
            **told,
        )

    async def _run(
        self, worker: EnvWorker, job: Job, task: Task, t: Trajectory, sent: list[list[str]], told: dict[str, str]
    ) -> None:
        limits, policy = self.limits, self.make()
        extra = (job.attempt,) if job.attempt else ()
        rng = np.random.default_rng(derive_seed(job.seed, "text policy", job.task, *extra))

        def reset(env: TextEnv) -> tuple[str, dict[str, Any], int, float]:
            first = check_reset(env.reset(seed=task.env_seed, options=task.options), env)
            return *first, env.max_turns, env.reward_range[1]

        observation, info, most, top = await _guard(Stage.RESET, worker, reset, limits.reset_s)
        told |= {"opening": observation, "kind": str(info.get("task_type", ""))}
        told["member"] = str(info.get("member", "")) or told["member"]
        while True:
            began = time.perf_counter()
            text = await _guard(Stage.SAMPLE, worker, partial(_speak, policy, observation, rng), limits.sample_s)
            said = time.perf_counter()
            turn = Turn(0, 0, text, text, sample_s=said - began)
            t.turns.append(turn)
            sent.append([text])
            result = await _guard(Stage.STEP, worker, partial(_step, text), limits.step_s)
            turn.observation, turn.reward, terminated, truncated, info = result
            turn.step_s = time.perf_counter() - said
            turn.components = {k: float(v) for k, v in info.get("reward", {}).items()}
            turn.valid, turn.tool_calls = bool(info.get("valid", True)), int(info.get("tool_calls", 0))
            t.score = float(info["score"]) if info.get("score") is not None else t.score
            if stop := ending(t, info, terminated, truncated, top, limits, limits.max_turns or most):
                t.stop = stop
                return
            observation = turn.observation


def ending(
    t: Trajectory,
    info: dict[str, Any],
    terminated: bool,
    truncated: bool,
    top: float,
    limits: Limits,
    max_turns: int,
) -> StopReason | None:
    """Why an episode is over after its newest turn, or None; enters whether it is won. As rollouts have it."""
    if terminated or truncated:
        t.won = bool(info.get("won", terminated and t.reward >= top))
        if t.won:
            return StopReason.WON
        return StopReason.LOST if terminated else StopReason.TRUNCATED
    if limits.max_tool_calls is not None and sum(u.tool_calls for u in t.turns) > limits.max_tool_calls:
        return StopReason.TOOL_BUDGET
    if len(t.turns) >= max_turns:
        return StopReason.MAX_TURNS
    if limits.max_invalid is not None and sum(not u.valid for u in t.turns) >= limits.max_invalid:
        return StopReason.INVALID_CAP
    return None


def _speak(policy: TextPolicy, observation: str, rng: np.random.Generator, env: TextEnv) -> str:
    said: object = policy(env, observation, rng)
    if not isinstance(said, str):
        raise TypeError(f"the policy said a {type(said).__name__}; it must be a str")
    return said


def _step(text: str, env: TextEnv) -> StepResult:
    return check_step(env.step(text), env)


async def _guard(stage: Stage, worker: EnvWorker, work: Callable[[TextEnv], Any], deadline_s: float) -> Any:
    """Call in the environment's thread; what breaks is a failure of ``stage``, except for wrong settings."""
    try:
        return await worker.call(work, deadline_s=deadline_s)
    except ConfigError:
        raise
    except TimeoutError as error:
        raise _Broke(stage, str(error) or f"no answer within {deadline_s:g} s") from error
    except Exception as error:
        raise _Broke(stage, f"{type(error).__name__}: {error}") from error
