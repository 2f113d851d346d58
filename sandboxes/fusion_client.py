"""Sessions on a server that speaks SandboxFusion's ``/run_code``: no Python state, since every run is a fresh sandbox.

``run_python`` runs a program of its own: names of earlier ones are gone, and the value of a last expression is not
printed. Files are kept on this side and sent along with every run: those written by ``write_file``, as the last run
left them; files that a run itself makes are lost. The dialect has no ids for requests, so that a call whose answer was
lost is not made again: the session is dead then.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import shlex
from typing import NoReturn

from agentrl.sandboxes.calls import Calls, NoAnswer
from agentrl.sandboxes.fusion import RunCodeRequest, RunCodeResponse
from agentrl.sandboxes.guest import Output
from agentrl.sandboxes.messages import BadRequest, dump, read
from agentrl.sandboxes.session import Channel, Session
from agentrl.sandboxes.spec import (
    Capabilities,
    ExecResult,
    FileRefused,
    SandboxBusy,
    SandboxDied,
    SandboxError,
    SandboxSpec,
    SandboxUnavailable,
    Status,
)

FUSION = Capabilities(
    tier="sandboxfusion", pids="no", memory="no", disk="no", network="host", files="host", processes="host"
)
"""Nothing is known of such a server, so nothing is promised."""
COMPILE_S = 10.0
QUEUE_S = 60.0
"""Seconds that a request may wait on the server for its turn."""


class Nothing(Channel):
    """There is no channel: a sandbox lives for one call."""

    def __init__(self, calls: Calls) -> None:
        self.reader = asyncio.StreamReader()
        self.calls = calls

    async def close(self) -> str:
        """End the connection."""
        self.reader.feed_eof()
        await self.calls.close()
        return ""


class FusionSession(Session):
    """A work folder on this side, and runs on the server.

    Raises:
        SandboxUnavailable: the spec wants environment variables or modules imported ahead, which cannot be said.
    """

    def __init__(self, calls: Calls, spec: SandboxSpec) -> None:
        if spec.env or spec.preload:
            raise SandboxUnavailable("SandboxFusion's protocol knows no env and no preload; leave them out.")
        super().__init__(spec, FUSION.tier, Nothing(calls), self.another)
        self.calls = calls
        self.files = dict(spec.files)

    async def another(self) -> Session:
        """A session of the same spec."""
        return FusionSession(self.calls.twin(), self.spec)

    async def run_python(self, code: str, *, timeout: float = 10.0, max_output: int = 65536) -> ExecResult:
        """Run a program; its names do not stay. Raises SandboxBusy, SandboxDied."""
        return await self.run(code, "python", timeout, max_output)

    async def run_shell(
        self, command: str, *, timeout: float = 10.0, stdin: bytes = b"", cwd: str = ".", max_output: int = 65536
    ) -> ExecResult:
        """Run a command of bash. Raises SandboxBusy, SandboxDied, FileRefused (stdin that is not UTF-8)."""
        try:
            text = stdin.decode()
        except UnicodeDecodeError as error:
            raise FileRefused(f"stdin: SandboxFusion's protocol takes UTF-8 only ({error}).") from None
        place = "" if cwd == "." else f"cd {shlex.quote(cwd)} || exit 127\n"
        return await self.run(place + command, "bash", timeout, max_output, text)

    async def run(self, code: str, language: str, timeout: float, max_output: int, stdin: str = "") -> ExecResult:
        """One ``/run_code``."""
        async with self.turn:
            if self.dead:
                raise SandboxDied(f"The sandbox is gone: {self.dead}.")
            if not 0 < timeout < float("inf"):
                raise SandboxError(f"timeout={timeout}: a number of seconds above 0 is wanted.")
            asked = {
                "code": code, "language": language, "run_timeout": timeout, "compile_timeout": COMPILE_S,
                "memory_limit_MB": self.spec.memory_mb, "stdin": stdin, "fetch_files": list(self.files),
                "files": {path: base64.b64encode(data).decode() for path, data in self.files.items()},
            }  # fmt: skip
            assert asked.keys() <= RunCodeRequest.model_fields.keys()
            try:
                reply = await self.calls.ask(
                    "POST", "/run_code", content=dump(asked), run_s=timeout + COMPILE_S + QUEUE_S, repeatable=False
                )
            except NoAnswer as error:
                if error.code == "busy" and not error.maybe_done:
                    raise SandboxBusy(f"The server has no time: {error}.") from error
                self.die(str(error))
            except asyncio.CancelledError:
                self.dead = "a run in it was cancelled"
                raise
            if reply.status != 200:
                self.die(reply.why())
            try:
                answer: RunCodeResponse = read(RunCodeResponse, reply.body)
                back = {path: base64.b64decode(data, validate=True) for path, data in answer.files.items()}
                self.files = {path: data for path, data in back.items() if path in self.files}
                return result_of(answer, max_output)
            except (BadRequest, binascii.Error) as error:
                self.die(str(error))

    def die(self, why: str) -> NoReturn:
        """This session is over."""
        self.dead = why
        raise SandboxDied(f"The SandboxFusion server did not run it: {why}.")

    async def read_file(self, path: str, *, max_bytes: int = 16 << 20) -> bytes:
        """As `Session.read_file`."""
        data = self.files.get(self.checked(path))
        if data is None:
            raise FileRefused(f"{path!r}: no such file was written here.")
        if len(data) > max_bytes:
            raise FileRefused(f"{path!r}: {len(data)} bytes, more than max_bytes={max_bytes}.")
        return data

    async def write_file(self, path: str, data: bytes) -> None:
        """As `Session.write_file`; the server sees it with the next run."""
        if len(data) > self.spec.max_file_mb << 20:
            raise FileRefused(f"{path!r}: longer than max_file_mb={self.spec.max_file_mb}.")
        self.files[self.checked(path)] = bytes(data)

    async def list_files(self) -> dict[str, int]:
        """The files on this side, with their sizes."""
        self.checked("x")
        return {path: len(data) for path, data in self.files.items()}

    async def reset(self) -> None:
        """Only the files of the spec."""
        self.checked("x")
        self.files = dict(self.spec.files)

    async def fork(self, n: int) -> list[Session]:
        """``n`` sessions with the same files."""
        self.checked("x")
        copies = [FusionSession(self.calls.twin(), self.spec) for _ in range(n)]
        for copy in copies:
            copy.files = dict(self.files)
        return list(copies)

    def checked(self, path: str) -> str:
        """The path without idle parts. Raises FileRefused when it leaves the folder, SandboxDied after the end."""
        if self.dead:
            raise SandboxDied(f"The sandbox is gone: {self.dead}.")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if path.startswith("/") or ".." in parts or "\0" in path or not parts:
            raise FileRefused(f"{path!r}: a path must be relative, inside the work folder, and without '..'.")
        return "/".join(parts)


def result_of(answer: RunCodeResponse, max_output: int) -> ExecResult:
    """An answer as a result. Raises BadRequest when nothing was run."""
    ran = answer.run_result
    if answer.status == "SandboxError" or ran is None or ran.status == "Error":
        raise BadRequest(answer.message or (ran and ran.stderr) or "it gave no reason")
    out, err = Output(max_output), Output(max_output)
    out.add((ran.stdout or "").encode("utf-8", "replace"))
    err.add((ran.stderr or "").encode("utf-8", "replace"))
    code = ran.return_code or 0
    return ExecResult(
        status=status_of(answer, code),
        stdout=out.text(),
        stderr=err.text(),
        exit_code=code if code >= 0 and ran.status == "Finished" else None,
        signal=-code if code < 0 else None,
        truncated=max(out.total, err.total) > max_output,
        total_bytes=(out.total, err.total),
        wall_s=ran.execution_time or 0.0,
        tier=FUSION.tier,
    )


def status_of(answer: RunCodeResponse, code: int) -> Status:
    """The status of a run: only this server's own ``message`` tells a limit from a crash."""
    if answer.run_result and answer.run_result.status == "TimeLimitExceeded":
        return "timeout"
    limits: dict[str | None, Status] = {"oom": "oom", "disk_limit": "disk_limit", "output_limit": "output_limit"}
    if code < 0:
        return limits.get(answer.message, "crashed")
    return "exit" if code else "ok"
