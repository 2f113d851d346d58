"""Sandboxes for blocking code, such as environments: the same sessions, driven by one event loop in a thread.

    boxes = shared("auto", SandboxSpec(memory_mb=128))
    session = boxes.open()
    session.run_python("x = 20")
    session.run_python("x + 1").stdout      # "21\\n"
    session.close()

Calls may come from any number of threads. Sessions come from a pool with limits on how many run and how many start.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import os
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from agentrl.sandboxes.backends import open_backend
from agentrl.sandboxes.pool import SandboxPool
from agentrl.sandboxes.session import Session
from agentrl.sandboxes.spec import ExecResult, SandboxSpec

T = TypeVar("T")
END_S = 10.0
"""Seconds that the end of the program waits for its sandboxes to end; what is left then ends with their launcher."""


class BlockingSession:
    """A `Session` whose methods block; raises what they raise. ``close`` it, or use it in a ``with``."""

    def __init__(self, session: Session, boxes: Sandboxes) -> None:
        self._session = session
        self._boxes = boxes
        self._open = True

    @property
    def dead(self) -> str:
        """Why the session is gone; empty while it lives."""
        return self._session.dead

    def run_python(self, code: str, *, timeout: float = 10.0, max_output: int = 65536) -> ExecResult:
        """Run a cell, see `Session.run_python`."""
        return self._boxes.wait(self._session.run_python(code, timeout=timeout, max_output=max_output))

    def run_shell(
        self, command: str, *, timeout: float = 10.0, stdin: bytes = b"", cwd: str = ".", max_output: int = 65536
    ) -> ExecResult:
        """Run a shell command, see `Session.run_shell`."""
        return self._boxes.wait(
            self._session.run_shell(command, timeout=timeout, stdin=stdin, cwd=cwd, max_output=max_output)
        )

    def read_file(self, path: str, *, max_bytes: int = 16 << 20) -> bytes:
        """A file's content, see `Session.read_file`."""
        return self._boxes.wait(self._session.read_file(path, max_bytes=max_bytes))

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file, see `Session.write_file`."""
        self._boxes.wait(self._session.write_file(path, data))

    def list_files(self) -> dict[str, int]:
        """Files and their sizes, see `Session.list_files`."""
        return self._boxes.wait(self._session.list_files())

    def reset(self) -> None:
        """Back to the start, see `Session.reset`."""
        self._boxes.wait(self._session.reset())

    def fork(self) -> BlockingSession:
        """Another session with the same state, see `Session.fork`. Raises NotForkable."""
        return BlockingSession(self._boxes.wait(self._boxes.pool.fork(self._session)), self._boxes)

    def close(self) -> None:
        """End it; again is nothing."""
        if self._open:
            self._open = False
            self._boxes.wait(self._boxes.pool.give_back(self._session))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Sandboxes:
    """A pool of sandboxes for blocking code. Nothing starts before the first session.

    Args:
        backend: a name as `open_backend` takes it.
        size, starting, ready, patience: limits, as `SandboxPool` takes them.
    """

    def __init__(self, backend: str = "auto", spec: SandboxSpec | None = None, **limits: Any) -> None:
        self._name, self._spec, self._limits = backend, spec, limits
        self._lock = threading.Lock()
        self._pool: SandboxPool | None = None

    @property
    def pool(self) -> SandboxPool:
        """The pool; made, with its backend, when it is first asked for.

        Raises:
            SandboxUnavailable, UnknownName, MissingExtra: the backend does not work here.
        """
        with self._lock:
            if self._pool is None:
                self._pool = SandboxPool(open_backend(self._name), self._spec, **self._limits)
            return self._pool

    def open(self) -> BlockingSession:
        """A sandbox that nobody used before.

        Raises:
            SandboxBusy: no place became free in time.
            SandboxUnavailable: none could be created.
        """
        return BlockingSession(self.wait(self.pool.open()), self)

    def close(self) -> None:
        """End all of its sandboxes and its backend."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            self.wait(_end(pool))

    @staticmethod
    def wait(work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the common event loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, _loop(os.getpid())).result()


async def _end(pool: SandboxPool) -> None:
    await pool.close()
    await pool.backend.close()


_looping = threading.Lock()


def _loop(pid: int) -> asyncio.AbstractEventLoop:
    """The event loop of this process; one forked from it gets its own."""
    with _looping:  # many threads may be the first to ask
        return _loop_of(pid)


@functools.cache
def _loop_of(pid: int) -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="agentrl-sandboxes", daemon=True).start()
    return loop


_shared: dict[tuple[Any, ...], Sandboxes] = {}
_sharing = threading.Lock()


def shared(backend: str = "auto", spec: SandboxSpec | None = None, **limits: Any) -> Sandboxes:
    """The process's pool of a backend, spec and limits."""
    spec = spec or SandboxSpec()
    key = (os.getpid(), backend, spec.key(), *sorted(spec.files.items()), *sorted(limits.items()))
    with _sharing:
        return _shared.setdefault(key, Sandboxes(backend, spec, **limits))


@atexit.register
def _close_shared() -> None:
    async def end() -> None:
        pools = [boxes._pool for key, boxes in _shared.items() if key[0] == os.getpid() and boxes._pool]
        await asyncio.gather(*map(_end, pools), return_exceptions=True)

    if _shared:
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(end(), _loop(os.getpid())).result(END_S)
