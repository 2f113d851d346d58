"""Sessions that a server lends: how many, for how long, and that each request is carried out once.

A lease ends when its client ends it, when it is older than its ``ttl_s``, when it was idle for ``idle_s`` (a client
that died stops its heartbeats), when its sandbox dies, and when the server closes. Then its sandbox is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

from agentrl.sandboxes.backends import Backend
from agentrl.sandboxes.lease import Gone, Lease
from agentrl.sandboxes.messages import Limits
from agentrl.sandboxes.once import Once
from agentrl.sandboxes.session import Session
from agentrl.sandboxes.spec import SandboxBusy, SandboxDied, SandboxSpec, SandboxUnavailable
from agentrl.sandboxes.wire import Answer

log = logging.getLogger("agentrl.sandboxes.server")

SWEEP_S = 0.25
"""Seconds between two looks at which leases have ended."""
REMEMBERED = 10_000
"""Ended leases and abandoned creations whose fate is remembered."""
END_S = 30.0
"""Seconds that closing waits for sandboxes that end, before it ends them together with their backend."""
ABANDONED = "its client gave it up"
T = TypeVar("T")


class Draining(Exception):
    """The server is shutting down and takes nothing new."""


class Leases:
    """All sessions of a server."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend, self.limits = backend, limits
        self.live: dict[str, Lease] = {}
        self.ended: dict[str, str] = {}
        """Lease -> why it ended, of the last ones."""
        self.creations: Once[list[str]] = Once(ids=REMEMBERED, answers=REMEMBERED)
        """Client's id -> the leases that were made for it, by their names."""
        self.abandoned: dict[str, None] = {}
        """Ids of creations that their clients gave up."""
        self.room = asyncio.Semaphore(limits.max_sessions)
        self.places = 0
        """Sessions that live, start, end, or are about to start."""
        self.starts = asyncio.Semaphore(limits.max_starting)
        self.draining = False
        self.hurried = False
        """Whether closing waits for nothing any more."""
        self.sweeper: asyncio.Task[None] | None = None

    # -- making

    @contextlib.asynccontextmanager
    async def place(self, count: int = 1, patience: float = 0.0) -> AsyncIterator[Callable[[], None]]:
        """Room for sessions; given back at the end unless what is yielded was called.

        Raises:
            SandboxBusy: there is none, nor was one free within ``patience`` seconds.
            Draining: the server is shutting down.
        """
        if self.draining:
            raise Draining
        full = f"all {self.limits.max_sessions} places of this server are taken"
        if not patience and (self.room.locked() or self.places + count > self.limits.max_sessions):
            raise SandboxBusy(full)
        got = 0
        try:
            async with asyncio.timeout(patience or 1.0):
                while got < count:
                    await self.room.acquire()
                    got += 1
        except BaseException as error:
            for _ in range(got):
                self.room.release()
            if isinstance(error, TimeoutError):
                raise SandboxBusy(full) from None
            raise
        self.places += count
        taken: list[bool] = []
        try:
            yield lambda: taken.append(True)
        finally:
            if not taken:
                self.leave(count)

    def leave(self, count: int = 1) -> None:
        """Give places back."""
        self.places -= count
        for _ in range(count):
            self.room.release()

    async def start(self, spec: SandboxSpec) -> Session:
        """A session, within the limit on starts. Raises SandboxBusy or SandboxUnavailable."""
        try:
            async with asyncio.timeout(self.limits.line_s):
                await self.starts.acquire()
        except TimeoutError:
            raise SandboxBusy(f"no start became free within {self.limits.line_s:g} s") from None
        try:
            session = await self.backend.create(spec)
        finally:
            self.starts.release()
        session.again = lambda: self.start(spec)
        return session

    async def create(self, key: str, content: bytes, spec: SandboxSpec, ttl_s: float, idle_s: float) -> Lease:
        """The lease of a creation; the same for the same ``key``. Raises as ``make``."""
        times = min(ttl_s, self.limits.ttl_s), min(idle_s, self.limits.idle_s)

        async def work() -> list[str]:
            async with self.place() as take:
                return await self.lend(key, [await self.start(spec)], times, take)

        return (await self.make(key, content, work))[0]

    async def fork(self, name: str, key: str, content: bytes, count: int) -> list[Lease]:
        """Leases of copies of a session. Raises as ``make``, and NotForkable."""
        times = self.find(name).ttl_s, self.find(name).idle_s

        async def work() -> list[str]:
            async with self.place(count) as take:
                with self.use(name) as session:
                    made = await asyncio.gather(*(session.fork(1) for _ in range(count)), return_exceptions=True)
                sessions = [one[0] for one in made if isinstance(one, list)]
                if failed := [error for error in made if isinstance(error, BaseException)]:
                    await asyncio.gather(*(session.close() for session in sessions))
                    raise failed[0]
                return await self.lend(key, sessions, times, take)

        return await self.make(key, content, work)

    async def make(self, key: str, content: bytes, work: Callable[[], Awaitable[list[str]]]) -> list[Lease]:
        """Make leases once.

        Raises:
            SandboxBusy: no place.
            SandboxUnavailable: the backend could not, or the creation was abandoned.
            Gone: they were made before and have ended.
            Draining, Conflict.
        """
        if key in self.abandoned:
            raise SandboxUnavailable(ABANDONED)
        made = await self.creations.run(key, content, work)
        return [self.find(name) for name in made]

    async def lend(
        self, key: str, sessions: list[Session], times: tuple[float, float], take: Callable[[], None]
    ) -> list[str]:
        """Begin leases of fresh sessions, unless meanwhile nobody wants them any more."""
        if self.draining or key in self.abandoned:
            await asyncio.gather(*(session.close() for session in sessions))
            raise Draining if self.draining else SandboxUnavailable(ABANDONED)
        take()
        leases = [Lease(session=session, key=key, ttl_s=times[0], idle_s=times[1]) for session in sessions]
        self.live |= {lease.id: lease for lease in leases}
        return [lease.id for lease in leases]

    @contextlib.asynccontextmanager
    async def passing(self, spec: SandboxSpec) -> AsyncIterator[Session]:
        """A session for one request, without a lease. Waits ``line_s`` for a place. Raises as ``place``."""
        async with self.place(patience=self.limits.line_s):
            session = await self.start(spec)
            try:
                yield session
            finally:
                await asyncio.shield(session.close())

    # -- using

    def find(self, name: str) -> Lease:
        """A lease that lives. Raises Gone."""
        lease = self.live.get(name)
        if lease is None:
            raise Gone(self.ended.get(name, "this server does not know it; was it started again meanwhile?"))
        if why := lease.expired():
            self.end(lease, why)
            raise Gone(why)
        return lease

    @contextlib.contextmanager
    def use(self, name: str) -> Iterator[Session]:
        """A session while something is done in it; if it dies of that, its lease ends. Raises Gone."""
        lease = self.find(name)
        try:
            with lease.use() as session:
                yield session
        except SandboxDied as error:
            why = self.ended.get(name) or str(error)
            self.end(lease, why)
            raise Gone(why) from error

    async def once(self, name: str, key: str, content: bytes, work: Callable[[Session], Awaitable[Answer]]) -> Answer:
        """Do something in a session, or give the answer of when it was done.

        Raises:
            Gone: the session is.
            Draining: it was not done before, and now it is too late.
            Conflict, and what ``work`` raises.
        """
        lease = self.find(name)
        if self.draining and key not in lease.once:
            raise Draining

        async def run() -> Answer:
            with self.use(name) as session:
                return await work(session)

        return await lease.once.run(key, content, run)

    # -- ending

    def end(self, lease: Lease, why: str) -> asyncio.Task[None]:
        """End a lease now; the task is done when its sandbox is gone. Again is the same task."""
        if lease.ending is None:
            self.live.pop(lease.id, None)
            remember(self.ended, lease.id, why)
            log.info("session %s... ended: %s", lease.id[:8], why)
            lease.ending = asyncio.create_task(self.finish(lease))
        return lease.ending

    async def finish(self, lease: Lease) -> None:
        """Close the sandbox of a lease; then its place is free."""
        try:
            await lease.session.close()
        except Exception:
            log.exception("session %s... could not be closed", lease.id[:8])
        finally:
            self.leave()

    async def abandon(self, key: str) -> int:
        """End what a creation made, makes, or would have made; how many sessions that were."""
        remember(self.abandoned, key, None)
        made = [lease for lease in self.live.values() if lease.key == key]
        await asyncio.gather(*(asyncio.shield(self.end(lease, ABANDONED)) for lease in made))
        return len(made)

    async def sweep(self) -> None:
        """End leases as they run out."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for lease in list(self.live.values()):
                if why := lease.expired():
                    self.end(lease, why)

    def under_way(self) -> bool:
        """Whether a request of any session, or one without a session, is being carried out."""
        return self.places > len(self.live) or any(lease.asked for lease in self.live.values())

    async def close(self, patience: float) -> None:
        """Take nothing new, let what is under way end for ``patience`` seconds, end every lease, close the backend."""
        self.draining = True
        await until(lambda: self.hurried or not self.under_way(), patience)
        for lease in list(self.live.values()):
            self.end(lease, "the server is shutting down")
        await until(lambda: not self.places, END_S)
        if self.sweeper:
            self.sweeper.cancel()
        await self.backend.close()


async def until(true: Callable[[], bool], patience: float) -> None:
    """Wait until something is so, for ``patience`` seconds at most."""
    deadline = time.monotonic() + patience
    while not true() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


def remember(table: dict[str, T], key: str, value: T) -> None:
    """Put something in a table that keeps only the last ones."""
    table[key] = value
    if len(table) > REMEMBERED:
        del table[next(iter(table))]
