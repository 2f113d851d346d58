"""What has an id is carried out once, however often it is asked for.

A client that got no answer cannot know whether its request was carried out. With an id it can ask again: while the
first is under way the second waits for it, and afterwards it gets the same answer. What failed before anything was
done is forgotten, so that asking again tries again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Conflict(Exception):
    """An id that was used for something else, or whose answer is no longer kept."""


class Running(NamedTuple, Generic[T]):
    """A request under way."""

    digest: bytes
    task: asyncio.Future[T]


class Done(NamedTuple, Generic[T]):
    """A request that was carried out."""

    digest: bytes
    answer: T | None
    """None once it was given up for its size."""


class Once(Generic[T]):
    """Requests by id.

    Args:
        size: the length of an answer.
        answers: how many answers are kept; the newest always is.
        volume: how long they may be together.
        ids: how many ids are remembered, most of them without their answers.
    """

    def __init__(
        self,
        size: Callable[[T], int] = lambda _: 0,
        *,
        answers: int = 64,
        volume: int = 4 << 20,
        ids: int = 4096,
    ) -> None:
        self.size = size
        self.answers, self.volume, self.ids = answers, volume, ids
        self.running: dict[str, Running[T]] = {}
        self.done: dict[str, Done[T]] = {}
        """By id, oldest first."""
        self.kept: deque[str] = deque()
        """The ids whose answers are kept, oldest first."""
        self.kept_volume = 0

    def __contains__(self, key: str) -> bool:
        """Whether an id was seen."""
        return key in self.running or key in self.done

    async def run(self, key: str, content: bytes, work: Callable[[], Awaitable[T]]) -> T:
        """The answer to ``key``: from ``work``, which runs at most once and is not cancelled with its caller.

        Raises:
            Conflict: the same id came with other content, or its answer is gone.
        """
        digest = hashlib.sha256(content).digest()
        done, running = self.done.get(key), self.running.get(key)
        if (known := done or running) and known.digest != digest:
            raise Conflict("this id was used for another request")
        if done:
            if done.answer is None:
                raise Conflict("this request was carried out, but its answer is no longer kept")
            return done.answer
        if running is None:
            running = self.running[key] = Running(digest, asyncio.ensure_future(work()))
            running.task.add_done_callback(lambda task: self.ended(key, digest, task))
        return await asyncio.shield(running.task)

    def ended(self, key: str, digest: bytes, task: asyncio.Future[T]) -> None:
        """Keep the answer, and give up old ones for it; forget what failed."""
        del self.running[key]
        if task.cancelled() or task.exception():
            return
        answer = task.result()
        self.done[key] = Done(digest, answer)
        self.kept.append(key)
        self.kept_volume += self.size(answer)
        while len(self.kept) > 1 and (len(self.kept) > self.answers or self.kept_volume > self.volume):
            old = self.kept.popleft()
            given_up = self.done[old]
            assert given_up.answer is not None
            self.kept_volume -= self.size(given_up.answer)
            self.done[old] = Done(given_up.digest, None)
        if len(self.done) > self.ids:
            del self.done[next(iter(self.done))]
