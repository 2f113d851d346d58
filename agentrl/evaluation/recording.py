"""What the environment was given, turn by turn, so that an episode can be scored again without its policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agentrl.env import StepResult, TextEnv
from agentrl.renderers.base import Message, Parsed
from agentrl.rollout.context import Context, Reader, Reading, Room
from agentrl.trajectory import Turn


@dataclass(frozen=True)
class Recorded:
    """A context that remembers what the environment was given, so that an episode can be scored again."""

    inner: Context

    def start(self) -> Reader:
        """A `Recording`."""
        return Recording(self.inner.start())


class Recording:
    """The reader of one episode; all but its memory is another's."""

    def __init__(self, inner: Reader) -> None:
        self.inner = inner
        self._sent: list[list[str]] = []

    def given(self, turns: int) -> list[list[str]]:
        """What ``env.step`` was given in each of so many turns."""
        return [*self._sent, *([] for _ in range(turns - len(self._sent)))]

    def tools(self, env: TextEnv) -> Sequence[dict[str, Any]]:
        """The other's."""
        return self.inner.tools(env)

    def first(self, env: TextEnv, observation: str) -> list[Message]:
        """The other's."""
        return self.inner.first(env, observation)

    def step(self, env: TextEnv, turn: Turn, parsed: Parsed) -> StepResult:
        """The other's, watching ``env.step``."""
        sent: list[str] = []
        self._sent.append(sent)
        own = env.__dict__.get("step")
        real = env.step

        def step(text: str) -> StepResult:
            sent.append(text)
            return real(text)

        env.__dict__["step"] = step
        try:
            return self.inner.step(env, turn, parsed)
        finally:
            if own is None:
                del env.__dict__["step"]
            else:
                env.__dict__["step"] = own

    def next(self, env: TextEnv, task: str, turns: Sequence[Turn], room: Room) -> Reading:
        """The other's. A turn that could not be read never came to `step`."""
        self._sent = self.given(len(turns))
        return self.inner.next(env, task, turns, room)

    def demonstrate(self, env: TextEnv, expert: Callable[[], str | None]) -> Message | None:
        """The other's."""
        return self.inner.demonstrate(env, expert)

    def fork(self) -> Reader:
        """One that remembers the same past."""
        other = Recording(self.inner.fork())
        other._sent = [list(sent) for sent in self._sent]
        return other
