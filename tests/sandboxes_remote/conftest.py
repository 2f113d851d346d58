"""Real servers on real sandboxes, in a thread with an event loop of its own; clients are in the test's.

The tier is the quickest that works here; where none does, code runs without isolation, for it is all of these tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from faults import Proxy

from agentrl.sandboxes import LocalBackend, SandboxSpec, Session
from agentrl.sandboxes.calls import Patience
from agentrl.sandboxes.guest import processes
from agentrl.sandboxes.local import report
from agentrl.sandboxes.messages import Limits
from agentrl.sandboxes.remote import RemoteBackend
from agentrl.sandboxes.server import SandboxServer

T = TypeVar("T")
TOKEN = "the-token-of-these-tests"
QUICK = Patience(tries=5, first_s=0.02, most_s=0.1, total_s=5.0, late_s=10.0)


@cache
def tier() -> str:
    return next((name for name in ("landlock", "namespace") if report(name).works), "none")


def local() -> LocalBackend:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return LocalBackend(tier(), allow_unsafe=True)


class Lent:
    """A backend that outlives the servers that use it."""

    def __init__(self, backend: LocalBackend) -> None:
        self.backend = backend
        self.name, self.capabilities = backend.name, backend.capabilities
        self.created = 0

    async def create(self, spec: SandboxSpec | None = None) -> Session:
        self.created += 1
        return await self.backend.create(spec)

    async def close(self) -> None:
        """The sandboxes are closed one by one."""


class Running(NamedTuple):
    """A server that runs."""

    server: SandboxServer
    address: tuple[str, int]

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def client(self, url: str = "", **options: Any) -> RemoteBackend:
        return RemoteBackend(url or self.url, **{"token": TOKEN, "patience": QUICK} | options)


class World:
    """The thread of the servers."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.backend = local()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def start(
        self, *, port: int = 0, token: str | None = TOKEN, backend: Any = None, deadlines: Any = None, **limits: Any
    ) -> Running:
        """A server; whoever starts it closes it."""

        async def begin() -> Running:
            server = SandboxServer(
                backend or Lent(self.backend), token=token, limits=Limits(**limits), deadlines=deadlines
            )
            return Running(server, await server.start("127.0.0.1", port))

        return self.do(begin())

    @contextlib.contextmanager
    def serve(self, **options: Any) -> Iterator[Running]:
        running = self.start(**options)
        try:
            yield running
        finally:
            self.do(running.server.close(2.0))
            assert running.server.leases.places == 0
            assert not running.server.connections.open

    @contextlib.contextmanager
    def proxy(self, running: Running) -> Iterator[tuple[Proxy, str]]:
        """A proxy before a server, and its URL."""
        proxy = Proxy(running.address)
        url = self.do(proxy.start())
        try:
            yield proxy, url
        finally:
            self.do(proxy.close())

    def close(self) -> None:
        self.do(self.backend.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A connection that is cancelled before it began makes anyio forget a coroutine, and Python says so some time."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore:coroutine 'connect_tcp:RuntimeWarning"))


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@pytest.fixture(scope="module")
def running(world: World) -> Iterator[Running]:
    """A server with ordinary limits."""
    with world.serve(idle_s=60.0) as running:
        yield running


def play(backend: RemoteBackend, scene: Callable[[RemoteBackend], Awaitable[T]]) -> T:
    """Run a scene with a client, and close it."""

    async def whole() -> T:
        try:
            return await scene(backend)
        finally:
            await backend.close()

    return asyncio.run(whole())


class Bench(NamedTuple):
    """What the tests of ``tests/sandboxes/test_session.py`` take: a backend and the event loop it is used from."""

    backend: RemoteBackend
    loop: asyncio.Runner
    behind: LocalBackend

    def below(self) -> set[int]:
        """Processes of the server's sandboxes."""
        launcher = self.behind.launcher.process
        table, more, found = dict(processes()), {launcher.pid} if launcher else set(), set[int]()
        while more:
            more = {pid for pid, parent in table.items() if parent in more}
            found |= more
        return found

    def strike(self) -> None:
        """Kill every process of every sandbox, from outside."""
        for pid in self.below():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
