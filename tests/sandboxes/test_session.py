"""The interface: state, output, deadlines, files, forks, the pool, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench

from agentrl.errors import AgentRLError, NotForkable
from agentrl.sandboxes import (
    ExecResult,
    FileRefused,
    LocalBackend,
    SandboxBusy,
    SandboxDied,
    SandboxPool,
    SandboxSpec,
    SandboxUnavailable,
    Session,
)

Scene = Callable[[Session], Awaitable[Any]]


def play(bench: Bench, scene: Scene, spec: SandboxSpec | None = None) -> Any:
    """Run a scene in a session of its own."""

    async def whole() -> Any:
        async with await bench.backend.create(spec) as session:
            return await scene(session)

    return bench.loop.run(whole())


def test_state_stays_and_the_last_expression_is_shown(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        assert (await session.run_python("x = 20\nx + 1")).stdout == "21\n"
        assert (await session.run_python("def f(): return x * 2")).stdout == ""
        assert (await session.run_python("f() + _ - 21")).stdout == "40\n"
        failed = await session.run_python("y = 1\n1 / 0")
        assert failed.error and failed.error[:2] == ("ZeroDivisionError", "division by zero")
        assert '<cell 4>", line 2, in <module>\n    1 / 0\n' in failed.error[2] and "guest" not in failed.error[2]
        assert (await session.run_python("y")).stdout == "1\n"

    play(bench, scene)


def test_a_deadline_keeps_the_state_where_the_interrupt_is_heard(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        await session.run_python("x = 7")
        soft = await session.run_python("while True: pass", timeout=0.2)
        assert (soft.status, soft.session_reset) == ("timeout", False)
        assert (await session.run_python("x")).stdout == "7\n"
        hard = await session.run_python("import time\ntry: time.sleep(9)\nfinally: time.sleep(9)", timeout=0.2)
        assert (hard.status, hard.session_reset) == ("timeout", True)
        assert (await session.run_python("x")).error[0] == "NameError"  # type: ignore[index]

    play(bench, scene)


def test_output_is_cut_in_the_middle_and_counted(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        result = await session.run_python("print('a' * 50_000 + 'b' * 50_000)", max_output=1000)
        assert result.truncated and result.total_bytes == (100_001, 0)
        assert result.stdout.startswith("a" * 500) and result.stdout.endswith("b" * 499 + "\n")
        assert "... 99001 bytes left out ..." in result.stdout
        exact = await session.run_python("print('c' * 999)", max_output=1000)
        assert not exact.truncated and exact.stdout == "c" * 999 + "\n"

    play(bench, scene)


def test_the_shell(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        result = await session.run_shell("cat; echo oops >&2; exit 3", stdin=b"hello" * 50_000)
        assert (result.status, result.exit_code) == ("exit", 3)
        assert result.total_bytes == (250_000, 5) and result.stderr == "oops\n"
        await session.write_file("a/b.txt", b"inside")
        assert (await session.run_shell("cat b.txt", cwd="a")).stdout == "inside"
        killed = await session.run_shell("kill -9 $$")
        assert (killed.status, killed.signal) == ("crashed", 9)
        assert (await session.run_python("1")).stdout == "1\n"

    play(bench, scene)


def test_files(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        assert await session.read_file("given.txt") == b"given"
        await session.write_file("d/e/f.bin", bytes(range(256)))
        assert await session.list_files() == {"given.txt": 5, "d/e/f.bin": 256}
        assert (await session.run_python("open('d/e/f.bin', 'rb').read() == bytes(range(256))")).stdout == "True\n"
        await session.run_python("import os; os.remove('given.txt'); open('new', 'w').close(); os.chmod('d', 0)")
        await session.reset()
        assert await session.list_files() == {"given.txt": 5}

    play(bench, scene, SandboxSpec(files={"given.txt": b"given"}))


def test_nothing_outlives_a_reset(bench: Bench) -> None:
    places = "P = ['/tmp', '/dev/shm', '/var/tmp', '/run', '/', '.', 'tmp']\nimport os, subprocess, sys\n"
    leave = """
for place in P:
    try:
        open(place + '/left', 'w').write('x')
    except OSError:
        pass
