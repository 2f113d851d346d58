"""Score an evaluation again without playing it again.

The actions of each episode are replayed through its environment, whose settings (the reward's, for example) or code may
have changed; the policy is not asked. An environment that answers otherwise than it did is not the one that was played:
such an episode becomes a `Failure` of the stage ``score``. With a scorer of one's own nothing is replayed: it is a
function of the `Outcome` that gives a number (the score), a bool (won, and the score of it) or a dictionary of an
outcome's fields. Failures stay failures.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from agentrl.env import TextEnv, check_reset, check_step
from agentrl.errors import AgentRLError, ConfigError, RunError, UnknownName
from agentrl.evaluation import harness
from agentrl.evaluation.output import finish, tell
from agentrl.evaluation.players import Job, ending
from agentrl.evaluation.record import Outcome
from agentrl.evaluation.settings import EvalConfig
from agentrl.evaluation.store import CONFIG, Store, read
from agentrl.registry import import_file
from agentrl.rollout.loop import Limits
from agentrl.rollout.worker import WorkerPool
from agentrl.settings import load
from agentrl.trajectory import Failure, Stage, StopReason, Trajectory, Turn

Scorer = Callable[[Outcome], Any]


def main(folder: Path, scorer: str | None, words: Sequence[str]) -> int:
    """``agentrl eval --rescore``. Returns the exit status."""
    found = {o.key: o for o in read(folder)}
    if not (folder / CONFIG).is_file():
        raise RunError(f"'{folder}' holds no {CONFIG}, which tells what was evaluated.")
    target = folder.with_name(f"{folder.resolve().name}-rescored")
    config = load(EvalConfig, ["--out", str(target), *words], toml=folder / CONFIG)
    if config.out is None or config.out.resolve() == folder.resolve():
        raise ConfigError("--out must be another folder than the one that is scored again.")
    suite = config.asked()
    jobs = [job for job in harness.jobs_of(suite, config.trial.seed) if job.key in found]
    if not jobs:
        raise RunError(f"'{folder}' has no episode of what its {CONFIG} says.")
    judge = _scorer(scorer) if scorer else None
    with Store(config.out) as store:
        store.settle(config, suite)
        outcomes = []
        pools = {p.name: WorkerPool(partial(p.env_settings().make, split=p.split)) for p in suite.parts}
        for outcome in asyncio.run(_all(jobs, found, pools, config, judge)):
            store.append(outcome)
            outcomes.append(outcome)
        tell(config, suite, outcomes, 0.0)
        finish(config, suite, outcomes, 0.0)
    changed = sum(o.won != found[o.key].won or o.value != found[o.key].value for o in outcomes)
    lost = sum(o.failure is not None and found[o.key].failure is None for o in outcomes)
    print(f"{changed} of {len(outcomes)} outcomes changed; written to {config.out}")
    if lost:
        print(f"warning: {lost} episodes could not be scored again and are failures now", file=sys.stderr)
    return 0


async def _all(
    jobs: Sequence[Job],
    found: dict[tuple[str, int, int], Outcome],
    pools: dict[str, WorkerPool],
    config: EvalConfig,
    judge: Scorer | None,
) -> list[Outcome]:
    scored = []
    for job in jobs:
        outcome = found[job.key]
        if outcome.failure is None:
            outcome = judged(outcome, judge) if judge else await replay(outcome, job, pools[job.part.name], config)
        scored.append(outcome)
    for pool in pools.values():
        pool.close()
    return scored


async def replay(outcome: Outcome, job: Job, pool: WorkerPool, config: EvalConfig) -> Outcome:
    """Replay one episode in its environment."""
    limits = config.limits(job.part)
    worker = pool.take()
    healthy = False
    try:
        again = await worker.call(partial(_again, outcome, job, limits), deadline_s=limits.episode_s)
        healthy = again.failure is None
        return again
    except AgentRLError:
        raise
    except Exception as error:
        told = str(error) or f"no answer within {limits.episode_s:g} s"
        return replace(outcome, failure=Failure(Stage.SCORE, f"{type(error).__name__}: {told}"))
    finally:
        pool.give(worker, healthy=healthy)


def judged(outcome: Outcome, judge: Scorer) -> Outcome:
    """Score one episode by a function."""
    try:
        said = judge(outcome)
        if isinstance(said, dict):
            return replace(outcome, **said)
        if isinstance(said, bool):
            return replace(outcome, won=said, score=float(said))
        return replace(outcome, score=float(said))
    except Exception as error:
        return replace(outcome, failure=Failure(Stage.SCORE, f"{type(error).__name__}: {error}"))


def _again(outcome: Outcome, job: Job, limits: Limits, env: TextEnv) -> Outcome:
    task = job.as_task()
    opening, _ = check_reset(env.reset(seed=task.env_seed, options=task.options), env)
    if opening != outcome.opening:
        return _differs(outcome, "the task is another one")
    t = Trajectory(outcome.attempt, 0)
    stop: StopReason | None = None
    for number, line in enumerate(outcome.transcript):
        turn = Turn(0, 0, line.said, "", observation=line.observation, valid=line.valid)
        t.turns.append(turn)
        shown = []
        for text in line.sent:
            observation, reward, terminated, truncated, info = check_step(env.step(text), env)
            shown.append(observation)
            turn.reward += reward
            for name, value in info.get("reward", {}).items():
                turn.components[name] = turn.components.get(name, 0.0) + float(value)
            t.score = float(info["score"]) if info.get("score") is not None else t.score
            if terminated or truncated:
                stop = ending(t, info, terminated, truncated, env.reward_range[1], limits, 0)
                break
        if any(text not in line.observation for text in shown):
            return _differs(outcome, f"the environment answers turn {number + 1} otherwise")
        if stop and number + 1 < len(outcome.transcript):
            return _differs(outcome, f"the environment ends the episode after turn {number + 1}")
    components: dict[str, float] = {}
    for turn in t.turns:
        for name, value in turn.components.items():
            components[name] = components.get(name, 0.0) + value
    if stop is None and outcome.stop in (StopReason.WON, StopReason.LOST, StopReason.TRUNCATED):
        return _differs(outcome, "the environment no longer ends the episode where it did")
    return replace(
        outcome,
        won=t.won,
        score=t.score,
        reward=t.reward,
        components=components,
        stop=stop.value if stop else outcome.stop,
    )


def _differs(outcome: Outcome, how: str) -> Outcome:
    return replace(outcome, failure=Failure(Stage.SCORE, f"Not the episode that was played: {how}."))


def _scorer(name: str) -> Scorer:
    file, _, inside = name.rpartition(":")
    if not Path(file).is_file():
        raise ConfigError(f"--scorer {name}: there is no file '{file}'. Write it as ./file.py:function.")
    module = import_file(Path(file))
    found = getattr(module, inside, None)
    if not callable(found):
        raise UnknownName(f"function in {file}", inside, [n for n, v in vars(module).items() if callable(v)])
    scorer: Scorer = found
    return scorer
