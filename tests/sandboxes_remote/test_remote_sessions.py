"""The remote backend without faults: what every session does, leases, many at once, several clients, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from conftest import QUICK, TOKEN, Running, World, play

from agentrl.errors import ConfigError, NotForkable
from agentrl.sandboxes import (
    FileRefused,
    SandboxBusy,
    SandboxDied,
    SandboxError,
    SandboxPool,
    SandboxSpec,
    SandboxUnavailable,
    Session,
)
from agentrl.sandboxes.calls import Patience
from agentrl.sandboxes.remote import RemoteBackend
from agentrl.sandboxes.remote_session import RemoteSession


def one(running: Running, scene: Callable[[RemoteSession], Awaitable[Any]], spec: SandboxSpec | None = None) -> Any:
    """Run a scene in a session of its own."""

    async def whole(backend: RemoteBackend) -> Any:
        async with await backend.create(spec) as session:
            assert isinstance(session, RemoteSession)
            return await scene(session)

    return play(running.client(), whole)


def test_cells_commands_and_files(running: Running) -> None:
    async def scene(session: Session) -> None:
        assert (await session.run_python("x = 20\nx + 1")).stdout == "21\n"
        failed = await session.run_python("1 / 0")
        assert failed.status == "error" and failed.error and failed.error[0] == "ZeroDivisionError"
        shell = await session.run_shell("cat; pwd >&2; exit 3", stdin=b"\0in", cwd="d")
        assert (shell.status, shell.exit_code, shell.stdout) == ("exit", 3, "\0in") and shell.stderr.endswith("/d\n")
        await session.write_file("a b/ü&?#=%.bin", bytes(range(256)))
        assert await session.read_file("a b/ü&?#=%.bin") == bytes(range(256))
        assert await session.list_files() == {"d/given": 5, "a b/ü&?#=%.bin": 256}
        cut = await session.run_python("print('a' * 1000)", max_output=10)
        assert cut.truncated and cut.total_bytes == (1001, 0)
        odd = await session.run_python("print('\ud800' == chr(0xd800))")
        assert odd.status == "error" and odd.error and odd.error[0] == "UnicodeEncodeError"
        late = await session.run_python("while True: pass", timeout=0.1)
        assert (late.status, late.session_reset) == ("timeout", False)
        await session.reset()
        assert await session.list_files() == {"d/given": 5}
        assert (await session.run_python("x")).status == "error"

    one(running, scene, SandboxSpec(files={"d/given": b"given"}))


def test_what_is_refused_is_typed_and_leaves_the_session_alone(running: Running) -> None:
    async def scene(session: Session) -> None:
        for path in ("../x", "/etc/passwd", "", "missing", "a\0b", "\ud800"):
            with pytest.raises(FileRefused):
                await session.read_file(path)
        for path in ("../x", "/etc/passwd", ""):
            with pytest.raises(FileRefused):
                await session.write_file(path, b"x")
        await session.write_file("long", b"123456")
        with pytest.raises(FileRefused, match="max_bytes=5"):
            await session.read_file("long", max_bytes=5)
        with pytest.raises(FileRefused):
            await session.write_file("big", bytes((48 << 20) + 1))
        with pytest.raises(SandboxError, match="this server allows 600"):
            await session.run_python("1", timeout=1e9)
        with pytest.raises(SandboxError):
            await session.run_python("1", timeout=float("nan"))
        with pytest.raises(SandboxError, match="max_output_bytes"):
            await session.run_python("1", max_output=1 << 40)
        assert (await session.run_python("1")).stdout == "1\n"
        await session.run_python("while True: pass", timeout=0.1)
        with pytest.raises(NotForkable):
            await session.fork(1)
        assert not session.dead

    one(running, scene)


def test_the_server_bounds_what_a_spec_asks_for(running: Running) -> None:
    async def scene(backend: RemoteBackend) -> None:
        for spec, what in (
            (SandboxSpec(memory_mb=1 << 20), "spec.memory_mb=1048576: this server allows 4096"),
            (SandboxSpec(pids=-1), "spec.pids"),
            (SandboxSpec(env={"A=B": "1"}), "spec.env"),
            (SandboxSpec(preload=("os; print(1)",)), "spec.preload"),
        ):
            with pytest.raises(SandboxUnavailable, match=what):
                await backend.create(spec)

    play(running.client(), scene)


def test_forks_go_their_own_ways(running: Running) -> None:
    async def scene(session: RemoteSession) -> None:
        await session.run_python("x = [1]\nopen('f', 'w').write('one')")
        left, right = await session.fork(2)
        await left.run_python("x.append(2)")
        await left.write_file("f", b"two")
        assert (await right.run_python("x, open('f').read()")).stdout == "([1], 'one')\n"
        assert (await left.run_python("x, open('f').read()")).stdout == "([1, 2], 'two')\n"
        assert right.replayed == 1 and len(session.backend.sessions) == 3

    one(running, scene)
    assert not running.server.leases.live


def test_64_sessions_at_once(running: Running) -> None:
    async def scene(backend: RemoteBackend) -> list[str]:
        async def episode(i: int) -> str:
            async with await backend.create() as session:
                for _ in range(3):
                    await session.run_python(f"x = {i}")
                    await asyncio.sleep(0.01)
                return (await session.run_python("x")).stdout

        return await asyncio.gather(*(episode(i) for i in range(64)))

    assert play(running.client(), scene) == [f"{i}\n" for i in range(64)]
    assert running.server.leases.places == 0


def test_a_full_server_is_busy_until_a_place_is_free(world: World) -> None:
    async def scene(backend: RemoteBackend) -> None:
        first = await backend.create()
        with pytest.raises(SandboxBusy, match="all 1 places"):
            await backend.create()
        with pytest.raises(SandboxBusy):
            await first.fork(1)
        assert (await first.run_python("1")).stdout == "1\n"
        later = asyncio.create_task(backend.create())
        await asyncio.sleep(0.2)
        await first.close()
        async with await later as second:  # 429 said "in a second"; then there was room
            assert (await second.run_python("2")).stdout == "2\n"

    with world.serve(max_sessions=1) as running:
        play(running.client(patience=Patience(tries=2, first_s=0.02, total_s=5.0)), scene)


def test_a_pool_works_over_it_and_notices_the_dead(world: World, running: Running) -> None:
    async def scene(backend: RemoteBackend) -> None:
        async with SandboxPool(backend, size=2, ready=1) as pool:
            await pool.warm()
            (waiting,) = pool.waiting
            assert isinstance(waiting, RemoteSession)
            await asyncio.to_thread(world.do, kill(waiting.id))
            await waiting.beat()
            assert waiting.lost()
            async with pool.session() as session:
                assert session is not waiting
                assert (await session.run_python("1")).stdout == "1\n"

    async def kill(name: str) -> None:
        await running.server.leases.live[name].session.close()

    play(running.client(), scene)


def test_heartbeats_keep_a_session_and_the_end_of_a_client_ends_it(world: World) -> None:
    async def scene(backend: RemoteBackend) -> RemoteSession:
        session = await backend.create()
        assert isinstance(session, RemoteSession) and session.idle_s == 0.6
        await asyncio.sleep(1.5)
        assert (await session.run_python("1")).stdout == "1\n"
        assert backend.beats
        backend.beats.cancel()  # as if the client had died
        await asyncio.sleep(1.2)
        with pytest.raises(SandboxDied, match=r"nobody asked it anything for 0\.6 s"):
            await session.run_python("1")
        assert session.lost()
        return session

    with world.serve(idle_s=0.6) as running:
        play(running.client(), scene)


def test_a_run_is_not_idleness_but_a_lease_has_an_end(world: World) -> None:
    async def scene(backend: RemoteBackend) -> None:
        session = await backend.create()
        assert backend.beats
        backend.beats.cancel()
        assert (await session.run_python("import time; time.sleep(0.8)")).status == "ok"  # longer than idle_s
        with pytest.raises(SandboxDied, match=r"its lease of 1\.5 s ended"):
            await session.run_python("import time; time.sleep(20)", timeout=30)

    with world.serve(idle_s=0.4, ttl_s=1.5) as running:
        play(running.client(), scene)


def test_two_clients_of_one_session_take_turns(running: Running) -> None:
    async def scene(backend: RemoteBackend) -> None:
        session = await backend.create()
        assert isinstance(session, RemoteSession)
        lease = {"id": session.id, "tier": "", "idle_s": 60, "replayed": 0}
        other = RemoteSession(backend, session.spec, lease, backend.calls.twin())
        await session.run_python("x = []")
        runs = [(session, other)[i % 2].run_python(f"x.append({i}); len(x)") for i in range(20)]
        seen = sorted(int(result.stdout) for result in await asyncio.gather(*runs))
        assert seen == list(range(1, 21))
        long = asyncio.create_task(other.run_python("import time; time.sleep(20)", timeout=30))
        await asyncio.sleep(0.2)
        await session.close()
        with pytest.raises(SandboxDied, match="its client closed it"):
            await long

    play(running.client(), scene)


def test_a_cancelled_run_ends_the_session_on_the_server_too(running: Running) -> None:
    async def scene(backend: RemoteBackend) -> None:
        session = await backend.create()
        task = asyncio.create_task(session.run_python("import time; time.sleep(20)", timeout=30))
        await asyncio.sleep(0.2)
        start = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - start < 4
        with pytest.raises(SandboxDied, match="cancelled"):
            await session.run_python("1")
        assert running.server.leases.places == 0

    play(running.client(), scene)


def test_a_cancelled_creation_leaves_nothing(running: Running) -> None:
    async def scene(backend: RemoteBackend) -> None:
        for delay in (0.0, 0.001, 0.005, 0.02, 0.08):
            task = asyncio.create_task(backend.create())
            await asyncio.sleep(delay)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await task).close()  # it was quicker

    play(running.client(), scene)
    deadline = time.monotonic() + 5
    while running.server.leases.places and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running.server.leases.places == 0


def test_an_id_is_carried_out_once_and_only_for_the_same_request(running: Running) -> None:
    with httpx.Client(base_url=running.url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as http:
        limits = {"memory_mb": 256, "pids": 32, "disk_mb": 32, "inodes": 1000, "max_file_mb": 16, "output_mb": 16}
        made = {"spec": limits, "idempotency_key": "creation-1"}
        first, again = http.post("/v1/sessions", json=made), http.post("/v1/sessions", json=made)
        assert first.status_code == again.status_code == 201 and first.json()["id"] == again.json()["id"]
        assert http.post("/v1/sessions", json=made | {"ttl_s": 5}).status_code == 409
        place = f"/v1/sessions/{first.json()['id']}"
        cell = {"request_id": "request-1", "language": "python", "code": "open('n', 'a').write('x')"}
        results = [http.post(f"{place}/exec", json=cell) for _ in range(3)]
        assert results[0].content == results[1].content == results[2].content
        assert http.get(f"{place}/files", params={"path": "n"}).content == b"x"
        other = http.post(f"{place}/exec", json=cell | {"code": "1"})
        assert (other.status_code, other.json()["code"]) == (409, "conflict")
        for number in range(70):  # the answer of the first is given up, its id is not
            http.post(f"{place}/exec", json=cell | {"request_id": f"later-{number:04}", "code": "1"})
        lost = http.post(f"{place}/exec", json=cell)
        assert lost.status_code == 409 and "no longer kept" in lost.json()["message"]
        assert http.get(f"{place}/files", params={"path": "n"}).content == b"x"
        assert http.delete(place).status_code == http.delete(place).status_code == 200
        gone = http.post(f"{place}/exec", json=cell)
        assert (gone.status_code, gone.json()["code"]) == (404, "session_gone")
        assert http.post("/v1/sessions", json=made).status_code == 404
        assert http.delete("/v1/sessions/unknown").status_code == 404
        http.delete("/v1/creations/never-made")
        late = http.post("/v1/sessions", json=made | {"idempotency_key": "never-made"})
        assert late.status_code == 503 and "gave it up" in late.json()["message"]


def test_a_wrong_token_is_refused_at_the_start(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTRL_SANDBOX_TOKEN", raising=False)
    for token in ("wrong", TOKEN[:-1], TOKEN + "x", None):
        with pytest.raises(SandboxUnavailable, match="refuses the token"):
            RemoteBackend(running.url, token)
    monkeypatch.setenv("AGENTRL_SANDBOX_TOKEN", TOKEN)
    assert RemoteBackend(running.url).capabilities == running.server.backend.capabilities


def test_a_server_that_is_none_is_found_out_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    import agentrl.sandboxes.remote as remote

    monkeypatch.setattr(remote, "FIRST", QUICK)
    with pytest.raises(SandboxUnavailable, match="agentrl sandbox serve"):
        RemoteBackend("http://127.0.0.1:9")
    for url in ("ftp://x", "127.0.0.1:80", "http://", "", "http://[::1"):
        with pytest.raises(ConfigError):
            RemoteBackend(url)
    with pytest.raises(ConfigError, match="one word"):
        RemoteBackend("http://127.0.0.1:9", "two words")
    with pytest.raises(ConfigError, match="Did you mean 'sandboxfusion'"):
        RemoteBackend("http://127.0.0.1:9", protocol="sandboxfusio")


def test_no_environment_proxy_sees_the_token(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert running.client().info["server"] == "agentrl-sandbox"
