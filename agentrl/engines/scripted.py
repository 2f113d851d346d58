"""An engine that says what a script tells it: tests of everything above engines need no model.

    ScriptedEngine([[7, 2], [8, 2]])                        # answers in order of asking
    ScriptedEngine(lambda ids, sampling: [ids[-1], 2])      # or as a function of the prompt
    ScriptedEngine([Say([7, 2], logprobs=[-.1, -.2]), RuntimeError("down"), Say([2], delay=5.0), HANG])

A script's item is the ids to answer, a text (with ``encode``), a `Say` with all particulars, an
exception to raise, or `HANG`, which never answers. Ids are cut at the first stop id and at the room
that is left, as a real engine would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentrl.engines.base import Completion, Sampling, nothing
from agentrl.errors import EngineError


@dataclass(frozen=True)
class Say:
    """One scripted answer. Without log-probabilities and entropies both are those of certainty: zeros."""

    ids: Sequence[int] | str
    logprobs: Sequence[float] | None = None
    entropies: Sequence[float] | None = None
    delay: float = 0.0
    """Seconds to wait before answering."""


HANG = Say((), delay=float("inf"))
"""An answer that never comes."""

Item = Say | Sequence[int] | str | BaseException
Script = Callable[[list[int], Sampling], Item] | Iterable[Item]


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    ids: list[int]
    sampling: Sampling


class ScriptedEngine:
    """See the module docstring.

    Args:
        script: a function of (ids, sampling), or items used up one after another.
        max_context: most tokens of prompt and completion together.
        encode: turns a text item into ids.
        exact_entropy: False gives completions without entropies.
        vocabulary: number of token ids.
    """

    def __init__(
        self,
        script: Script,
        *,
        max_context: int = 1 << 20,
        encode: Callable[[str], Sequence[int]] | None = None,
        exact_entropy: bool = True,
        vocabulary: int = 1 << 15,
    ) -> None:
        self.vocabulary = vocabulary
        self.max_context, self.exact_entropy = max_context, exact_entropy
        self.version = 0
        self.asked: list[Asked] = []
        """Every request, in order of arrival."""
        self.loaded: list[Any] = []
        """What `load` was given."""
        self.closed = False
        self._encode = encode
        self._answer = script if callable(script) else _in_order(script)

    async def sample(self, ids: Sequence[int], sampling: Sampling) -> Completion:
        """The script's next answer.

        Raises:
            EngineError: as a real engine would, or the script is used up.
        """
        if self.closed:
            raise EngineError("the engine was closed.")
        prompt = list(ids)
        room = self.max_context - len(prompt)
        if not prompt or room <= 0:
            raise EngineError(
                f"a prompt of {len(prompt)} tokens cannot be continued in a context of {self.max_context}."
            )
        self.asked.append(Asked(prompt, sampling))
        version = self.version
        item = self._answer(prompt, sampling)
        if isinstance(item, BaseException):
            raise item
        say = item if isinstance(item, Say) else Say(item)
        if say.delay == float("inf"):
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(say.delay)
        return self._completion(say, sampling, room, version)

    def load(self, weights: Any, version: int) -> None:
        """Remember that there were new weights."""
        self.loaded.append(weights)
        self.version = version

    def rest(self) -> None:
        """Nothing to give up."""

    def working(self) -> Any:
        """Nothing to wait for."""
        return nothing()

    async def close(self) -> None:
        """Refuse further requests."""
        self.closed = True

    def _completion(self, say: Say, sampling: Sampling, room: int, version: int) -> Completion:
        ids = self._ids(say.ids)
        stop = next((n for n, i in enumerate(ids, 1) if i in sampling.stop_ids), None)
        size = min(stop or len(ids), sampling.max_tokens, room)
        if not size:
            raise EngineError("the script answers without a token; a policy always says one at least.")
        finish: Literal["stop", "length"] = "stop" if stop == size else "length"
        logprobs = _cut("logprobs", say.logprobs, ids, size)
        entropies = _cut("entropies", say.entropies, ids, size) if self.exact_entropy else None
        return Completion(ids[:size], logprobs, entropies, finish, version)

    def _ids(self, answer: Sequence[int] | str) -> list[int]:
        if not isinstance(answer, str):
            return list(answer)
        if self._encode is None:
            raise EngineError("the script answers with a text; give ScriptedEngine an 'encode' function.")
        return list(self._encode(answer))


def _in_order(items: Iterable[Item]) -> Callable[[list[int], Sampling], Item]:
    left = iter(items)

    def answer(ids: list[int], sampling: Sampling) -> Item:
        try:
            return next(left)
        except StopIteration:
            return EngineError("the script is used up.")

    return answer


def _cut(name: str, values: Sequence[float] | None, ids: Sequence[int], size: int) -> list[float]:
    if values is None:
        return [0.0] * size
    if len(values) != len(ids):
        raise EngineError(f"the script gives {len(values)} {name} for {len(ids)} ids.")
    return list(values[:size])
