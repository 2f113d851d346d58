"""What an environment is: Gymnasium's 5-tuple with text, plus what agent training needs.

A `TextEnv` is a ``gymnasium.Env[str, str]``. ``reset`` gives the first observation, ``step`` takes
what the policy said (its text, or its tool calls in the JSON form of `agentrl.tool`) and gives
``(observation, reward, terminated, truncated, info)``. An environment knows no tokens and no model,
and is deterministic under its seed.

The whole of a working environment::

    class Guess(TextEnv):
        instructions = "Guess a number from 1 to 9. Answer with the number alone."

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.secret = int(self.np_random.integers(1, 10))
            return "Your guess?", {}

        def step(self, text):
            won = text.strip() == str(self.secret)
            return ("Right." if won else "Wrong."), float(won), won, False, {"won": won}

        def expert(self):
            return str(self.secret)

Everything else has a default. In particular `TextEnv.snapshot` remembers the seed and the actions
and `TextEnv.restore` replays them, checking the observation; override both where the state is small.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypedDict

import gymnasium
import numpy as np
from gymnasium.spaces import Text

from agentrl.errors import EnvError, NotForkable

EVAL_SEED_BASE = 1_000_000_000
"""Training draws seeds below this number, evaluation counts up from it: the splits never share a seed."""

StepResult = tuple[str, float, bool, bool, dict[str, Any]]


class StepInfo(TypedDict, total=False):
    """The keys of ``info`` that the library reads. All are optional."""

    task_type: str
    """The kind of the task, by which evaluation reports success as well (given at reset)."""
    won: bool
    """The task was solved (given on the last step)."""
    score: float
    """The benchmark's own score in [0, 1], where it differs from the reward."""
    reward: dict[str, float]
    """The reward's components by name."""
    valid: bool
    """False where the text was not a well-formed action."""
    action: str
    """The action that the environment understood, where it differs from the text."""


@dataclass(frozen=True)
class View:
    """What a per-step prompt may show (contexts of the ``window(k)`` kind)."""

    task: str
    """The first observation of the episode."""
    step: int
    """Steps taken so far."""
    history: Sequence[tuple[str, str]]
    """The last k ``(observation, action)`` pairs, oldest first."""
    observation: str
    """The current observation."""
    admissible: Sequence[str] | None
    """The admissible actions, where the environment knows them."""


@dataclass(frozen=True)
class Replay:
    """The default snapshot: how to get to a state again, and how to know that one is there."""

    seed: int | None
    options: dict[str, Any] | None
    actions: tuple[str, ...]
    digest: str


class AnyText(Text):
    """A text space without an alphabet: every ``str`` up to ``max_length`` characters belongs to it."""

    def __init__(self, max_length: int = 1_000_000) -> None:
        super().__init__(max_length=max_length, min_length=0)

    def contains(self, x: object) -> bool:
        return isinstance(x, str) and len(x) <= self.max_length

    def __repr__(self) -> str:
        return f"AnyText({self.max_length})"


