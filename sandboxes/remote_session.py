"""A session on a server of ``agentrl sandbox serve``: every operation is a call, and every failure has its type."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from agentrl.errors import NotForkable
from agentrl.sandboxes.calls import Calls, NoAnswer, Patience, Reply
from agentrl.sandboxes.guest import GRACE_S
from agentrl.sandboxes.messages import BadRequest, Json, dump, result_of
from agentrl.sandboxes.session import CODE_CHARS, WATCHDOG_S, Channel, Session
from agentrl.sandboxes.spec import (
    ExecResult,
    FileRefused,
    SandboxBusy,
    SandboxDied,
    SandboxError,
    SandboxSpec,
    SandboxUnavailable,
)

if TYPE_CHECKING:
    from agentrl.sandboxes.remote import RemoteBackend

TOKEN = "AGENTRL_SANDBOX_TOKEN"
"""The environment variable of the token, on both sides."""
FORK_S = 600.0
"""Seconds that it may need for a fork, which runs the session's cells again."""
SOON = Patience(tries=3, total_s=5.0, late_s=5.0)
"""For what may fail: closing, heartbeats."""
UNDONE: dict[str, type[SandboxError]] = {"busy": SandboxBusy, "unavailable": SandboxUnavailable}
"""Answers after which everything is as it was before."""


class Remains(Channel):
    """What is left of a channel when the sandbox is elsewhere: its reader ends once the sandbox is known to be gone."""

    def __init__(self, end: Callable[[], Awaitable[str]]) -> None:
        self.reader = asyncio.StreamReader()
        self.end = end

    async def close(self) -> str:
        """End the sandbox."""
        self.over()
        return await self.end()

    def over(self) -> None:
        """The sandbox is gone."""
        if not self.reader.at_eof():
            self.reader.feed_eof()


