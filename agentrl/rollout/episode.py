"""One episode, in three moves: `Episode.open`, then `speak` and `act` until it is over.

What breaks outside the policy ends the episode with a `Failure` and its stage, and nothing else: no move
raises, except where the run itself cannot go on (`ContextOverflow`). What the policy sampled enters the
group's token tree as it came from the engine; nothing is decoded and tokenised again.

With ``remember=True`` an episode leaves a `Boundary` after each observation, from which `fork` makes another
that has the same past: the same turns, tokens and counters, and an environment in the same state.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from agentrl.engines.base import Completion, Sampling
from agentrl.env import StepResult, TextEnv, check_reset, check_step
from agentrl.errors import ContextOverflow, NotForkable
from agentrl.renderers.base import Parsed
from agentrl.rollout.context import Reader, Reading, Room
from agentrl.rollout.sight import Sight
from agentrl.rollout.worker import EnvWorker
from agentrl.seeds import derive_seed
from agentrl.tokentree import Sampled
from agentrl.tool import encode_calls
from agentrl.trajectory import Failure, Group, Stage, StopReason, Trajectory, Turn

if TYPE_CHECKING:
    from agentrl.rollout.loop import Rollout, Task

T = TypeVar("T")


class _Broken(Exception):
    """Something outside the policy broke."""

    def __init__(self, stage: Stage, error: str) -> None:
        super().__init__(error)
        self.failure = Failure(stage, error)


@dataclass
class _Arrival:
    """What the environment gave, together with what is read next, from one visit to its thread."""

    observation: str
    reading: Reading
    state_key: str
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Any] = field(default_factory=dict)
    max_turns: int = 0
    reward_top: float = 1.0
    tools: Sequence[dict[str, Any]] = ()
    seconds: float = 0.0
    snapshot: Any = None
    turn: Turn | None = None
    """The turn with what came of it; None for a reset."""


@dataclass(frozen=True)
class Boundary:
    """A place after an observation where another episode may go on."""

    turns: int
    node: int
    key: str
    snapshot: Any
    """The environment's; None where it cannot be had."""
    reader: Reader
    spent: int
    invalid: int