class TextEnv(gymnasium.Env[str, str]):
    """Base of all environments. Subclasses write `reset` and `step`; see the module docstring."""

    observation_space = AnyText()
    action_space = AnyText()

    instructions: str = ""
    """The system message: how to act here."""
    tools: Sequence[dict[str, Any]] = ()
    """JSON schemas of the tools the policy may call (see `agentrl.tool`)."""
    max_turns: int = 20
    """The environment's own step limit; the rollout cuts there unless the user sets another."""
    reads_reasoning: bool = False
    """Whether ``step`` takes the reply with its ``<think>`` block, and not only the visible text."""
    demonstrations: ClassVar[tuple[int, int]] = (2000, 2)
    """How many demonstrations the embedded policy needs before it is worth reinforcing, and passes over them."""
    reading_weight: ClassVar[float] = 0.3
    """How much the embedded policy practises to read in its warm-up: the loss weight of a token that the environment
    wrote, where one that the policy writes has 1. More helps where much has to be copied."""
    splits: ClassVar[tuple[str, ...]] = ("train", "eval")
    """Names accepted by the constructor's ``split``, if it has one."""
    reward_range: tuple[float, float] = (0.0, 1.0)
    """Bounds of an episode's total reward; ``agentrl envs check`` holds the environment to them."""

    _record: _Record | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.snapshot is TextEnv.snapshot:  # a default snapshot needs to know what happened
            for name in ("reset", "step"):
                if name in cls.__dict__:
                    setattr(cls, name, _recorded(name, cls.__dict__[name]))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode. Overrides call ``super().reset(seed=seed)`` first to seed ``self.np_random``.

        Returns:
            The first observation and an info dictionary.
        """
        super().reset(seed=seed)
        return "", {}

    def step(self, text: str) -> StepResult:
        """Act. ``text`` is what the policy said, or its tool calls in the form of `agentrl.tool.encode_calls`.

        Returns:
            observation, reward, terminated, truncated, info (keys of `StepInfo`).
        """
        raise EnvError(f"{type(self).__name__} does not define step(text).")

    def state_key(self) -> str:
        """Canonical key of the state the agent sees (GiGPO's anchor). Default: the last observation."""
        return self._record.observation if self._record else ""

    def admissible(self) -> list[str] | None:
        """The actions possible now, or None where they cannot be listed."""
        return None

    def expert(self) -> str | None:
        """What an oracle would say now, or None where there is no oracle."""
        return None

    def noisy_expert(self, rng: np.random.Generator) -> str | None:
        """What a fallible demonstrator would say now; warm-up imitates it. Default: `expert`.

        Mistakes in demonstrations leave something to reinforce, and show states that a perfect oracle never sees.
        """
        return self.expert()

    def memory_note(self) -> str | None:
        """What a demonstrator notes down of the episode so far before earlier results leave its sight: all that is
        needed to go on without them. None (the default): it notes nothing, and keeps them."""
        return None

    def prompt(self, view: View) -> str:
        """One self-contained user message for the current step (contexts of the ``window(k)`` kind)."""
        parts = [] if view.step == 0 else [f"Task:\n{view.task}"]
        if view.history:
            first = view.step - len(view.history) + 1
            lines = (f"{i}. saw: {o}\n   did: {a}" for i, (o, a) in enumerate(view.history, first))
            parts.append("Your last steps:\n" + "\n".join(lines))
        parts.append(view.observation if view.step == 0 else f"Now (step {view.step + 1}):\n{view.observation}")
        if view.admissible:
            parts.append("Possible actions:\n" + "\n".join(view.admissible))
        return "\n\n".join(parts)

    def snapshot(self) -> Any:
        """The state, opaque and immutable, to be given to `restore` of this or a like environment.

        Raises:
            NotForkable: the default cannot replay an episode that was reset without a seed.
        """
        r = self._record
        if r is None or r.seed is None:
            raise NotForkable(f"{type(self).__name__}: no seeded episode to replay. Call reset(seed=...) first.")
        return Replay(r.seed, r.options, tuple(r.actions), _digest(r.observation))

    def restore(self, snapshot: Any) -> None:
        """Put the environment into the state of `snapshot`.

        Raises:
            NotForkable: replaying the actions led to another observation.
        """
        if not isinstance(snapshot, Replay):
            raise NotForkable(f"{type(self).__name__} cannot restore a {type(snapshot).__name__}.")
        observation, _ = self.reset(seed=snapshot.seed, options=snapshot.options)
        for action in snapshot.actions:
            observation, *_ = self.step(action)
        if _digest(observation) != snapshot.digest:
            raise NotForkable(
                f"{type(self).__name__} is not deterministic: replaying {len(snapshot.actions)} actions from seed "
                f"{snapshot.seed} gave another observation. Seed all its randomness from self.np_random."
            )


def check_observation(value: object, where: str) -> str:
    """Return ``value`` if it is text, else raise `EnvError` naming ``where`` it came from."""
    if not isinstance(value, str):
        raise EnvError(f"{where} returned an observation of type {type(value).__name__}; it must be str.")
    return value


def check_reset(value: object, env: gymnasium.Env[str, str]) -> tuple[str, dict[str, Any]]:
    """Hold a reset's result to the contract."""
    where = f"{type(env.unwrapped).__name__}.reset()"
    if not (isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], dict)):
        raise EnvError(f"{where} must return (observation: str, info: dict), not {_shape(value)}.")
    return check_observation(value[0], where), value[1]


def check_step(value: object, env: gymnasium.Env[str, str]) -> StepResult:
    """Hold a step's result to the contract: a 5-tuple, text, a finite reward, two flags, a dictionary."""
    where = f"{type(env.unwrapped).__name__}.step()"
    if not (isinstance(value, tuple) and len(value) == 5 and isinstance(value[4], dict)):
        raise EnvError(f"{where} must return (observation, reward, terminated, truncated, info), not {_shape(value)}.")
    observation, reward, terminated, truncated, info = value
    try:
        number = float(reward)
    except (TypeError, ValueError) as error:
        raise EnvError(f"{where} returned the reward {reward!r}; it must be a number.") from error
    if not math.isfinite(number):
        raise EnvError(f"{where} returned the reward {number}; it must be finite.")
    return check_observation(observation, where), number, bool(terminated), bool(truncated), info


@dataclass
class _Record:
    seed: int | None
    options: dict[str, Any] | None
    actions: list[str]
    observation: str
    depth: int = 0


def _recorded(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an override of reset or step so that the outermost call is remembered for replay."""
    if name == "reset":

        @functools.wraps(method)
        def reset(self: TextEnv, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            outer = self._record is None or self._record.depth == 0
            if outer:
                self._record = _Record(seed, options, [], "", depth=1)
            try:
                result = method(self, seed=seed, options=options)
            finally:
                if outer and self._record:
                    self._record.depth = 0
            if outer and self._record and isinstance(result, tuple) and result:
                self._record.observation = result[0] if isinstance(result[0], str) else repr(result[0])
            return result

        return reset

    @functools.wraps(method)
    def step(self: TextEnv, text: str) -> Any:
        record = self._record
        outer = record is not None and record.depth == 0
        if record and outer:
            record.depth = 1
            record.actions.append(text)
        try:
            result = method(self, text)
        finally:
            if record and outer:
                record.depth = 0
        if record and outer and isinstance(result, tuple) and result:
            record.observation = result[0] if isinstance(result[0], str) else repr(result[0])
        return result

    return step


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _shape(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(type(v).__name__ for v in value) + ")"
    return type(value).__name__