class RemoteSession(Session):
    """A session on a server; does what `Session` does, and raises what it raises.

    Besides, every call may raise SandboxBusy (the server had no time for it; nothing was done), SandboxUnavailable (the
    server refuses the token) and SandboxError (the server does not allow it; nothing was done).
    """

    def __init__(self, backend: RemoteBackend, spec: SandboxSpec, lease: Json, calls: Calls) -> None:
        super().__init__(spec, str(lease["tier"]), Remains(self.end), lambda: backend.create(spec))
        self.backend, self.calls = backend, calls
        self.asking = False
        """Whether a call is under way."""
        self.id = str(lease["id"])
        self.idle_s = max(float(lease["idle_s"]), 0.03)
        self.replayed = int(lease["replayed"])

    async def run_python(self, code: str, *, timeout: float = 10.0, max_output: int = 65536) -> ExecResult:
        """As `Session.run_python`."""
        if len(code) > CODE_CHARS:
            raise FileRefused(f"a cell of {len(code)} characters; at most {CODE_CHARS} can be sent.")
        return await self.execute({"language": "python", "code": code}, timeout, max_output)

    async def run_shell(
        self, command: str, *, timeout: float = 10.0, stdin: bytes = b"", cwd: str = ".", max_output: int = 65536
    ) -> ExecResult:
        """As `Session.run_shell`."""
        data = base64.b64encode(stdin).decode()
        asked = {"language": "shell", "code": command, "stdin": data, "cwd": cwd}
        return await self.execute(asked, timeout, max_output)

    async def execute(self, asked: Json, timeout: float, max_output: int) -> ExecResult:
        """Run a cell or a command."""
        if not 0 < timeout < float("inf"):
            raise SandboxError(f"timeout={timeout}: a number of seconds above 0 is wanted.")
        asked |= {"request_id": new_id(), "timeout_s": timeout, "max_output_bytes": max_output}
        reply = await self.call("POST", "exec", dump(asked), run_s=timeout + GRACE_S + WATCHDOG_S)
        try:
            return result_of(reply.data)
        except BadRequest as error:
            self.lose(f"its server answered out of form ({error})")
            raise SandboxDied(f"The sandbox is gone: {self.dead}.") from error

    async def read_file(self, path: str, *, max_bytes: int = 16 << 20) -> bytes:
        """As `Session.read_file`."""
        query = {"path": quoted(path), "max_bytes": str(max_bytes)}
        return (await self.call("GET", "files", query=query, raw=True)).body

    async def write_file(self, path: str, data: bytes) -> None:
        """As `Session.write_file`."""
        await self.call("PUT", "files", data, query={"path": quoted(path), "request_id": new_id()})

    async def list_files(self) -> dict[str, int]:
        """As `Session.list_files`."""
        files = (await self.call("GET", "files")).data.get("files", {})
        return {str(path): int(size) for path, size in files.items()}

    async def reset(self) -> None:
        """As `Session.reset`."""
        await self.call("POST", "reset", dump({"request_id": new_id()}), run_s=30.0)

    async def fork(self, n: int) -> list[Session]:
        """As `Session.fork`; the server runs the cells again and copies the files. Raises SandboxBusy without room."""
        if n < 1:
            return []
        key = new_id()
        try:
            reply = await self.call("POST", "fork", dump({"request_id": key, "n": n}), run_s=FORK_S)
            return [self.backend.adopt(self.spec, lease, self.calls.twin()) for lease in reply.data["sessions"]]
        except (KeyError, TypeError, ValueError) as error:
            self.backend.abandon(key)
            self.lose(f"its server answered out of form ({error!r})")
            raise SandboxDied(f"The sandbox is gone: {self.dead}.") from error
        except (SandboxDied, asyncio.CancelledError):
            self.backend.abandon(key)
            raise

    async def call(
        self,
        method: str,
        verb: str,
        content: bytes = b"",
        *,
        query: Mapping[str, str] | None = None,
        run_s: float = 15.0,
        raw: bool = False,
    ) -> Reply:
        """Ask the server something of this session; calls take turns."""
        async with self.turn:
            if self.dead:
                raise SandboxDied(f"The sandbox is gone: {self.dead}.")
            try:
                reply = await self.ask(method, verb, content=content, query=query, run_s=run_s, raw=raw)
            except NoAnswer as error:
                if not error.maybe_done and error.code in UNDONE:
                    raise UNDONE[error.code](f"The server could not do it: {error}.") from error
                self.lose(str(error))
                raise SandboxDied(f"The sandbox is out of reach: {error}.") from error
            except BaseException:
                self.dead = self.dead or "a run in it was cancelled"
                await asyncio.shield(self.close())
                raise
            return self.judge(reply)

    async def ask(self, method: str, verb: str, **how: Any) -> Reply:
        """A call over the session's own connection, which ends with the last one. Raises NoAnswer."""
        self.asking = True
        try:
            return await self.calls.ask(method, f"{self.path}/{verb}", **how)
        finally:
            self.asking = False
            if self.closing is not None:
                await self.calls.close()

    def judge(self, reply: Reply) -> Reply:
        """The reply if it is a good one; else the exception that it means."""
        if reply.status in (200, 201):
            return reply
        why, code = reply.why(), reply.data.get("code")
        if code == "not_forkable":
            raise NotForkable(why)
        if code in ("file_refused", "too_large"):
            raise FileRefused(why)
        if code == "bad_request":
            raise SandboxError(f"The server does not allow it: {why}.")
        self.lose(why)
        if reply.status in (401, 403):
            raise refused(why)
        raise SandboxDied(f"The sandbox is gone: {why}.")

    def lose(self, why: str) -> None:
        """Give the session up; what may be left of it is ended in the background."""
        self.dead = self.dead or why
        self.backend.sessions.discard(self)
        if self.closing is None:
            self.closing = asyncio.ensure_future(self.channel.close())

    @property
    def path(self) -> str:
        """Where the server keeps it."""
        return f"/v1/sessions/{quote(self.id, safe='')}"

    async def beat(self) -> None:
        """Tell the server that the session is still wanted, and learn if it is gone."""
        with contextlib.suppress(NoAnswer):
            reply = await self.backend.calls.ask("POST", f"{self.path}/heartbeat", run_s=0.0, patience=SOON)
            if reply.data.get("code") == "session_gone":
                self.lose(reply.why())

    async def end(self) -> str:
        """Have the server end it; a server that does not answer ends it ``idle_s`` after the last heartbeat."""
        self.backend.sessions.discard(self)
        if not self.asking:
            await self.calls.close()
        try:
            await self.backend.calls.ask("DELETE", self.path, run_s=5.0, patience=SOON)
        except NoAnswer as error:
            return f"the server did not confirm its end: {error}"
        return ""


def refused(why: str) -> SandboxUnavailable:
    """The server does not let us in."""
    return SandboxUnavailable(f"The server refuses the token ({why}). Set {TOKEN} to the one it was started with.")


def new_id() -> str:
    """An id that no other request has."""
    return uuid.uuid4().hex


def quoted(path: str) -> str:
    """A path as a word of a query."""
    return quote(path, safe="", errors="surrogatepass")
