"""What is the docker backend's own: nothing left after kill -9, the sweep, and how it says what is missing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from conftest import WITH_DOCKER, start

from agentrl.errors import MissingExtra
from agentrl.sandboxes import SandboxUnavailable
from agentrl.sandboxes.docker import BOOT, HOST_LABEL, LABEL, DockerBackend, boot_id, program, sweep_containers

OWNER = """
import asyncio
from agentrl.sandboxes.docker import DockerBackend

async def main():
    backend = DockerBackend()
    idle, busy = await backend.create(), await backend.create()
    task = asyncio.create_task(busy.run_python("import os\\nos.fork()\\nwhile True: pass", timeout=600))
    await asyncio.sleep(0.3)
    print("ready", flush=True)
    await task

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def backend() -> Iterator[DockerBackend]:
    """The backend, where an engine is to be tested."""
    if not WITH_DOCKER:
        pytest.skip("docker sandboxes are tested by 'make test-sandboxes', which starts an engine")
    backend = start("docker")
    assert isinstance(backend, DockerBackend)
    yield backend
    backend.client.close()


def test_a_killed_owner_leaves_no_container(backend: DockerBackend) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout and owner.stdout.readline() == "ready\n"
        named = [c for c in backend.ours() if c.labels[LABEL].startswith(f"{owner.pid}-")]
        assert len(named) == 2
        owner.kill()
    deadline = time.monotonic() + 5
    while (left := [c for c in backend.ours() if c in named]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def test_the_sweep_takes_only_containers_without_an_owner(backend: DockerBackend) -> None:
    def make(owner: str, boot: str) -> str:
        labels = {LABEL: owner, HOST_LABEL: boot}
        container = backend.client.containers.create(backend.image, "sleep 60", labels=labels, network_mode="none")
        return str(container.id)

    gone, elsewhere = make("4000000-1", boot_id()), make("4000000-1", "another machine")
    try:
        assert sweep_containers(backend.sdk, backend.client) == 1
        left = {container.id for container in backend.ours()}
        assert gone not in left and elsewhere in left
    finally:
        backend.client.containers.get(elsewhere).remove(force=True)


def test_an_image_that_is_missing_is_named(backend: DockerBackend) -> None:
    with pytest.raises(SandboxUnavailable, match=r"agentrl/nothing.*host_image"):
        DockerBackend("agentrl/nothing")


def test_an_engine_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("docker")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(SandboxUnavailable, match="No container engine answers"):
        DockerBackend()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(MissingExtra, match=r"\[docker\]"):
        DockerBackend()


def test_the_agent_fits_in_a_command() -> None:
    assert len(program()) < 100_000  # one argument may have 128 KiB
    compile(BOOT, "boot", "exec")
