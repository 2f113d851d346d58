"""The seam behind which somebody samples: token ids in, token ids and log-probabilities out.

An engine knows no messages and no environments. `Engine.sample` is awaited by many episodes at
once; how they are batched is the engine's business, but a request's result depends only on its ids,
its sampling settings and its seed, up to the floating-point effects of batching.

With `deterministic` engines these effects are removed as well: an episode that is away from the
engine (in its environment) says so with `working`, and the engine takes no step until every such
episode has come back. The composition of each batch is then a function of the seeds alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


@dataclass(frozen=True)
class Sampling:
    """How to sample. Greedy is ``temperature=0``."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0 turns it off."""
    seed: int = 0
    stop_ids: frozenset[int] = field(default_factory=frozenset)
    """Sampling ends after the first of these; it is kept in the result."""
    session: int = 0
    """Whose request: those of one session share prefixes, so an engine of several servers keeps them together."""


@dataclass(frozen=True)
class Completion:
    """What came back. Lists run parallel to ``ids``."""

    ids: list[int]
    logprobs: list[float]
    """Log-probability (nats) of each id under the distribution it was sampled from: after temperature,
    top-k and top-p. At temperature 0 under the untempered distribution."""
    entropies: list[float] | None
    """Entropy (nats) of the full distribution after temperature; None where the engine has no logits."""
    finish: Literal["stop", "length"]
    version: int
    """Version of the weights, of the first token where they changed in the middle."""
    cached_tokens: int = 0
    """How many prompt tokens were not computed again."""
    versions: list[int] | None = None
    """Version of the weights of each id; None where all are of ``version``."""


@runtime_checkable
class Engine(Protocol):
    """Who samples."""

    max_context: int
    """Most tokens of prompt and completion together."""
    vocabulary: int
    """Number of token ids."""

    @property
    def exact_entropy(self) -> bool:
        """Whether entropies are those of the full distribution; else they are a named approximation, or None."""
        ...

    async def sample(self, ids: Sequence[int], sampling: Sampling) -> Completion:
        """Continue ``ids``.

        Raises:
            EngineError: sampling failed outside the policy, or the prompt leaves no room.
        """
        ...

    def load(self, weights: Any, version: int) -> None:
        """Take new weights; everything cached under an older version is dropped."""
        ...

    def rest(self) -> None:
        """The learner needs the device now: give up what memory can be had again; `load` ends the rest."""
        ...

    def working(self) -> Any:
        """Context manager: the caller is away from the engine and will come back with a request."""
        ...

    async def close(self) -> None:
        """Release everything."""
        ...


@dataclass(frozen=True)
class Together:
    """How the engines of several training processes agree; one process needs nothing."""

    leads: bool = True
    """Whether this process is the first, which gives weights out."""
    sharded: bool = False
    """Whether each process holds a part of the weights only."""
    together: Callable[[Callable[[], Any]], list[Any]] | None = None
    """Calls a function in each process, and gives the results of all to each."""

    def agree(self, make: Callable[[], T]) -> T:
        """What ``make`` gives in the first process, in every process."""
        if self.together is None:
            return make()
        found: T = self.together(lambda: make() if self.leads else None)[0]
        return found


ALONE = Together()


@contextmanager
def nothing() -> Iterator[None]:
    """The `Engine.working` of engines that are not deterministic."""
    yield
