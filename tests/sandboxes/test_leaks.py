"""Nothing is left when the owner is killed, when the launcher is, and after many sessions."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from conftest import TIERS, Bench, probed

from agentrl.sandboxes import LocalBackend, SandboxDied
from agentrl.sandboxes.sweep import owner, sweep

OWNER = """
import asyncio, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits it ignored
from agentrl.sandboxes import LocalBackend

async def main():
    backend = LocalBackend(sys.argv[1])
    idle, busy = await backend.create(), await backend.create()
    daemon = "import subprocess, sys\\nP = [sys.executable, '-c', 'import time; time.sleep(600)']\\n"
    daemon += "subprocess.Popen(P, start_new_session=True)"
    await idle.run_python(daemon)
    task = asyncio.create_task(busy.run_python("import os\\nos.fork()\\nwhile True: pass", timeout=600))
    await asyncio.sleep(0.3)
    print("ready", flush=True)
    await task

asyncio.run(main())
"""


def marked(token: str) -> list[int]:
    """Processes with ``token`` in their environment: every launcher and sandbox carries its owner's."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if token.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def folders(pid: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"agentrl-sandbox-{pid}-*"))


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_owner_leaves_nothing(tier: str, number: signal.Signals) -> None:
    if not probed(tier).works:
        pytest.skip(probed(tier).detail)
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, tier], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as owner:
        assert owner.stdout and owner.stdout.readline() == "ready\n"
        token = f"AGENTRL_SANDBOX={owner.pid}-"
        assert folders(owner.pid)
        if os.geteuid() == 0:  # another user's sandboxes hide their environment from an ordinary one
            assert len(marked(token)) >= 5
        owner.send_signal(number)
    deadline = time.monotonic() + 2
    while (marked(token) or folders(owner.pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not marked(token)
    assert not folders(owner.pid)


def launcher(bench: Bench) -> subprocess.Popen[bytes]:
    """The local backend's launcher."""
    if not isinstance(bench.backend, LocalBackend):
        pytest.skip("this backend has no launcher")
    bench.loop.run(touch(bench))
    assert bench.backend.launcher.process
    return bench.backend.launcher.process


async def touch(bench: Bench) -> None:
    """Open a session and close it."""
    async with await bench.backend.create() as session:
        await session.run_python("1")


def test_a_killed_launcher_takes_its_sandboxes_along_and_is_replaced(bench: Bench) -> None:
    process = launcher(bench)

    async def scene() -> None:
        session = await bench.backend.create()
        await session.run_python("import os\nif not os.fork():\n    while True: pass")
        left = bench.below()
        assert left
        process.kill()
        with pytest.raises(SandboxDied):
            while True:
                await session.run_python("1")
        deadline = time.monotonic() + 2
        while any(alive(pid) for pid in left) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert not [pid for pid in left if alive(pid)]
        process.wait()
        await touch(bench)

    bench.loop.run(scene())


def alive(pid: int) -> bool:
    """Whether a process is there and is not waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def cycle(bench: Bench, count: int) -> None:
    """Open, use and close sessions; no descriptor, process or folder stays."""

    process = launcher(bench)

    async def scene() -> None:
        own, its = Path("/proc/self/fd"), Path(f"/proc/{process.pid}/fd")
        before = len(list(own.iterdir())), len(list(its.iterdir()))
        for start in range(0, count, 8):
            opened = await asyncio.gather(*(bench.backend.create() for _ in range(min(8, count - start))))
            await asyncio.gather(*(session.run_python("1") for session in opened))
            await asyncio.gather(*(session.close() for session in opened))
        deadline = time.monotonic() + 3  # a busy launcher may still be closing the last ones
        while len(list(its.iterdir())) > before[1] and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert len(list(own.iterdir())) <= before[0] and len(list(its.iterdir())) <= before[1]
        assert not bench.below()
        assert not [name for folder in folders(os.getpid()) for name in folder.iterdir()]

    bench.loop.run(scene())


def test_sessions_leak_nothing(bench: Bench) -> None:
    cycle(bench, 24)


@pytest.mark.slow
def test_a_thousand_sessions_leak_nothing(bench: Bench) -> None:
    cycle(bench, 1000)


def test_a_sweep_takes_only_what_has_no_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine, gone = f"agentrl-sandbox-{owner()}-abc", "agentrl-sandbox-4000000-1-abc"
    for name in (mine, gone, "agentrl-sandbox-notes"):
        (tmp_path / name / "work-0").mkdir(parents=True)
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(command, env={"AGENTRL_SANDBOX": "4000000-1"}) as left:
        time.sleep(0.1)
        swept = sweep()
        assert left.wait(5) == -signal.SIGKILL
    assert left.pid in swept.processes
    assert [folder.name for folder in swept.folders] == [gone]
    assert {path.name for path in tmp_path.iterdir()} == {mine, "agentrl-sandbox-notes"}
