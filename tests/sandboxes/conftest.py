"""Backends for the sandbox tests; one that does not work here is skipped, with what to install.

The docker backend is tested where AGENTRL_TEST_DOCKER=1 is set and an engine answers (docker/with_engine.sh does both).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest

from agentrl.errors import AgentRLError
from agentrl.sandboxes import LocalBackend
from agentrl.sandboxes.docker import DockerBackend
from agentrl.sandboxes.guest import processes
from agentrl.sandboxes.local import report
from agentrl.sandboxes.sweep import owner

TIERS = ("namespace", "landlock")
WITH_DOCKER = os.environ.get("AGENTRL_TEST_DOCKER") == "1"
probed = cache(report)


class Bench(NamedTuple):
    """A backend and the event loop it is used from."""

    backend: LocalBackend | DockerBackend
    loop: asyncio.Runner

    def roots(self) -> set[int]:
        """What the backend's sandboxes descend from, or are, on this machine."""
        if isinstance(self.backend, DockerBackend):
            return {container.attrs["State"]["Pid"] for container in self.backend.ours(owner())}
        launcher = self.backend.launcher.process
        return {launcher.pid} if launcher else set()

    def below(self) -> set[int]:
        """Processes of the backend's sandboxes, seen from the host."""
        table = dict(processes())
        more = self.roots()
        found = more if isinstance(self.backend, DockerBackend) else set()
        while more:
            more = {pid for pid, parent in table.items() if parent in more}
            found = found | more
        return found

    def strike(self) -> None:
        """Kill every process of every sandbox, from outside."""
        for pid in self.below():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def start(name: str) -> LocalBackend | DockerBackend:
    """A backend, or the reason to skip its tests."""
    if name == "docker":
        try:
            return DockerBackend()
        except AgentRLError as error:
            pytest.fail(str(error))
    if not probed(name).works:
        pytest.skip(probed(name).detail)
    return LocalBackend(name)


@pytest.fixture(scope="module", params=[*TIERS, *(["docker"] if WITH_DOCKER else [])])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Each backend that works here."""
    backend = start(request.param)
    with asyncio.Runner() as loop:
        yield Bench(backend, loop)
        loop.run(backend.close())
