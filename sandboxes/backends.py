"""Backends by name: ``auto``, a tier of this machine, ``docker``, the address of a server, ``unsafe-subprocess``."""

from __future__ import annotations

from typing import Protocol

from agentrl.errors import UnknownName
from agentrl.sandboxes.local import LocalBackend
from agentrl.sandboxes.session import Session
from agentrl.sandboxes.spec import Capabilities, SandboxSpec

NAMES = ("auto", "namespace", "landlock", "docker", "http://HOST:PORT", "unsafe-subprocess")


class Backend(Protocol):
    """What creates sessions."""

    name: str
    capabilities: Capabilities

    async def create(self, spec: SandboxSpec | None = None) -> Session:
        """A new session. Raises SandboxUnavailable."""
        ...

    async def close(self) -> None:
        """End every session of this backend."""
        ...


def open_backend(name: str = "auto") -> Backend:
    """The backend of a name; nothing is started yet, but it is known to work.

    Args:
        name: ``auto`` (the best tier of this machine that works; never one that isolates nothing), ``namespace``,
            ``landlock``, ``docker`` (DOCKER_HOST is honoured), ``http://...`` or ``https://...`` (a server started by
            ``agentrl sandbox serve``, its token in AGENTRL_SANDBOX_TOKEN), ``unsafe-subprocess`` (isolates nothing; for
            code that you trust).

    Raises:
        UnknownName: no such backend.
        SandboxUnavailable: it does not work here; says what to change.
        MissingExtra: its package is not installed.
    """
    if name in ("auto", "namespace", "landlock"):
        return LocalBackend(name)
    if name == "unsafe-subprocess":
        return LocalBackend("none", allow_unsafe=True)
    if name == "docker":
        from agentrl.sandboxes.docker import DockerBackend

        return DockerBackend()
    if name.startswith(("http://", "https://")):
        from agentrl.sandboxes.remote import RemoteBackend

        return RemoteBackend(name)
    raise UnknownName("sandbox backend", name, NAMES)
