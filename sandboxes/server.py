"""Sandboxes over HTTP: the server behind ``agentrl sandbox serve``.

    GET    /healthz                         200, or 503 while shutting down; needs no token
    GET    /v1/info                         protocol, version, tier, capabilities, limits, how many sessions
    POST   /v1/sessions                     {spec, idempotency_key, ttl_s, idle_s} -> 201 {id, tier, expires_at, ...}
    DELETE /v1/creations/KEY                give up a creation or a fork, whether it was answered or not
    POST   /v1/sessions/ID/exec             {request_id, language, code, timeout_s, max_output_bytes, ...} -> ExecResult
    GET    /v1/sessions/ID/files            {files: {path: bytes}}; with ?path=&max_bytes= the file itself
    PUT    /v1/sessions/ID/files            ?path=&request_id=; the body is the file
    POST   /v1/sessions/ID/reset|fork       {request_id}, for fork also n -> 201 {sessions: [...]}
    POST   /v1/sessions/ID/heartbeat        {expires_at}; keeps a lease from being idle
    DELETE /v1/sessions/ID                  ends it; again is nothing
    POST   /run_code, GET /v1/ping          SandboxFusion's dialect

A request id is carried out once; asked again it gets the same answer (``once.py``). Errors are ``{code, message}``:
400 bad_request, 401 unauthorized, 403 forbidden, 404 session_gone or not_found, 409 conflict, 413 too_large,
422 file_refused or not_forkable, 429 busy, 500 internal, 503 unavailable or shutting_down.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hmac
import importlib.metadata
import os
import ssl
import time
from typing import Any

from agentrl.sandboxes import fusion
from agentrl.sandboxes.backends import Backend
from agentrl.sandboxes.lease import Gone, Lease
from agentrl.sandboxes.leases import Draining, Leases
from agentrl.sandboxes.messages import (
    PROTOCOL,
    BadRequest,
    CreateBody,
    ExecBody,
    ForkBody,
    Limits,
    ResetBody,
    dump,
    read,
)
from agentrl.sandboxes.refusals import explain, refusal
from agentrl.sandboxes.session import Session
from agentrl.sandboxes.spec import FileRefused, SandboxBusy
from agentrl.sandboxes.wire import Answer, Connections, Deadlines, Head, Refused


class SandboxServer:
    """Lends the sandboxes of a backend.

    Args:
        backend: where they come from; closed with the server.
        token: what clients must send as ``Authorization: Bearer TOKEN``; None lets everyone in.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        token: str | None = None,
        limits: Limits | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self.backend = backend
        self.token = token
        self.limits = limits or Limits()
        self.leases = Leases(backend, self.limits)
        self.connections = Connections(
            self.admit, self.handle, refusal, most=self.limits.connections, deadlines=deadlines
        )

    async def start(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Begin to serve; the address, where port 0 is one that was free. Raises OSError."""
        address = await self.connections.listen(host, port, tls)
        self.leases.sweeper = asyncio.create_task(self.leases.sweep())
        return address

    async def close(self, patience: float = 10.0) -> None:
        """Take nothing new (503), let runs end for ``patience`` seconds, then end every session and connection."""
        await self.leases.close(patience)
        await self.connections.close()

    # -- who may ask, and how much

    def admit(self, head: Head) -> int:
        """The longest body that a request may have. Raises Refused."""
        if "origin" in head.headers:
            raise Refused(refusal(403, "browsers are not served"))
        if self.token is not None and head.path != ["healthz"]:
            kind, _, given = head.headers.get("authorization", "").partition(" ")
            same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), self.token.encode())
            if kind.lower() != "bearer" or not same:
                raise Refused(refusal(401, "a token is wanted: Authorization: Bearer TOKEN"))
        return self.limits.body_bytes

    async def handle(self, head: Head, body: bytes) -> Answer:
        """Answer a request."""
        try:
            return await self.route(head, body)
        except Exception as error:
            return explain(error)

    async def route(self, head: Head, body: bytes) -> Answer:
        """Find who answers."""
        if head.method == "POST" and "json" not in head.headers.get("content-type", "json"):
            raise BadRequest("Content-Type: application/json is wanted")
        match (head.method, *head.path):
            case ("GET" | "HEAD", "healthz"):
                return refusal(503, "shutting down", "shutting_down") if self.leases.draining else reply({"ok": True})
            case ("GET", "v1", "info"):
                return reply(self.info())
            case ("GET", "v1", "ping"):
                return Answer(200, b'"pong"')
            case ("POST", "run_code"):
                return await self.run_code(body)
            case ("POST", "v1", "sessions"):
                return await self.create(body)
            case ("DELETE", "v1", "creations", key):
                return reply({"ended": await self.leases.abandon(key)})
            case ("DELETE", "v1", "sessions", name):
                return await self.end(name)
            case (method, "v1", "sessions", name, verb):
                return await self.within(method, name, verb, head, body)
        return refusal(404, f"no {head.method} of /{'/'.join(head.path)}; see GET /v1/info")

    async def within(self, method: str, name: str, verb: str, head: Head, body: bytes) -> Answer:
        """What is asked of one session."""
        match (method, verb):
            case ("POST", "exec"):
                return await self.execute(name, body)
            case ("GET", "files"):
                return await self.look(name, head.query)
            case ("PUT", "files"):
                return await self.put(name, head.query, body)
            case ("POST", "reset"):
                return await self.reset(name, body)
            case ("POST", "fork"):
                return await self.fork(name, body)
            case ("POST", "heartbeat"):
                lease = self.leases.find(name)
                lease.touched = time.monotonic()
                return reply(describe(lease))
        return refusal(404, f"no {method} of a session's '{verb}'")

    # -- answers

    def info(self) -> dict[str, Any]:
        """What this server is and promises."""
        return {
            "server": "agentrl-sandbox",
            "protocol": PROTOCOL,
            "version": version(),
            "backend": self.backend.name,
            "capabilities": dataclasses.asdict(self.backend.capabilities),
            "limits": dataclasses.asdict(self.limits),
            "sessions": self.leases.places,
            "shutting_down": self.leases.draining,
        }

    async def create(self, body: bytes) -> Answer:
        """Lend a session."""
        asked: CreateBody = read(CreateBody, body)
        spec = asked.spec.spec(self.limits)
        lease = await self.leases.create(asked.idempotency_key, body, spec, asked.ttl_s, asked.idle_s)
        return reply(describe(lease), 201)

    async def execute(self, name: str, body: bytes) -> Answer:
        """Run a cell or a command."""
        asked: ExecBody = read(ExecBody, body).check(self.limits)

        async def work(session: Session) -> Answer:
            if asked.language == "python":
                result = await session.run_python(
                    asked.code, timeout=asked.timeout_s, max_output=asked.max_output_bytes
                )
            else:
                result = await session.run_shell(
                    asked.code,
                    timeout=asked.timeout_s,
                    stdin=asked.stdin,
                    cwd=asked.cwd,
                    max_output=asked.max_output_bytes,
                )
            return reply(result.to_dict())

        return await self.leases.once(name, asked.request_id, body, work)

    async def look(self, name: str, query: dict[str, str]) -> Answer:
        """A file, or the names of all."""
        if "path" not in query:
            with self.leases.use(name) as session:
                return reply({"files": await session.list_files()})
        text = query.get("max_bytes", str(16 << 20))
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise BadRequest(f"max_bytes={text[:20]!r}: a number is wanted")
        with self.leases.use(name) as session:
            data = await session.read_file(path_of(query), max_bytes=min(int(text), self.limits.body_bytes))
        return Answer(200, data, (("Content-Type", "application/octet-stream"),))

    async def put(self, name: str, query: dict[str, str], body: bytes) -> Answer:
        """Write a file."""
        path = path_of(query)
        key = read(ResetBody, dump({"request_id": query.get("request_id", "")})).request_id

        async def work(session: Session) -> Answer:
            await session.write_file(path, body)
            return reply({})

        return await self.leases.once(name, key, path.encode("utf-8", "surrogatepass") + b"\0" + body, work)

    async def reset(self, name: str, body: bytes) -> Answer:
        """Bring a session back to its start."""
        asked: ResetBody = read(ResetBody, body)

        async def work(session: Session) -> Answer:
            await session.reset()
            return reply({})

        return await self.leases.once(name, asked.request_id, b"reset" + body, work)

    async def fork(self, name: str, body: bytes) -> Answer:
        """Lend copies of a session."""
        asked: ForkBody = read(ForkBody, body)
        leases = await self.leases.fork(name, asked.request_id, name.encode() + body, asked.n)
        return reply({"sessions": [describe(lease) for lease in leases]}, 201)

    async def end(self, name: str) -> Answer:
        """End a session; one that has ended before is no error."""
        if lease := self.leases.live.get(name):
            await asyncio.shield(self.leases.end(lease, "its client closed it"))
        elif name not in self.leases.ended:
            raise Gone("this server does not know it")
        return reply({})

    async def run_code(self, body: bytes) -> Answer:
        """SandboxFusion's: one program in a sandbox of its own."""
        asked: fusion.RunCodeRequest = read(fusion.RunCodeRequest, body)

        async def work() -> fusion.RunCodeResponse:
            async with self.leases.passing(fusion.spec_of(asked, self.limits)) as session:
                return await fusion.run(asked, session)

        try:
            answer = await asyncio.shield(asyncio.ensure_future(work()))
        except (SandboxBusy, Draining):
            raise
        except Exception as error:
            answer = fusion.RunCodeResponse(status="SandboxError", message=str(error))
        return reply(answer.model_dump())


def version() -> str:
    """Of the installed distribution."""
    try:
        return importlib.metadata.version("agentrl-suite")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def reply(data: dict[str, Any], status: int = 200) -> Answer:
    """An answer that is an object."""
    return Answer(status, dump(data))


def describe(lease: Lease) -> dict[str, Any]:
    """A lease as its client sees it."""
    return {
        "id": lease.id,
        "tier": lease.session.tier,
        "expires_at": time.time() + lease.expires_s(),
        "ttl_s": lease.ttl_s,
        "idle_s": lease.idle_s,
        "replayed": lease.session.replayed,
    }


def path_of(query: dict[str, str]) -> str:
    """The path that is asked for. Raises FileRefused when no file can have it."""
    path = query.get("path", "")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise FileRefused(f"{path!r}: not a path.") from None
    return path
