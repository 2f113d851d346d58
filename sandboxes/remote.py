"""The backend ``remote``: sandboxes of a server that ``agentrl sandbox serve`` runs, or of a SandboxFusion server.

What a sandbox promises is what the server's ``/v1/info`` states. This side adds a deadline to every call, tries again
where that is safe (``calls.py``), and turns what goes wrong into the same exceptions as every backend's. Nothing runs
twice: a request that may have been carried out is only sent again with its id, for which the server carries it out
once. A session whose state is in doubt is dead; it is never silently made anew.

The client keeps its sessions alive with heartbeats. When it dies, the server ends them ``idle_s`` later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Coroutine
from typing import Any, Literal, TypeVar

from agentrl.errors import UnknownName
from agentrl.sandboxes.calls import Calls, NoAnswer, Patience
from agentrl.sandboxes.fusion_client import FUSION, FusionSession
from agentrl.sandboxes.messages import PROTOCOL, Json, SpecBody, dump
from agentrl.sandboxes.remote_session import SOON, TOKEN, UNDONE, RemoteSession, new_id, refused
from agentrl.sandboxes.session import Session
from agentrl.sandboxes.spec import (
    Capabilities,
    SandboxSpec,
    SandboxUnavailable,
)

T = TypeVar("T")
CREATE_S = 120.0
"""Seconds that a server may need for a new sandbox, with the wait for its turn."""
FIRST = Patience(tries=5, total_s=10.0, late_s=5.0)
"""For the first question to a server."""


class RemoteBackend:
    """Sandboxes of a server; used within one event loop.

    Args:
        url: ``http://HOST:PORT`` or ``https://HOST:PORT``.
        token: what the server wants as a bearer token; None takes it from AGENTRL_SANDBOX_TOKEN if that is set.
        protocol: ``agentrl``, or ``sandboxfusion`` for a server of that kind, whose sessions keep no Python state.
        ttl_s: seconds that a session may live; the server may allow less.
        idle_s: seconds after which a session is ended whose client has died.
        patience: how often and how long a call is made again.
        proxy: an HTTP proxy; those of the environment are not taken.
        verify: an `ssl.SSLContext`, for a certificate that the system does not know.

    Raises:
        SandboxUnavailable: no such server answers, or it refuses the token.
        ConfigError: the URL is none.
        MissingExtra: httpx is not installed.
    """

    name = "remote"

    def __init__(
        self,
        url: str,
        token: str | None = None,
        protocol: Literal["agentrl", "sandboxfusion"] | str = "agentrl",
        *,
        ttl_s: float = 6 * 3600.0,
        idle_s: float = 300.0,
        patience: Patience | None = None,
        proxy: str | None = None,
        verify: Any = True,
    ) -> None:
        if protocol not in ("agentrl", "sandboxfusion"):
            raise UnknownName("protocol", protocol, ["agentrl", "sandboxfusion"])
        self.url, self.protocol = url, protocol
        self.ttl_s, self.idle_s = ttl_s, idle_s
        token = os.environ.get(TOKEN) or None if token is None else token
        self.calls = Calls(url, token, patience=patience, proxy=proxy, verify=verify)
        """For heartbeats and ends; each session has a twin of it, with one connection."""
        self.info = in_thread(self.probe(self.calls.twin()))
        """What the server says of itself; empty for SandboxFusion."""
        self.capabilities = FUSION if protocol == "sandboxfusion" else capabilities_of(self.info)
        self.tier = self.capabilities.tier
        self.sessions: set[RemoteSession] = set()
        self.beats: asyncio.Task[None] | None = None
        self.leftovers: set[asyncio.Future[Any]] = set()

    async def probe(self, calls: Calls) -> Json:
        """Ask the server what it is. Raises SandboxUnavailable."""
        path = "/v1/ping" if self.protocol == "sandboxfusion" else "/v1/info"
        try:
            reply = await calls.ask("GET", path, run_s=0.0, patience=FIRST, raw=self.protocol == "sandboxfusion")
        except NoAnswer as error:
            raise SandboxUnavailable(f"No sandbox server answers: {error}. {HINT}") from error
        finally:
            await calls.close()
        if reply.status in (401, 403):
            raise refused(reply.why())
        if self.protocol == "sandboxfusion" and reply.status == 200:
            return {}
        info = reply.data
        if reply.status != 200 or info.get("server") != "agentrl-sandbox":
            raise SandboxUnavailable(f"{self.url} is no sandbox server of this kind ({reply.why()}). {HINT}")
        if info.get("protocol") != PROTOCOL:
            raise SandboxUnavailable(
                f"{self.url} speaks version {info.get('protocol')} of the protocol, this client {PROTOCOL}: "
                "install the same version on both sides."
            )
        return info

    async def create(self, spec: SandboxSpec | None = None) -> Session:
        """A new sandbox, ready for its first cell.

        Raises:
            SandboxBusy: the server has no place, nor had one while it was asked again.
            SandboxUnavailable: it could not, does not allow the spec, or did not answer.
        """
        spec = spec or SandboxSpec()
        if self.protocol == "sandboxfusion":
            return FusionSession(self.calls.twin(), spec)
        key, calls = new_id(), self.calls.twin()
        asked = {"spec": SpecBody.of(spec), "idempotency_key": key, "ttl_s": self.ttl_s, "idle_s": self.idle_s}
        try:
            reply = await calls.ask("POST", "/v1/sessions", content=dump(asked), run_s=CREATE_S)
            if reply.status in (401, 403):
                raise refused(reply.why())
            if reply.status != 201:
                raise SandboxUnavailable(f"The server creates no sandbox: {reply.why()}.")
            return self.adopt(spec, reply.data, calls)
        except BaseException as error:
            if not isinstance(error, SandboxUnavailable):
                self.abandon(key)
            await calls.close()
            if isinstance(error, NoAnswer):
                kind = SandboxUnavailable if error.maybe_done else UNDONE.get(error.code, SandboxUnavailable)
                raise kind(f"No sandbox was created: {error}.") from error
            if isinstance(error, (KeyError, TypeError, ValueError)):
                raise SandboxUnavailable(f"The server answered out of form: {error!r}.") from error
            raise

    def adopt(self, spec: SandboxSpec, lease: Json, calls: Calls) -> RemoteSession:
        """A session that the server has made; it gets heartbeats from now on."""
        session = RemoteSession(self, spec, lease, calls)
        self.sessions.add(session)
        if self.beats is None or self.beats.done():
            self.beats = asyncio.create_task(self.keep_alive())
        return session

    async def keep_alive(self) -> None:
        """Heartbeats, three in the shortest ``idle_s``, for as long as there are sessions."""
        while self.sessions:
            await asyncio.sleep(min(session.idle_s for session in self.sessions) / 3)
            await asyncio.gather(*(session.beat() for session in self.sessions), return_exceptions=True)

    def abandon(self, key: str) -> None:
        """Tell the server in the background that what a request was to create is not wanted."""

        async def tell() -> None:
            with contextlib.suppress(NoAnswer):
                await self.calls.ask("DELETE", f"/v1/creations/{key}", run_s=5.0, patience=SOON)

        task = asyncio.ensure_future(tell())
        self.leftovers.add(task)
        task.add_done_callback(self.leftovers.discard)

    async def close(self) -> None:
        """End every session and connection."""
        if self.beats:
            self.beats.cancel()
        await asyncio.gather(*(session.close() for session in list(self.sessions)), *self.leftovers)
        await self.calls.close()


HINT = "Start one with: agentrl sandbox serve"


def capabilities_of(info: Json) -> Capabilities:
    """What the server promises. Raises SandboxUnavailable."""
    try:
        return Capabilities(**info["capabilities"])
    except (KeyError, TypeError) as error:
        raise SandboxUnavailable(f"The server does not say what it promises ({error!r}).") from error


def in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Wait for something in an event loop of its own, whether or not one is running here."""
    outcome: list[T | BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