class Episode:
    """One episode from reset to its stop reason."""

    def __init__(
        self, rollout: Rollout, task: Task, group: Group, trajectory: Trajectory, *, remember: bool = False
    ) -> None:
        self.on, self.task, self.group, self.trajectory = rollout, task, group, trajectory
        self.tree = group.tree
        self.reader: Reader = rollout.context.start()
        self.worker: EnvWorker | None = rollout.pool.take()
        self.remember = remember
        self.boundaries: dict[int, Boundary] = {}
        """By the number of turns before them."""
        self.node = -1
        """Tree node that ends what the policy reads next."""
        self.over = False
        self._key = ""
        self._max_turns = 0
        self._reads_reasoning = False
        self._spent = self._invalid = 0
        self._said: tuple[Turn, Parsed] | None = None
        self._sight = Sight(rollout.renderer)
        self._deadline = asyncio.get_running_loop().time() + rollout.limits.episode_s

    async def run(self) -> None:
        """All of it. From one move to the next there is no await, so a deterministic engine sees no gap."""
        await self.open()
        while not self.over:
            await self.speak()
            if not self.over:
                await self.act()

    async def open(self) -> None:
        """Reset the environment and read the first prompt."""
        async with self._move():
            with self.on.engine.working():
                arrival = await self._visit(Stage.RESET, self._reset, self.on.limits.reset_s)
                self.group.task = self.group.task or arrival.observation
                self.group.member = self.group.member or str(arrival.info.get("member", ""))
                self.group.kind = self.group.kind or str(arrival.info.get("task_type", ""))
                self._max_turns = self.on.limits.max_turns or arrival.max_turns
                self._read_first(arrival)
            self._key = arrival.state_key

    async def speak(self) -> None:
        """Sample a turn and read it."""
        limits, engine = self.on.limits, self.on.engine
        async with self._move():
            room = engine.max_context - self.tree.nodes[self.node].end
            if limits.token_budget is not None:
                room = min(room, limits.token_budget - self._spent)
            if room <= 0:
                self._end(self._cut_short())
                return
            started = time.perf_counter()
            completion = await self._sample(min(room, limits.max_new_tokens))
            with engine.working():
                self._said = self._take(completion, self._key, time.perf_counter() - started)

    async def act(self) -> None:
        """Carry the turn out and read what came of it."""
        assert self._said is not None, "speak first"
        turn, parsed = self._said
        async with self._move():
            budget = self.on.limits.max_tool_calls
            if parsed.calls and budget is not None and sum(u.tool_calls for u in self.trajectory.turns) > budget:
                self._end(StopReason.TOOL_BUDGET)
                return
            with self.on.engine.working():
                arrival = await self._visit(Stage.STEP, partial(self._step, turn, parsed), self.on.limits.step_s)
                turn = self.trajectory.turns[-1] = arrival.turn or turn
                self._key = arrival.state_key
                if stop := self._ended(turn, arrival):
                    self._end(stop)
                elif not self._read_next(turn, arrival):
                    self._end(StopReason.CONTEXT_FULL)
                elif self.remember:
                    self._leave_boundary(arrival)

    def fork(self, trajectory: Trajectory, at: Boundary) -> Episode:
        """An episode that shares the first turns of this one; `reopen` it before it speaks."""
        other = Episode(self.on, self.task, self.group, trajectory, remember=self.remember)
        other._max_turns, other._reads_reasoning = self._max_turns, self._reads_reasoning
        other._sight = self._sight.fork(at.turns, self.tree.ids(at.node))
        return other

    async def reopen(self, parent: Trajectory, at: Boundary) -> None:
        """Take up the past of ``parent`` at a boundary; where the environment cannot, start at the prompt instead."""
        try:
            if at.snapshot is None:
                raise NotForkable("the environment gave no snapshot")
            assert self.worker is not None
            with self.on.engine.working():
                await self.worker.call(partial(_restore, at), deadline_s=self.on.limits.reset_s)
        except (Exception, TimeoutError):
            self.trajectory.unforkable = True
            self._replace_worker()
            await self.open()
            return
        self.trajectory.turns = [replace(turn) for turn in parent.turns[: at.turns]]
        self.trajectory.forked_from = (parent.index, at.turns)
        self.reader = at.reader.fork()
        self.node, self._key, self._spent, self._invalid = at.node, at.key, at.spent, at.invalid

    # -- how a move ends -------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _move(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(self._deadline):
                yield
        except _Broken as broken:
            self._end(StopReason.FAILED, broken.failure)
        except TimeoutError:
            self._end(StopReason.DEADLINE, healthy=False)
        except BaseException:
            self._end(StopReason.CANCELLED, healthy=False)
            raise

    def _end(self, stop: StopReason, failure: Failure | None = None, *, healthy: bool = True) -> None:
        self.over = True
        self.trajectory.stop, self.trajectory.failure = stop, failure
        if self.worker is not None:
            self.on.pool.give(self.worker, healthy=healthy and failure is None)
            self.worker = None

    def close(self) -> None:
        """Give the environment back; for an episode that will not be played on."""
        if not self.over:
            self._end(StopReason.CANCELLED, healthy=False)

    def _replace_worker(self) -> None:
        assert self.worker is not None
        self.on.pool.give(self.worker, healthy=False)
        self.worker = self.on.pool.take()

    # -- in the environment's thread -----------------------------------------------------------------

    def _reset(self, env: TextEnv) -> _Arrival:
        started = time.perf_counter()
        observation, info = check_reset(env.reset(seed=self.task.env_seed, options=self.task.options), env)
        self._reads_reasoning = env.reads_reasoning
        return _Arrival(
            observation,
            Reading(self.reader.first(env, observation)),
            env.state_key(),
            info=info,
            max_turns=env.max_turns,
            reward_top=env.reward_range[1],
            tools=self.reader.tools(env),
            seconds=time.perf_counter() - started,
        )

    def _step(self, turn: Turn, parsed: Parsed, env: TextEnv) -> _Arrival:
        started = time.perf_counter()
        turn = replace(turn)  # what comes after the deadline must not write into a trajectory that is in use
        if parsed.error:  # an unreadable call is the model's mistake: it is told, and the world stands still
            result: StepResult = (f"Error: {parsed.error}", 0.0, False, False, {"valid": False})
        else:
            result = check_step(self.reader.step(env, turn, parsed), env)
        turn.observation, turn.reward, terminated, truncated, info = result
        turn.components = {k: float(v) for k, v in info.get("reward", {}).items()}
        turn.valid = bool(info.get("valid", True))
        turn.action = str(info.get("action", turn.action))
        turn.tool_calls = int(info.get("tool_calls", turn.tool_calls))
        over = terminated or truncated
        task, turns = self.group.task, [*self.trajectory.turns[:-1], turn]
        room = Room(self.tree.nodes[turn.sampled].end, self.on.engine.max_context)
        reading = Reading([]) if over else self.reader.next(env, task, turns, room)
        return _Arrival(
            turn.observation,
            reading,
            env.state_key(),
            turn.reward,
            terminated,
            truncated,
            info,
            reward_top=env.reward_range[1],
            tools=self.reader.tools(env),
            seconds=time.perf_counter() - started,
            snapshot=_snapshot(env) if self.remember and not over else None,
            turn=turn,
        )

    # -- in the event loop -----------------------------------------------------------------------------

    async def _visit(self, stage: Stage, function: Callable[[TextEnv], _Arrival], deadline_s: float) -> _Arrival:
        assert self.worker is not None, "the episode is over"
        return await _guard(stage, self.worker.call(function, deadline_s=deadline_s), deadline_s)

    async def _sample(self, max_tokens: int) -> Completion:
        on = self.on
        seed = derive_seed(self.trajectory.seed, len(self.trajectory.turns))
        session = self.task.sampling_seed  # the episodes of a task share their prompt, and forks much more
        sampling = Sampling(max_tokens, on.temperature, on.top_p, on.top_k, seed, on.renderer.stop_ids, session)

        async def ask() -> Completion:
            async with asyncio.timeout(on.limits.sample_s):
                return await on.engine.sample(self.tree.ids(self.node), sampling)

        return await _guard(Stage.SAMPLE, ask(), on.limits.sample_s)

    def _read_first(self, arrival: _Arrival) -> None:
        try:
            self._sight.open(arrival.reading.messages, arrival.tools)
        except Exception as error:
            raise _Broken(Stage.PARSE, _name(error)) from error
        size = len(self._sight.ids)
        if size >= self.on.engine.max_context:
            raise ContextOverflow(
                f"The first prompt of '{self.on.env_name}' has {size} tokens, the model's context is "
                f"{self.on.engine.max_context}. Use a model with a longer context (--model.max_context for the "
                f"embedded one) or an observation mode with shorter pages."
            )
        self.node = self.tree.graft(self._sight.ids)

    def _take(self, completion: Completion, key: str, seconds: float) -> tuple[Turn, Parsed]:
        """Enter what was sampled into the tree and read it."""
        sampled = Sampled(completion.logprobs, completion.entropies, completion.version, completion.versions)
        try:
            node = self.tree.extend(self.node, completion.ids, sampled=sampled)
        except ValueError as error:  # no ids, or lists that do not run parallel
            raise _Broken(Stage.SAMPLE, _name(error)) from error
        self._spent += len(completion.ids)
        self._sight.say(completion.ids)
        try:
            parsed = self.on.renderer.parse(completion.ids)
        except Exception as error:
            raise _Broken(Stage.PARSE, _name(error)) from error
        action = encode_calls(parsed.calls) if parsed.calls else parsed.text
        if self._reads_reasoning and parsed.reasoning:
            action = f"<think>{parsed.reasoning}</think>{action}"
        turn = Turn(self.node, node, parsed.text, action, state_key=key, finish=completion.finish, sample_s=seconds)
        turn.tool_calls = len(parsed.calls)
        self.trajectory.turns.append(turn)
        return turn, parsed

    def _ended(self, turn: Turn, arrival: _Arrival) -> StopReason | None:
        trajectory, limits = self.trajectory, self.on.limits
        turn.step_s = arrival.seconds
        self._invalid += not turn.valid
        score = arrival.info.get("score")
        trajectory.score = float(score) if score is not None else trajectory.score
        if arrival.terminated or arrival.truncated:
            won = arrival.terminated and trajectory.reward >= arrival.reward_top
            trajectory.won = bool(arrival.info.get("won", won))
            if trajectory.won:
                return StopReason.WON
            return StopReason.LOST if arrival.terminated else StopReason.TRUNCATED
        calls = sum(u.tool_calls for u in trajectory.turns)
        if limits.max_tool_calls is not None and calls > limits.max_tool_calls:
            return StopReason.TOOL_BUDGET  # calls by tags in text are known only when they were made
        if len(trajectory.turns) >= self._max_turns:
            return StopReason.MAX_TURNS
        if limits.max_invalid is not None and self._invalid >= limits.max_invalid:
            return StopReason.INVALID_CAP
        return None

    def _read_next(self, turn: Turn, arrival: _Arrival) -> bool:
        """Enter what is read next into the tree; False where it does not fit the context any more."""
        reading, sight = arrival.reading, self._sight
        try:
            sight.read(reading, arrival.tools)
        except Exception as error:
            raise _Broken(Stage.PARSE, _name(error)) from error
        if len(sight.ids) >= self.on.engine.max_context:
            return False
        if reading.fresh or reading.keep is not None:
            self.node = self.tree.graft(sight.ids)
            self.trajectory.drift += turn.sampled not in self.tree.path(self.node)
        else:
            self.node = self.tree.extend(turn.sampled, sight.newest)
        if reading.keep is not None:
            turn.saved = self.tree.nodes[turn.sampled].end + len(sight.newest) - len(sight.ids)
        return True

    def _leave_boundary(self, arrival: _Arrival) -> None:
        done = len(self.trajectory.turns)
        if arrival.snapshot is None:
            self.trajectory.unforkable = True
        self.boundaries[done] = Boundary(
            done, self.node, self._key, arrival.snapshot, self.reader.fork(), self._spent, self._invalid
        )

    def _cut_short(self) -> StopReason:
        full = self.tree.nodes[self.node].end >= self.on.engine.max_context
        return StopReason.CONTEXT_FULL if full else StopReason.TOKEN_BUDGET


def _snapshot(env: TextEnv) -> Any:
    """The environment's snapshot, or None where it cannot give one."""
    try:
        return env.snapshot()
    except Exception:  # an episode that cannot be forked is still an episode; it is counted as unforkable
        return None


def _restore(at: Boundary, env: TextEnv) -> None:
    env.restore(at.snapshot)
    if env.state_key() != at.key:
        raise NotForkable(f"{type(env).__name__} came back in another state than the one its snapshot was taken in")


async def _guard(stage: Stage, work: Awaitable[T], deadline_s: float) -> T:
    """Await, and turn whatever breaks into a failure of ``stage``."""
    try:
        return await work
    except TimeoutError as error:
        raise _Broken(stage, str(error) or f"no answer within {deadline_s:g} s") from error
    except Exception as error:
        raise _Broken(stage, _name(error)) from error


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
