"""The remote backend against a server with faults injected: typed errors, and nothing is ever executed twice."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from conftest import QUICK, Running, World, play
from faults import Fault, Proxy

from agentrl.sandboxes import (
    SandboxBusy,
    SandboxDied,
    SandboxError,
    SandboxSpec,
    SandboxUnavailable,
    Session,
)
from agentrl.sandboxes.calls import Patience, retry_after
from agentrl.sandboxes.remote import RemoteBackend
from agentrl.sandboxes.remote_session import RemoteSession

COUNT = "open('n', 'a').write('x'); print('done')"
ONCE = Patience(tries=5, first_s=0.02, most_s=0.1, total_s=4.0, late_s=-4.0)  # an exec is late after 1.3 s
BEFORE = ["cut_before", "status"]
"""The server does not see the request."""
AFTER = ["cut_after", "reset_after", "truncate", "garbage", "not_json_object", "stall"]
"""It has carried it out when the answer is lost."""

Scene = Callable[[RemoteSession, Proxy], Awaitable[Any]]


def through(
    world: World, running: Running, scene: Scene, *, patience: Patience = QUICK, spec: SandboxSpec | None = None
) -> Any:
    """Run a scene in a session whose calls go through a proxy, and count what the server executed."""

    async def whole(backend: RemoteBackend) -> Any:
        async with await backend.create(spec) as session:
            assert isinstance(session, RemoteSession)
            return await scene(session, proxy)

    with world.proxy(running) as (proxy, url):
        return play(running.client(url, patience=patience), whole)


async def executed(session: RemoteSession) -> int:
    """How often the cell ran."""
    return len(await session.read_file("n"))


@pytest.mark.parametrize("kind", [*BEFORE, *AFTER])
def test_a_cell_runs_once_whatever_happens_to_its_answer(world: World, running: Running, kind: str) -> None:
    async def scene(session: RemoteSession, proxy: Proxy) -> None:
        proxy.faults = [Fault(kind, times=2, path="/exec")]
        result = await session.run_python(COUNT, timeout=0.01 if kind == "stall" else 5)
        assert (result.status, result.stdout) == ("ok", "done\n")
        proxy.faults.clear()
        assert await executed(session) == 1
        assert proxy.seen[f"POST {session.path}/exec"] == 3

    through(world, running, scene, patience=ONCE if kind == "stall" else QUICK)


@pytest.mark.parametrize("kind", AFTER[:3])
def test_commands_files_resets_and_forks_happen_once(world: World, running: Running, kind: str) -> None:
    async def scene(session: RemoteSession, proxy: Proxy) -> None:
        proxy.faults = [Fault(kind, method="POST", path="/exec"), Fault(kind, method="POST", path="/fork")]
        proxy.faults += [
            Fault(kind, method="PUT"),
            Fault(kind, method="POST", path="/reset"),
            Fault(kind, method="GET"),
        ]
        assert (await session.run_shell("echo -n x >> n; echo done")).stdout == "done\n"
        assert await executed(session) == 1  # and one GET was lost
        await session.write_file("a", b"1")
        before = running.server.leases.places
        (other,) = await session.fork(1)
        assert running.server.leases.places == before + 1
        assert await other.list_files() == {"n": 1, "a": 1}
        await session.reset()
        assert await session.list_files() == {}
        assert not any(fault.times for fault in proxy.faults)

    through(world, running, scene)


def test_a_long_run_whose_answer_is_late_is_waited_for_not_run_again(world: World, running: Running) -> None:
    async def scene(session: RemoteSession, proxy: Proxy) -> None:
        # Late after 0.31 s: three times the client asks again while the first run is still under way.
        result = await session.run_python(f"import time; time.sleep(1.0)\n{COUNT}", timeout=3)
        assert result.stdout == "done\n"
        assert await executed(session) == 1
        assert proxy.seen[f"POST {session.path}/exec"] >= 2

    patience = Patience(tries=9, first_s=0.02, most_s=0.1, total_s=30.0, late_s=-8.0)
    through(world, running, scene, patience=patience)


@pytest.mark.parametrize("kind", [*BEFORE, *AFTER[:3], "garbage"])
def test_a_creation_happens_once(world: World, running: Running, kind: str) -> None:
    async def scene(backend: RemoteBackend) -> None:
        proxy.faults = [Fault(kind, times=2, method="POST", path="/sessions", status=502)]
        async with await backend.create() as session:
            assert running.server.leases.places == 1
            assert (await session.run_python("1")).stdout == "1\n"
        assert running.server.leases.places == 0

    with world.proxy(running) as (proxy, url):
        play(running.client(url), scene)


@pytest.mark.parametrize("kind", [*AFTER[:4]])
def test_a_creation_that_is_never_answered_leaves_nothing(world: World, running: Running, kind: str) -> None:
    async def scene(backend: RemoteBackend) -> None:
        proxy.faults = [Fault(kind, times=99, method="POST", path="/sessions")]
        with pytest.raises(SandboxUnavailable, match="No sandbox was created"):
            await backend.create()
        await asyncio.gather(*backend.leftovers)
        assert running.server.leases.places == 0

    with world.proxy(running) as (proxy, url):
        play(running.client(url), scene)


@pytest.mark.parametrize("kind", [*AFTER[:5], "cut_before"])
def test_an_answer_that_never_comes_ends_the_session(world: World, running: Running, kind: str) -> None:
    async def scene(session: RemoteSession, proxy: Proxy) -> None:
        proxy.faults = [Fault(kind, times=99, path="/exec")]
        with pytest.raises(SandboxDied, match="out of reach"):
            await session.run_python(COUNT)
        assert session.lost() and session not in session.backend.sessions
        with pytest.raises(SandboxDied):
            await session.run_python("1")
        await session.close()
        assert running.server.leases.places == 0

    through(world, running, scene)


def test_a_busy_answer_is_no_loss(world: World, running: Running) -> None:
    async def scene(session: RemoteSession, proxy: Proxy) -> None:
        proxy.faults = [Fault("status", times=99, path="/exec", status=429)]
        with pytest.raises(SandboxBusy):
            await session.run_python(COUNT)
        assert proxy.seen[f"POST {session.path}/exec"] == QUICK.tries
        proxy.faults = [Fault("cut_after", path="/exec"), Fault("status", times=99, path="/exec", status=429)]
        with pytest.raises(SandboxDied):  # it may have been executed: busy would be a lie
            await session.run_python(COUNT)

    through(world, running, scene)


def test_retry_after_is_honoured_within_bounds(world: World, running: Running) -> None:
    async def scene(session: RemoteSession, proxy: Proxy) -> None:
        proxy.faults = [Fault("status", path="/exec", status=429, headers=[("Retry-After", "1")])]
        start = time.monotonic()
        assert (await session.run_python("1")).stdout == "1\n"
        assert 1.0 <= time.monotonic() - start < 3
        proxy.faults = [Fault("status", times=99, path="/exec", status=429, headers=[("Retry-After", "3600")])]
        start = time.monotonic()
        with pytest.raises(SandboxBusy):
            await session.run_python("1")
        assert time.monotonic() - start < 1  # an hour is more than there is: give up at once

    through(world, running, scene)


def test_retry_after_takes_numbers_and_dates() -> None:
    assert retry_after("0.5") == 0.5 and retry_after("-3") == 0.0
    assert retry_after("Fri, 01 Jan 2021 00:00:00 GMT") == 0.0
    assert (retry_after("Fri, 01 Jan 2100 00:00:00 GMT") or 0) > 1e9
    for nonsense in ("", "soon", "nan", "1 2", "Fri, 99 Jan"):
        assert retry_after(nonsense) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [(500, SandboxDied), (404, SandboxDied), (301, SandboxDied), (401, SandboxUnavailable)],
)
def test_other_answers_are_not_asked_for_again(
    world: World, running: Running, status: int, kind: type[SandboxError]
) -> None:
    async def scene(session: RemoteSession, proxy: Proxy) -> None:
        proxy.faults = [Fault("status", times=99, path="/exec", status=status, headers=[("Location", "http://x/")])]
        with pytest.raises(kind):
            await session.run_python(COUNT)
        assert proxy.seen[f"POST {session.path}/exec"] == 1

    through(world, running, scene)


def test_an_answer_without_end_is_given_up(world: World, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    import agentrl.sandboxes.calls as calls

    async def scene(session: RemoteSession, proxy: Proxy) -> None:
        proxy.faults = [Fault("endless", times=99, path="/exec")]
        with pytest.raises(SandboxDied, match="an answer longer than 10000000 bytes"):
            await session.run_python(COUNT)

    monkeypatch.setattr(calls, "ANSWER_BYTES", 10_000_000)
    through(world, running, scene, patience=Patience(tries=2, first_s=0.02, total_s=5.0))


@pytest.mark.slow
def test_a_body_that_drips_is_bounded_by_the_deadline(world: World, running: Running) -> None:
    async def scene(session: RemoteSession, proxy: Proxy) -> None:
        proxy.faults = [Fault("drip", times=99, path="/exec")]  # a byte each 0.3 s is never "no data for too long"
        start = time.monotonic()
        with pytest.raises(SandboxDied):
            await session.run_python("1", timeout=0.1)
        assert time.monotonic() - start < 4

    patience = Patience(tries=9, first_s=0.02, most_s=0.1, total_s=0.5, late_s=-4.0)  # in all 0.1 + 5.3 - 4 + 0.5
    through(world, running, scene, patience=patience)


def test_a_server_that_was_started_again_knows_no_sessions(world: World) -> None:
    first = world.start()

    async def scene(backend: RemoteBackend) -> None:
        session = await backend.create()
        await session.run_python("x = 1")
        await asyncio.to_thread(world.do, first.server.close(0))
        second = await asyncio.to_thread(world.start, port=first.address[1])
        try:
            with pytest.raises(SandboxDied, match="started again"):
                await session.run_python("x")
            async with await backend.create() as another:
                assert (await another.run_python("x")).status == "error"
        finally:
            await asyncio.to_thread(world.do, second.server.close(0))

    play(first.client(), scene)


def test_a_server_that_is_gone(world: World) -> None:
    running = world.start()

    async def scene(backend: RemoteBackend) -> None:
        session = await backend.create()
        await asyncio.to_thread(world.do, running.server.close(0))
        with pytest.raises(SandboxDied, match="no connection"):
            await session.run_python("1")
        with pytest.raises(SandboxUnavailable, match="no connection"):
            await backend.create()
        start = time.monotonic()
        await session.close()
        assert time.monotonic() - start < 5

    play(running.client(), scene)


def test_a_server_that_shuts_down_answers_503_and_still_gives_what_was_done(world: World) -> None:
    running = world.start()

    async def scene(backend: RemoteBackend) -> None:
        session, other = await backend.create(), await backend.create()
        slow = asyncio.create_task(session.run_python("import time; time.sleep(1); print('done')"))
        await asyncio.sleep(0.3)
        closing = asyncio.ensure_future(asyncio.to_thread(world.do, running.server.close(5)))
        await asyncio.sleep(0.1)
        with pytest.raises((SandboxDied, SandboxUnavailable)):
            await other.run_python("1")
        with pytest.raises(SandboxUnavailable, match="shutting down"):
            await backend.create()
        assert (await slow).stdout == "done\n"
        await closing

    play(running.client(patience=Patience(tries=1, total_s=5.0)), scene)


def test_a_sandbox_that_dies_is_no_result(world: World, running: Running) -> None:
    async def kill(name: str) -> None:
        await running.server.leases.live[name].session.close()

    async def scene(session: RemoteSession, proxy: Proxy) -> None:
        task = asyncio.create_task(session.run_python("import time; time.sleep(20)", timeout=30))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(world.do, kill(session.id))
        with pytest.raises(SandboxDied):
            await task
        assert running.server.leases.places == 0

    through(world, running, scene)


def test_every_answer_of_a_server_out_of_its_mind_is_typed(world: World, running: Running) -> None:
    """Whatever JSON comes with 200, a session gives a result or one of its errors."""
    bodies = [b"{}", b'{"status": "ok"}', b'{"status": "fine", "stdout": 3}', b'{"sessions": [{}]}', b'{"files": 3}']

    async def scene(session: RemoteSession, proxy: Proxy) -> None:
        for body in bodies:
            fresh = await session.backend.create()
            proxy.faults = [
                Fault("status", times=9, path=verb, status=200, body=body) for verb in ("/exec", "/fork", "/files")
            ]
            asks: list[Callable[[Session], Awaitable[Any]]] = [
                lambda s: s.run_python("1"),
                lambda s: s.run_shell("1"),
                lambda s: s.fork(1),
                lambda s: s.list_files(),
            ]
            for ask in asks:
                with contextlib.suppress(SandboxDied):
                    await ask(fresh)
            proxy.faults.clear()

    through(world, running, scene)
