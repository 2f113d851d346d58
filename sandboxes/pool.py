"""A pool of sandboxes for one spec: how many run, how many start at once, how many wait ready.

A session serves one episode and is closed after it; one that was used is never given out again. Those that wait
ready make a cold start a look-up; they are replaced in the background, within the limit on starts. Starts have
their own limit because many at once slow each other down until all miss their deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Self

from agentrl.sandboxes.backends import Backend
from agentrl.sandboxes.session import Session
from agentrl.sandboxes.spec import SandboxBusy, SandboxSpec, SandboxUnavailable


class SandboxPool:
    """Sessions of one spec from one backend; used within one event loop, closed with ``close``.

    Args:
        size: sessions given out at the same time, at most.
        starting: sessions starting at the same time, at most.
        ready: sessions kept waiting, beside those given out.
        patience: seconds that ``session`` waits for a place before SandboxBusy.
    """

    def __init__(
        self,
        backend: Backend,
        spec: SandboxSpec | None = None,
        *,
        size: int = 64,
        starting: int = 8,
        ready: int = 0,
        patience: float = 60.0,
    ) -> None:
        self.backend = backend
        self.spec = spec or SandboxSpec()
        self.size = size
        self.ready = ready
        self.patience = patience
        self.running = asyncio.Semaphore(size)
        self.starts = asyncio.Semaphore(starting)
        self.waiting: deque[Session] = deque()
        self.filling: set[asyncio.Task[None]] = set()
        self.closed = False

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """One sandbox for one episode; closed at the end, whatever happens. Raises as `open`."""
        session = await self.open()
        try:
            yield session
        finally:
            await asyncio.shield(self.give_back(session))

    async def open(self) -> Session:
        """One sandbox, for whoever will `give_back` it.

        Raises:
            SandboxBusy: no place became free within ``patience`` seconds.
            SandboxUnavailable: it could not be created.
        """
        await self.place()
        try:
            return await self.take()
        except BaseException:
            self.running.release()
            raise

    async def fork(self, session: Session) -> Session:
        """Another one with the state of ``session``. Raises as `open`, and NotForkable."""
        await self.place()
        try:
            return (await session.fork(1))[0]
        except BaseException:
            self.running.release()
            raise

    async def give_back(self, session: Session) -> None:
        """Close a session of `open` or `fork`; its place is free then."""
        try:
            await session.close()
        finally:
            self.running.release()

    async def place(self) -> None:
        """Wait for a place among those that run."""
        if self.closed:
            raise SandboxUnavailable("The pool of sandboxes is closed.")
        try:
            async with asyncio.timeout(self.patience):
                await self.running.acquire()
        except TimeoutError:
            raise SandboxBusy(f"All {self.size} sandboxes were busy for {self.patience} s. Raise size=.") from None

    async def take(self) -> Session:
        """A session that waited, if it still lives, or a new one."""
        session = None
        while session is None and self.waiting:
            session = self.waiting.popleft()
            if session.lost():
                await session.close()
                session = None
        self.fill()
        return session or await self.start()

    async def start(self) -> Session:
        """Create one, within the limit on starts."""
        async with self.starts:
            return await self.backend.create(self.spec)

    def fill(self) -> None:
        """Begin to start what is missing of those that wait ready."""
        for _ in range(self.ready - len(self.waiting) - len(self.filling)):
            task = asyncio.create_task(self.add())
            self.filling.add(task)
            task.add_done_callback(self.filling.discard)

    async def add(self) -> None:
        """Start one that waits; a failure is left for the next ``session`` to meet."""
        with contextlib.suppress(SandboxUnavailable):
            session = await self.start()
            if self.closed:
                await session.close()
            else:
                self.waiting.append(session)

    async def warm(self) -> None:
        """Wait until as many as ``ready`` wait."""
        self.fill()
        await asyncio.gather(*self.filling)

    async def close(self) -> None:
        """End those that wait; those given out end with their episodes."""
        self.closed = True
        await asyncio.gather(*self.filling, return_exceptions=True)
        await asyncio.gather(*(session.close() for session in self.waiting))
        self.waiting.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
