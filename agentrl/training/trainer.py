"""The training loop: tasks, episodes, credit, update, new weights; evaluate and save now and then.

Algorithm-blind: an `agentrl.algorithms.Algorithm` turns steps into advantages and names its loss, the
learner applies it. All randomness of step n follows from the run's seed and n, so a run that was
killed and resumed makes the choices of one that was not.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from agentrl.algorithms import Steps
from agentrl.algorithms.steps import History
from agentrl.config import Config
from agentrl.engines.base import Together
from agentrl.engines.making import make_engine
from agentrl.env import EVAL_SEED_BASE
from agentrl.errors import TrainingError
from agentrl.evaluation.harness import Summary, by_member, held_out, outcomes_of
from agentrl.models import Policy, pick_dtype
from agentrl.rollout.contexts import context_by_name
from agentrl.rollout.explore import Explore
from agentrl.rollout.loop import Limits, Rollout, Task
from agentrl.rollout.worker import WorkerPool
from agentrl.run import Run, newest_checkpoint, step_of
from agentrl.seeds import derive_seed
from agentrl.training import curriculum
from agentrl.training.ahead import Player, Stream
from agentrl.training.display import Display
from agentrl.training.learner import Learner
from agentrl.training.metrics import anchor_metrics, rollout_metrics, staleness
from agentrl.training.rows import training_rows
from agentrl.training.world import World, weights
from agentrl.trajectory import Group, Stage, Trajectory

EVALUATED = (
    *("success", "success_low", "success_high", "score", "score_low", "score_high"),
    *("reward", "turns", "failures"),
)
"""Fields of `agentrl.evaluation.harness.Summary` that are logged."""


class Trainer:
    """One run."""

    def __init__(
        self, config: Config, run: Run, policy: Policy, display: Display, world: World, *, step: int = 0
    ) -> None:
        self.config, self.run, self.policy, self.display, self.world = config, run, policy, display, world
        self.step = step
        device = next(policy.model.parameters()).device
        dtype = pick_dtype(config.model.dtype, device)
        self.history: History = {}
        self._overlap: dict[str, float] = {}
        needs_reference = "ref_logprobs" in config.algo.needs
        self.engine = make_engine(
            config.engine.model_copy(update={"deterministic": False}) if config.rollout.overlaps else config.engine,
            policy.model,
            max_context=policy.max_context,
            tokenizer=policy.tokenizer,
            dtype=dtype,
            world=Together(world.leads, world.sharded, world.together),
        )
        self.apart = world.sharded or (config.rollout.overlaps and config.engine.name == "torch")
        """Whether the engine gets copies of the weights, and not the model."""
        if self.apart and config.engine.name == "torch":
            self.engine.load(dict(policy.model.state_dict()), step)  # before the learner's are cut up
        self.learner = Learner(
            policy.model,
            config.train,
            dtype=dtype,
            reference=needs_reference,
            critic=config.algo.critic(),
            world=world,
        )
        unaltered = config.rollout.top_p == 1 and config.rollout.top_k == 0
        fresh = config.engine.name == "torch" and not config.rollout.overlaps
        self.exact = dtype == torch.float32 and unaltered and fresh
        """Whether the engine's log-probabilities are the learner's up to rounding."""
        self.pools = {split: WorkerPool(partial(config.env.make, split=split)) for split in ("train", "eval")}
        self.player = Player()
        self.stream = self._stream() if config.rollout.overlaps else None
        self._started = self._taken = time.monotonic()
        self._first_step = step
        if config.engine.name != "torch":  # it does not share the learner's weights
            self.publish(step)

    def rollout(self, split: str, *, temperature: float) -> Rollout:
        """How episodes of a split are played with the current weights."""
        r = self.config.rollout
        assert r.max_new_tokens is not None, "resolve the configuration first"
        limits = Limits(
            max_turns=r.max_turns,
            max_new_tokens=r.max_new_tokens,
            token_budget=r.token_budget,
            max_tool_calls=r.max_tool_calls,
            max_invalid=r.max_invalid,
            episode_s=r.episode_deadline,
            reset_s=r.step_deadline,
            step_s=r.step_deadline,
        )
        return Rollout(
            self.engine,
            self.policy.renderer,
            context_by_name(r.context, r),
            self.pools[split],
            self.config.env.name,
            limits,
            temperature,
            r.top_p,
            r.top_k,
            -(-r.concurrency // self.world.size),
        )

    def tasks(self, step: int, round_: int = 0) -> list[Task]:
        """The tasks of a step, from the run's seed, the step's number, and how often groups were collected for it."""
        c, seed = self.config, self.config.run.seed
        first = round_ * c.rollout.groups
        names = [(seed, "task", step, index) for index in range(first, first + c.rollout.groups)]
        env_seeds = [self._env_seed(derive_seed(*name)) for name in names]
        sizes = c.algo.allocate([f"{c.env.name}:{env_seed}" for env_seed in env_seeds], self.history)
        share = curriculum.shares(c.rollout.curriculum, c.env.shares, self.history) if c.env.shares else {}
        return [
            Task(env_seed, derive_seed(*name, "sampling"), n, curriculum.options(share, derive_seed(*name, "member")))
            for env_seed, name, n in zip(env_seeds, names, sizes, strict=True)
        ]

    def _env_seed(self, number: int) -> int:
        """A training task: any, or one of a pool of ``rollout.tasks``."""
        pool = self.config.rollout.tasks
        if pool is None:
            return number % EVAL_SEED_BASE
        return derive_seed(self.config.run.seed, "pool", number % pool) % EVAL_SEED_BASE

    def train(self) -> None:
        """Run all remaining steps.

        Raises:
            TrainingError: every episode of a step failed, or updates stay non-finite.
        """
        config = self.config
        if self.step == 0:
            self.save()
        self._evaluate_if_due()
        while self.step < config.train.steps:
            self.one_step()
            self._stop_if_asked()
            self._evaluate_if_due()
            if self.step == config.train.steps or self.step % config.run.save_every == 0:
                self.save()

    def one_step(self) -> dict[str, float]:
        """Collect, assign credit, update, log. ``self.step`` counts finished steps."""
        number = self.step + 1
        groups, seconds = self.collect_enough(number)
        kept = self.worth_training(groups)
        values = rollout_metrics(groups, seconds=seconds) | anchor_metrics(Steps.of(groups))
        values |= {"dropped_groups": float(len(groups) - len(kept)), **self._overlap}
        with _undivided():  # half an update, or one without its line, must not be saved
            if not self.config.rollout.overlaps:
                self.engine.rest()
            values |= self.learn(kept, number)
            self._check_mismatch(values)
            curriculum.remember(groups, self.history)
            self.publish(number)
            self.step = number
            if self.config.run.rollouts:
                self.run.dump(number, groups)
            self.run.log(number, "train", values)
        self.display.step({**values, "step": number}, total=self.config.train.steps, seconds_left=self._seconds_left())
        return values

    def collect_enough(self, number: int) -> tuple[list[Group], float]:
        """Groups of a step, and seconds: with ``algo.refill`` until enough of them are worth training on."""
        algo = self.config.algo
        groups: list[Group] = []
        total = 0.0
        for round_ in range(max(1, algo.refill)):
            if self.stream is not None and round_ == 0:
                made, seconds = self.take(self.stream, number)
            else:
                made, seconds = self.collect(
                    "train",
                    self.tasks(number, round_),
                    temperature=self.config.rollout.temperature,
                    explore=algo.explore(),
                )
            _check_any_worked(made, self.config.env.name)
            groups += made
            total += seconds
            if not algo.refill or algo.keep_groups(Steps.of(groups, self.history)).sum() >= self.config.rollout.groups:
                break
        return groups, total

    def worth_training(self, groups: Sequence[Group]) -> list[Group]:
        """Those to train on, no more than a step holds; there may be fewer, unless ``algo.pad`` adds what was left."""
        keep = self.config.algo.keep_groups(Steps.of(groups, self.history))
        kept = [group for group, worth in zip(groups, keep, strict=True) if worth]
        if self.config.algo.pad:
            kept += [group for group, worth in zip(groups, keep, strict=True) if not worth]
        return kept[: self.config.rollout.groups]

    def learn(self, groups: Sequence[Group], number: int) -> dict[str, float]:
        """Credit and update of step ``number`` on groups, and what the algorithm remembers of them."""
        algo, temperature, seed = self.config.algo, self.config.rollout.temperature, self.config.run.seed
        groups = algo.replay(groups, self.history, derive_seed(seed, "replay", number))
        replayed = sum(len(group.extras.get("replayed", ())) for group in groups)
        steps = Steps.of(groups, self.history)
        steps = self.learner.annotate(groups, steps, algo.needs, temperature=temperature, exact=self.exact)
        advantage = algo.credit(steps)
        times = algo.select(steps, advantage, derive_seed(seed, "select", number))
        rows = training_rows(groups, steps, advantage, times, algo.value_targets(steps))
        values = self.learner.update(
            groups,
            rows,
            algo.loss(self.history),
            temperature=temperature,
            exact=self.exact,
            seed=derive_seed(seed, "minibatches", number),
        )
        algo.remember(steps)
        return {**values, "replayed": float(replayed)} if replayed else values

    def collect(
        self, split: str, tasks: Sequence[Task], *, temperature: float, explore: Explore | None = None
    ) -> tuple[list[Group], float]:
        """Play tasks; returns groups and seconds."""
        started = time.perf_counter()
        ended = 0
        total = sum(task.n for task in self.world.share(tasks))

        def on_end(trajectory: Trajectory) -> None:
            nonlocal ended
            ended += 1
            if self.display.live:
                self.display.progress("episodes", ended, total, "")

        def play() -> list[Group]:
            rollout = self.rollout(split, temperature=temperature)
            return self.player.run(rollout.collect(self.world.share(tasks), on_end, explore))

        groups = self.world.joined(self.world.together(play))
        self.display.finish()
        return groups, self.world.first(lambda: time.perf_counter() - started)

    def _check_mismatch(self, values: dict[str, float]) -> None:
        """Stop where the engine's log-probabilities have come too far from the learner's."""
        limit, gap = self.config.engine.vllm.mismatch_limit, values.get("engine_gap", 0.0)
        if self.config.engine.name == "vllm" and limit is not None and gap > limit:
            raise TrainingError(
                f"vLLM's log-probabilities differ from the learner's by {gap:.3f} nats in the mean, more than the "
                f"{limit:g} of --engine.vllm.mismatch-limit. Use --model.dtype and the servers' --dtype alike, "
                f"--engine.vllm.fp32-head, top_p=1 and top_k=0; continue with --resume {self.run.path}"
            )

    def take(self, stream: Stream, number: int) -> tuple[list[Group], float]:
        """The groups of a step from those under way; returns them and the seconds since the last ones were taken."""
        taken = self.world.together(lambda: stream.take(number, last=self.config.train.steps))
        groups = self.world.joined([part.groups for part in taken])
        self._overlap = {
            "carried_groups": float(sum(part.carried for part in taken)),
            "stale_groups": float(sum(part.dropped for part in taken)),
            "time/wait": max(part.waited_s for part in taken),
            **staleness(groups, number - 1),
        }
        before, self._taken = self._taken, time.monotonic()
        return groups, self.world.first(lambda: self._taken - before)

    def _stream(self) -> Stream:
        r = self.config.rollout
        longest = r.ahead + (r.straggler_share < 1) if r.max_staleness is None else r.max_staleness
        explore = self.config.algo.explore()

        def play(tasks: Sequence[Task]) -> list[Coroutine[Any, Any, Group]]:
            rollout = self.rollout("train", temperature=r.temperature)
            lanes = rollout.lanes(tasks, explore)
            return [rollout.play(task, lanes, None, explore) for task in tasks]

        def tasks(step: int) -> list[Task]:
            return self.world.share(self.tasks(step))

        return Stream(self.player, tasks, play, ahead=r.ahead, share=r.straggler_share, max_staleness=longest)

    def publish(self, version: int) -> None:
        """Give the engine the weights as they are now."""
        self.engine.load(weights(self.policy.model) if self.apart else self.policy.model, version)

    def _evaluate_if_due(self) -> None:
        """Evaluate before the first step, now and then, and after the last; never twice, however often interrupted."""
        every, done = self.config.eval.every, self.step == self.config.train.steps
        due = bool(every) and (done or self.step % every == 0)
        if due and self.world.first(lambda: not self.run.logged(self.step, "eval")):
            self.evaluate()

    def evaluate(self) -> None:
        """Play held-out tasks, greedily and at the training temperature, and log success and score."""
        e = self.config.eval
        if not e.every or not e.episodes:
            return
        values: dict[str, float] = {}
        notes = []
        for name, temperature in (("greedy", 0.0), ("sampled", self.config.rollout.temperature)):
            tasks = held_out(e.episodes, self.config.run.seed, list(self.config.env.shares))
            groups, seconds = self.collect("eval", tasks, temperature=temperature)
            outcomes = outcomes_of(groups)
            found = Summary.of(outcomes, seconds=seconds)
            values |= {f"eval/{name}_{key}": float(getattr(found, key)) for key in EVALUATED}
            for member, part in by_member(outcomes, seconds=seconds).items():
                values |= {f"eval/{name}_{key}/{member}": float(getattr(part, key)) for key in EVALUATED}
            low, high = found.success_low, found.success_high
            notes.append(f"{name} {found.success:.1%} [{low:.1%}, {high:.1%}] score {found.score:.3f}")
            notes[-1] += "".join(f", {m} {p.success:.1%}" for m, p in by_member(outcomes, seconds=seconds).items())
        self.publish(self.step)  # forget these prompts: a resumed run has not seen them either
        self.run.log(self.step, "eval", values)
        self.display.say(f"held out, {e.episodes} tasks, after step {self.step}: " + "; ".join(notes))

    def save(self) -> None:
        """Write a checkpoint: a Hugging Face folder and what resuming needs. One that is there already stays."""
        if self.world.first(self._saved):
            return
        state = {"step": self.step, "learner": self.learner.state_dict(), "history": self.history}
        model = self._whole_model() if self.world.sharded else None

        def write() -> None:
            with self.run.checkpoint(self.step, self.config.run.keep) as folder:
                self.policy.model.save_pretrained(folder, **({} if model is None else {"state_dict": model}))
                self.policy.tokenizer.save_pretrained(folder)
                torch.save(state, folder / "trainer.pt")

        self.world.first(write)

    def _whole_model(self) -> dict[str, torch.Tensor]:
        """The weights put together, in the leading process; the others take part, and get nothing."""
        return {n: t.cpu() for n, t in weights(self.policy.model) if self.world.leads}

    def _saved(self) -> bool:
        newest = newest_checkpoint(self.run.path)
        return newest is not None and step_of(newest) == self.step

    def _stop_if_asked(self) -> None:
        """Where several processes have to stop after the same step: Ctrl-C is remembered until here."""
        if self.world.size > 1 and any(self.world.together(lambda: self.world.stopping)):
            raise KeyboardInterrupt

    def close(self) -> None:
        """Release environments, engine and files."""
        self.player.cancel()
        for pool in self.pools.values():
            pool.close()
        self.player.run(self.engine.close())
        self.player.close()
        self.run.close()

    def _seconds_left(self) -> float:
        done = self.step - self._first_step
        return (time.monotonic() - self._started) / max(1, done) * (self.config.train.steps - self.step)


def _check_any_worked(groups: Sequence[Group], env_name: str) -> None:
    every = [t for g in groups for t in g.trajectories]
    failed = [t.failure for t in every if t.failure is not None]
    if failed and len(failed) == len(every):
        raise TrainingError(
            f"All {len(every)} episodes of this step failed outside the policy; the first one in stage "
            f"'{failed[0].stage}': {failed[0].error.rstrip('.')}. "
            + (
                "Once the engine is well again, continue with --resume."
                if failed[0].stage == Stage.SAMPLE
                else f"Try the environment alone: agentrl envs check {env_name}"
            )
        )


@contextlib.contextmanager
def _undivided() -> Iterator[None]:
    """Hold Ctrl-C back until the block is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