os.makedirs('closed/deep'); os.chmod('closed', 0)
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
import ctypes
libc = ctypes.CDLL(None)
print([libc.shmget(77, 4096, 0o1600), libc.semget(77, 1, 0o1600), libc.msgget(77, 0o1600)])
"""
    left = "print([place for place in P if os.path.exists(place + '/left')], os.listdir('.'), os.listdir('tmp'))"

    async def scene(session: Session) -> None:
        assert (await session.run_python(places + leave)).stdout == "[-1, -1, -1]\n"
        await session.reset()
        assert (await session.run_python(places + left)).stdout == "[] ['tmp'] []\n"
        assert len(bench.below()) <= 4  # agent and worker, perhaps bubblewrap's two

    play(bench, scene, SandboxSpec())


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", ".", "a\0b", "a\ud800b", "missing", "tmp"])
def test_paths_out_of_the_folder_are_refused(bench: Bench, path: str) -> None:
    async def scene(session: Session) -> None:
        with pytest.raises(FileRefused):
            await session.read_file(path)
        if path != "missing":
            with pytest.raises(FileRefused):
                await session.write_file(path, b"x")
        assert (await session.run_python("1")).stdout == "1\n"

    play(bench, scene)


def test_what_is_no_regular_file_is_refused(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        await session.run_python(
            "import os\nos.mkfifo('fifo'); os.symlink('/etc/passwd', 'link'); os.symlink('/etc', 'folder')\n"
            "open('sparse', 'wb').truncate(50 << 20)\nos.symlink('sparse', 'inner')"
        )
        for path in ("fifo", "link", "folder/passwd", "sparse", "inner"):
            with pytest.raises(FileRefused):
                await session.read_file(path, max_bytes=1000)
        assert await session.list_files() == {"sparse": 50 << 20}

    play(bench, scene)


def test_forks_go_their_own_ways(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        await session.run_python("x = [1]\nopen('f', 'w').write('one')")
        left, right = await session.fork(2)
        async with left, right:
            await left.run_python("x.append(2)")
            await left.write_file("f", b"two")
            assert (await right.run_python("x, open('f').read()")).stdout == "([1], 'one')\n"
            assert (await left.run_python("x, open('f').read()")).stdout == "([1, 2], 'two')\n"
            assert right.replayed == 1
        await session.run_python("while True: pass", timeout=0.1)
        with pytest.raises(NotForkable):
            await session.fork(1)

    play(bench, scene)


def test_two_sandboxes_do_not_meet(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        async with await bench.backend.create() as other:
            secret = "open('/tmp/s' if os.access('/tmp', 2) else 's', 'w').write('secret')"
            await session.run_python(f"import os; {secret}\nhere = os.getcwd(); here")
            look = (
                "import glob\nfor p in [p for g in ('/tmp/*', '/dev/shm/*', '/proc/*/cwd/*') for p in glob.glob(g)]:\n"
                "    try: print(open(p).read())\n    except OSError: pass"
            )
            assert "secret" not in (await other.run_python(look)).stdout

    play(bench, scene)


def test_one_session_takes_turns(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        await session.run_python("x = []")
        runs = [session.run_python(f"x.append({i}); len(x)") for i in range(20)]
        assert [result.stdout for result in await asyncio.gather(*runs)] == [f"{i + 1}\n" for i in range(20)]

    play(bench, scene)


def test_a_cancelled_run_ends_the_session(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        task = asyncio.create_task(session.run_python("while True: pass"))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(SandboxDied, match="cancelled"):
            await session.run_python("1")

    play(bench, scene)
    assert not bench.below()


def test_closing_during_a_run_is_quick_and_typed(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        task = asyncio.create_task(session.run_python("while True: pass", timeout=60))
        await asyncio.sleep(0.2)
        start = time.monotonic()
        await session.close()
        assert time.monotonic() - start < 4
        with pytest.raises(SandboxDied):
            await task

    play(bench, scene)
    assert not bench.below()


def test_a_sandbox_that_is_killed_is_an_exception_not_a_result(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        task = asyncio.create_task(session.run_python("import time; time.sleep(60)", timeout=60))
        await asyncio.sleep(0.2)
        bench.strike()
        with pytest.raises(SandboxDied):
            await task  # a "crashed", if the worker went first
            await session.run_python("1")

    play(bench, scene)


def test_nothing_of_the_trainer_is_in_the_environment(bench: Bench) -> None:
    async def scene(session: Session) -> None:
        seen = await session.run_python("import os, json; print(json.dumps(dict(os.environ)))")
        names = {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONDONTWRITEBYTECODE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
        assert set(json.loads(seen.stdout)) == names | {"AGENTRL_SANDBOX", "MINE"}

    play(bench, scene, SandboxSpec(env={"MINE": "1"}))


def test_a_pool_keeps_its_limits_and_never_gives_a_session_twice(bench: Bench) -> None:
    async def scene() -> None:
        async with SandboxPool(bench.backend, size=2, starting=1, ready=2, patience=0.3) as pool:
            await pool.warm()
            assert len(pool.waiting) == 2
            async with pool.session() as one, pool.session() as two:
                assert one is not two
                await one.run_python("x = 1")
                with pytest.raises(SandboxBusy):
                    async with pool.session():
                        pass
            async with pool.session() as three:
                assert three not in (one, two)
                assert (await three.run_python("x")).status == "error"
            assert one.dead
            await pool.warm()
            bench.strike()  # those that wait have died: the pool notices and starts another
            async with asyncio.timeout(10):
                while not all(waiting.channel.reader.at_eof() for waiting in pool.waiting):
                    await asyncio.sleep(0.02)
            async with pool.session() as four:
                assert (await four.run_python("1")).stdout == "1\n"
        with pytest.raises(SandboxUnavailable):
            async with pool.session():
                pass

    bench.loop.run(scene())
    assert not bench.below()


def test_many_open_at_once(bench: Bench) -> None:
    async def scene() -> list[str]:
        async with SandboxPool(bench.backend, size=16) as pool:

            async def episode(i: int) -> str:
                async with pool.session() as session:
                    await session.run_python(f"x = {i}")
                    return (await session.run_python("x")).stdout

            return await asyncio.gather(*(episode(i) for i in range(24)))

    assert bench.loop.run(scene()) == [f"{i}\n" for i in range(24)]
    assert not bench.below()


def test_results_survive_json(bench: Bench) -> None:
    result: ExecResult = play(bench, lambda session: session.run_python("1 / 0"))
    again = json.loads(json.dumps(result.to_dict()))
    assert again["status"] == "error" and again["error"][0] == "ZeroDivisionError"
    assert "ZeroDivisionError" in result.to_observation()
    assert len(result.to_observation(50)) < 60


def test_no_isolation_needs_the_flag(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(SandboxUnavailable, match="allow_unsafe"):
        LocalBackend("none")
    with pytest.raises(AgentRLError, match="Did you mean 'landlock'"):
        LocalBackend("landlok")
    with asyncio.Runner() as loop:
        backend = LocalBackend("none", allow_unsafe=True)
        assert "isolate nothing" in str(recwarn.pop(UserWarning).message)

        async def scene() -> str:
            async with await backend.create() as session:
                return (await session.run_python("1 + 1")).stdout

        assert loop.run(scene()) == "2\n"
        loop.run(backend.close())


def test_auto_says_what_to_install_and_never_runs_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    from agentrl.sandboxes import landlock

    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with pytest.raises(SandboxUnavailable, match=r"bubblewrap.*Landlock"):
        LocalBackend()


def test_the_launcher_removes_only_what_it_made(tmp_path: Path) -> None:
    from agentrl.sandboxes.launcher import remove_folder

    for name in ("work-0", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    remove_folder(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert (tmp_path / "other" / "file").read_text() == "x"


def test_an_interpreter_that_others_cannot_read_is_not_used(tmp_path: Path) -> None:
    from agentrl.sandboxes import interpreter

    assert interpreter.reachable("/usr/bin")
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    assert not interpreter.reachable(str(hidden))
    chosen = interpreter.choose("namespace", root=False)
    assert chosen and chosen.executable == os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    as_root = interpreter.choose("namespace", root=True)
    assert as_root is None or interpreter.open_to_all(as_root)


def test_memory_that_forks_share_counts_once(bench: Bench) -> None:
    code = (
        "import os, time\nx = b'1' * (100 << 20)\nfor _ in range(5):\n"
        "    if not os.fork(): time.sleep(0.4); os._exit(0)\ntime.sleep(0.4)\nprint('done')"
    )
    assert play(bench, lambda session: session.run_python(code)).stdout == "done\n"
