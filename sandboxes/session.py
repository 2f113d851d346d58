"""A session: one sandbox, its Python state and its files, over whatever carries the guest agent's frames."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from agentrl.errors import NotForkable
from agentrl.sandboxes.guest import GRACE_S, pack_frame
from agentrl.sandboxes.spec import ExecResult, FileRefused, SandboxDied, SandboxSpec

WATCHDOG_S = 5.0
"""Seconds beyond a run's own deadline after which a silent sandbox is killed."""
FRAME_BYTES = 256 << 20
"""The longest frame taken from an agent."""
CODE_CHARS = 16 << 20
"""The longest cell."""


class Channel:
    """The stream to one guest agent, and how to end what is behind it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        end: Callable[[], Awaitable[str]],
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.end = end
        """Ends the sandbox, waits until nothing is left of it, and returns what it last said outside of frames."""

    async def ask(self, frame: dict[str, Any], patience: float) -> dict[str, Any]:
        """Send a frame and wait ``patience`` seconds for its answer.

        Raises:
            TimeoutError, OSError, EOFError, ValueError: no answer, or one that is not a frame.
        """
        async with asyncio.timeout(patience):
            self.writer.write(pack_frame(frame))
            await self.writer.drain()
            size = int.from_bytes(await self.reader.readexactly(4), "big")
            if size > FRAME_BYTES:
                raise ValueError(f"a frame of {size} bytes")
            answer = json.loads(await self.reader.readexactly(size))
        if not isinstance(answer, dict):
            raise ValueError("a frame that is no object")
        return answer

    async def close(self) -> str:
        """End the sandbox."""
        self.writer.close()
        said = await self.end()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
        return said


class Session:
    """One sandbox. Runs take turns; everything but ``close`` raises SandboxDied once it is gone."""

    def __init__(self, spec: SandboxSpec, tier: str, channel: Channel, again: Callable[[], Awaitable[Session]]) -> None:
        self.spec = spec
        self.tier = tier
        self.channel = channel
        self.again = again
        """Creates another session of the same spec, for ``fork``."""
        self.cells: list[str] = []
        """The cells that made the present Python state."""
        self.replayable = True
        self.replayed = 0
        """How many of the cells were run again for a fork."""
        self.dead = ""
        """Why the session is gone; empty while it lives."""
        self.turn = asyncio.Lock()
        self.closing: asyncio.Future[str] | None = None

    async def run_python(self, code: str, *, timeout: float = 10.0, max_output: int = 65536) -> ExecResult:
        """Run a cell. Its names stay for the next one; the value of a last line that is an expression is printed.

        Args:
            code: at most 16 Mi characters.
            timeout: seconds; then KeyboardInterrupt, 0.3 s later the end of the worker (``session_reset``).
            max_output: bytes of each stream that are returned.

        Raises:
            SandboxDied: the sandbox is gone.
        """
        if len(code) > CODE_CHARS:
            raise FileRefused(f"a cell of {len(code)} characters; at most {CODE_CHARS} can be sent.")
        answer = await self.request(timeout, op="exec", code=code, timeout=timeout, max_output=max_output)
        result = self.result(answer)
        if result.session_reset:
            self.cells, self.replayable = [], True
        else:
            self.cells.append(code)
            self.replayable = self.replayable and result.status in ("ok", "error", "exit")
        return result

    async def run_shell(
        self, command: str, *, timeout: float = 10.0, stdin: bytes = b"", cwd: str = ".", max_output: int = 65536
    ) -> ExecResult:
        """Run ``sh -c command`` in the work folder. ``exit`` is any status but 0; no variable outlives it.

        Raises:
            SandboxDied: the sandbox is gone.
        """
        data = base64.b64encode(stdin).decode()
        frame = {"op": "shell", "command": command, "stdin": data, "cwd": cwd, "max_output": max_output}
        answer = await self.request(timeout, timeout=timeout, **frame)
        result = self.result(answer)
        self.replayable = self.replayable and not result.session_reset
        return result

    async def read_file(self, path: str, *, max_bytes: int = 16 << 20) -> bytes:
        """A regular file of the work folder.

        Raises:
            FileRefused: no such file, a link, a pipe, a path out of the folder, or longer than ``max_bytes``.
            SandboxDied: the sandbox is gone.
        """
        answer = await self.request(op="get", path=path, max_bytes=max_bytes)
        return base64.b64decode(answer["data"])

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file of the work folder whole, with the folders on its way. Raises as ``read_file``."""
        await self.request(op="put", path=path, data=base64.b64encode(data).decode())

    async def list_files(self) -> dict[str, int]:
        """The regular files of the work folder with their sizes in bytes; links are not followed or listed."""
        answer = await self.request(op="list")
        return {str(path): int(size) for path, size in answer["files"].items()}

    async def reset(self) -> None:
        """No process, no Python state, and only the files of the spec."""
        await self.request(op="reset")
        self.cells, self.replayable = [], True
        for path, data in self.spec.files.items():
            await self.write_file(path, data)

    async def fork(self, n: int) -> list[Session]:
        """``n`` new sessions with the same state: the cells are run again, then the files are copied.

        Outputs are thrown away; time, randomness and background processes may differ. ``replayed`` counts the cells.

        Raises:
            NotForkable: a cell was cut short, so that running it again would not give the same state.
        """
        if not self.replayable:
            raise NotForkable("a cell of this session was interrupted: running it again may not give the same state.")
        files = {path: await self.read_file(path) for path in await self.list_files()}
        made = await asyncio.gather(*(self.copy(files) for _ in range(n)), return_exceptions=True)
        broken = next((one for one in made if isinstance(one, BaseException)), None)
        copies = [one for one in made if isinstance(one, Session)]
        if broken is not None:
            await asyncio.gather(*(one.close() for one in copies))
            raise broken
        return copies

    async def copy(self, files: dict[str, bytes]) -> Session:
        """One fork."""
        other = await self.again()
        try:
            for cell in self.cells:
                await other.run_python(cell, timeout=60.0, max_output=1024)
            other.replayed = len(self.cells)
            for path, data in files.items():
                await other.write_file(path, data)
        except BaseException:
            await other.close()
            raise
        return other

    def result(self, answer: dict[str, Any]) -> ExecResult:
        """The answer as a result."""
        try:
            return ExecResult.from_frame(answer, self.tier)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            self.dead = f"its agent answered out of form ({error!r})"
            raise SandboxDied(f"The sandbox is gone: {self.dead}.") from error

    async def request(self, run_s: float = 10.0, /, **frame: Any) -> dict[str, Any]:
        """One question to the agent; whatever goes wrong with it ends the session."""
        async with self.turn:
            if self.dead:
                raise SandboxDied(f"The sandbox is gone: {self.dead}.")
            frame["nonce"] = secrets.token_hex(16)
            try:
                answer = await self.channel.ask(frame, run_s + GRACE_S + WATCHDOG_S)
                if answer.get("nonce") != frame["nonce"]:
                    raise ValueError("an answer to another question")
            except BaseException as error:
                self.dead = "a run in it was cancelled" if isinstance(error, asyncio.CancelledError) else repr(error)
                said = await asyncio.shield(self.close())
                if not isinstance(error, (OSError, EOFError, ValueError)):
                    raise
                raise SandboxDied(f"The sandbox died: {self.dead}. {said}".strip()) from error
        if "refused" in answer:
            raise FileRefused(f"{frame.get('path', frame['op'])!r}: {answer['refused']}.")
        return answer

    def lost(self) -> bool:
        """Whether the session is known to be gone, without asking it."""
        return bool(self.dead) or self.channel.reader.at_eof()

    async def close(self) -> str:
        """End the sandbox and everything in it; again is nothing. Returns what it said outside of frames."""
        self.dead = self.dead or "it was closed"
        if self.closing is None:
            self.closing = asyncio.ensure_future(self.channel.close())
        return await asyncio.shield(self.closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
