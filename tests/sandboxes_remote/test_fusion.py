"""SandboxFusion's dialect: served to its clients, and spoken to its servers."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from conftest import TOKEN, Running, World, play
from faults import Fault

from agentrl.sandboxes import FileRefused, SandboxBusy, SandboxDied, SandboxError, SandboxSpec, SandboxUnavailable
from agentrl.sandboxes.calls import Patience
from agentrl.sandboxes.fusion import RunCodeResponse
from agentrl.sandboxes.fusion_client import FusionSession, result_of
from agentrl.sandboxes.messages import BadRequest
from agentrl.sandboxes.remote import RemoteBackend


def run_code(running: Running, **body: Any) -> dict[str, Any]:
    """As verl's reward function asks, without our client."""
    payload = {"compile_timeout": 10, "run_timeout": 5, "language": "python", "stdin": None, "memory_limit_MB": 512}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(f"{running.url}/run_code", json=payload | body, headers=headers, timeout=30, trust_env=False)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    assert set(found) == {"status", "message", "compile_result", "run_result", "executor_pod_name", "files"}
    return found


def test_a_program_gets_stdin_and_files_and_gives_files_back(running: Running) -> None:
    code = "import sys\nprint(sys.stdin.read().upper(), open('d/in').read())\nopen('out', 'w').write('made')\n'no echo'"
    files = {"d/in": base64.b64encode(b"given").decode(), "skipped": None}
    found = run_code(running, code=code, stdin="hello", files=files, fetch_files=["out", "missing", "../x"])
    assert (found["status"], found["message"], found["compile_result"]) == ("Success", "", None)
    ran = found["run_result"]
    assert set(ran) == {"status", "execution_time", "return_code", "stdout", "stderr"}
    assert (ran["status"], ran["return_code"], ran["stdout"], ran["stderr"]) == ("Finished", 0, "HELLO given\n", "")
    assert 0 < ran["execution_time"] < 5
    assert found["files"] == {"out": base64.b64encode(b"made").decode()}


@pytest.mark.parametrize(
    ("code", "language", "code_of", "err"),
    [
        ("1 / 0", "python", 1, "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(7)", "python", 7, ""),
        ("def f(:", "python", 1, "SyntaxError"),
        ("import os; os.kill(os.getpid(), 9)", "python", -9, ""),
        ("echo oops >&2; exit 3", "bash", 3, "oops"),
        ("[[ a == a ]] && exit 4", "bash", 4, ""),
    ],
)
def test_programs_that_fail(running: Running, code: str, language: str, code_of: int, err: str) -> None:
    found = run_code(running, code=code, language=language)
    ran = found["run_result"]
    assert (found["status"], ran["status"], ran["return_code"]) == ("Failed", "Finished", code_of)
    assert err in ran["stderr"]


def test_a_program_that_takes_too_long(running: Running) -> None:
    found = run_code(running, code="print('so far', flush=True)\nwhile True: pass", run_timeout=3)
    ran = found["run_result"]
    assert (found["status"], ran["status"], ran["return_code"]) == ("Failed", "TimeLimitExceeded", None)
    assert ran["stdout"] == "so far\n"  # the original loses it


def test_a_limit_is_named(running: Running) -> None:
    found = run_code(running, code="while True: print('x' * 100000)", run_timeout=20)
    assert (found["status"], found["message"]) == ("Failed", "output_limit")
    assert len(found["run_result"]["stdout"]) < (1 << 20) + 100


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"language": "cobol"}, "'cobol' is not supported"),
        ({"run_timeout": 1e6}, "run_timeout"),
        ({"run_timeout": 0}, "run_timeout"),
        ({"memory_limit_MB": 1 << 30}, "memory_mb"),
        ({"files": {"../x": ""}}, "'..'"),
    ],
)
def test_what_the_server_does_not_do_is_a_sandbox_error(running: Running, body: dict[str, Any], why: str) -> None:
    found = run_code(running, code="1", **body)
    assert (found["status"], found["run_result"]) == ("SandboxError", None)
    assert why in found["message"]


def test_programs_do_not_meet_and_leave_nothing(running: Running) -> None:
    run_code(running, code="open('secret', 'w').write('x'); global_name = 1")
    found = run_code(running, code="import os; print(os.listdir()); print('global_name' in globals())")
    assert "secret" not in found["run_result"]["stdout"] and "False" in found["run_result"]["stdout"]
    assert running.server.leases.places == 0


def test_many_at_once_wait_for_their_turn(world: World) -> None:
    async def scene() -> list[str]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=60, trust_env=False) as http:
            bodies = [{"code": f"print({i})", "language": "python"} for i in range(12)]
            answers = await asyncio.gather(*(http.post("/run_code", json=body) for body in bodies))
        return [answer.json()["run_result"]["stdout"] for answer in answers]

    with world.serve(max_sessions=3, max_starting=2) as running:
        assert asyncio.run(scene()) == [f"{i}\n" for i in range(12)]


def test_who_waits_too_long_for_a_place_gets_429(world: World) -> None:
    with world.serve(max_sessions=1, line_s=0.2) as running:

        async def scene(backend: RemoteBackend) -> None:
            async with await backend.create():
                headers = {"Authorization": f"Bearer {TOKEN}"}
                body = {"code": "1", "language": "python"}
                async with httpx.AsyncClient(base_url=running.url, headers=headers, trust_env=False) as http:
                    answer = await http.post("/run_code", json=body)
                assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")

        play(running.client(), scene)


# ------------------------------------------------------------------ the client


def one(running: Running, scene: Callable[[FusionSession], Awaitable[Any]], url: str = "", **options: Any) -> Any:
    async def whole(backend: RemoteBackend) -> Any:
        async with await backend.create() as session:
            assert isinstance(session, FusionSession)
            return await scene(session)

    return play(running.client(url, protocol="sandboxfusion", **options), whole)


def test_the_client_runs_programs_and_keeps_files(running: Running) -> None:
    async def scene(session: FusionSession) -> None:
        assert (await session.run_python("x = 1; print(x)")).to_observation() == "1"
        failed = await session.run_python("x")
        assert (failed.status, failed.exit_code) == ("exit", 1) and "NameError" in failed.stderr
        shell = await session.run_shell("cat; pwd | tail -c 3; exit 2", stdin=b"in ", cwd=".")
        assert (shell.status, shell.exit_code, shell.stdout[:3]) == ("exit", 2, "in ")
        killed = await session.run_shell("kill -9 $$")
        assert (killed.status, killed.signal) == ("crashed", 9)
        late = await session.run_python("while True: pass", timeout=0.3)
        assert (late.status, late.exit_code) == ("timeout", None)
        assert (await session.run_python("while True: print('x' * 100000)", timeout=20)).status == "output_limit"
        cut = await session.run_python("print('a' * 5000)", max_output=100)
        assert cut.truncated and cut.total_bytes == (5001, 0) and len(cut.stdout) < 200
        await session.write_file("d/f", b"one")
        await session.run_python("open('d/f', 'a').write(' two'); open('g', 'w').write('lost')")
        assert await session.read_file("d/f") == b"one two"
        (copy,) = await session.fork(1)
        assert await copy.list_files() == {"d/f": 7}
        await session.run_shell("rm d/f")
        await copy.write_file("e", b"")
        assert await session.list_files() == {} and len(await copy.list_files()) == 2
        await copy.reset()
        assert await copy.list_files() == {}
        await copy.close()
        for path in ("../x", "/etc/passwd", "", "missing"):
            with pytest.raises(FileRefused):
                await session.read_file(path)
        with pytest.raises(FileRefused, match="UTF-8"):
            await session.run_shell("cat", stdin=b"\xff")
        with pytest.raises(SandboxError):
            await session.run_python("1", timeout=-1)
        await session.close()
        for call in (session.run_python("1"), session.list_files(), session.write_file("a", b"")):
            with pytest.raises(SandboxDied):
                await call

    one(running, scene)


def test_what_the_dialect_cannot_say_is_refused(running: Running) -> None:
    async def scene(backend: RemoteBackend) -> None:
        for spec in (SandboxSpec(env={"A": "1"}), SandboxSpec(preload=("json",))):
            with pytest.raises(SandboxUnavailable, match="no env and no preload"):
                await backend.create(spec)
        assert backend.capabilities.network == "host"  # nothing is promised

    play(running.client(protocol="sandboxfusion"), scene)


@pytest.mark.parametrize("kind", ["cut_after", "truncate", "garbage"])
def test_a_lost_answer_is_not_asked_for_again(world: World, running: Running, kind: str) -> None:
    async def scene(session: FusionSession) -> None:
        proxy.faults = [Fault(kind, path="/run_code")]
        with pytest.raises(SandboxDied, match="lost"):
            await session.run_python("1")
        assert proxy.seen["POST /run_code"] == 1 and session.lost()

    with world.proxy(running) as (proxy, url):
        one(running, scene, url)


def test_overload_is_waited_out(world: World, running: Running) -> None:
    async def scene(session: FusionSession) -> None:
        proxy.faults = [Fault("status", times=2, path="/run_code", status=504)]
        assert (await session.run_python("print(1)")).stdout == "1\n"
        proxy.faults = [Fault("status", times=99, path="/run_code", status=429)]
        with pytest.raises(SandboxBusy):
            await session.run_python("1")
        proxy.faults.clear()
        assert (await session.run_python("print(2)")).stdout == "2\n"

    with world.proxy(running) as (proxy, url):
        one(running, scene, url)


def test_a_fault_of_the_server_is_no_result(world: World, running: Running) -> None:
    bodies = [
        b'{"status": "SandboxError", "message": "disk full"}',
        b'{"status": "Failed", "message": "", "run_result": {"status": "Error", "stderr": "no bash"}}',
        b'{"status": "Success", "message": ""}',
        b'{"detail": "oops"}',
        b'{"status": "Success", "run_result": {"status": "Finished", "return_code": 0}, "files": {"a": "?"}}',
    ]

    async def scene(session: FusionSession) -> None:
        for body in bodies:
            (fresh,) = await session.fork(1)
            await fresh.write_file("a", b"")
            proxy.faults = [Fault("status", path="/run_code", status=200, body=body)]
            with pytest.raises(SandboxDied):
                await fresh.run_python("1")

    with world.proxy(running) as (proxy, url):
        one(running, scene, url)


def test_answers_as_results() -> None:
    def answer(**fields: Any) -> RunCodeResponse:
        return RunCodeResponse(status="Success", run_result={"status": "Finished", **fields})  # type: ignore[arg-type]

    bare = result_of(answer(return_code=0), 100)
    assert (bare.status, bare.stdout, bare.wall_s) == ("ok", "", 0.0)
    assert result_of(answer(return_code=137), 100).exit_code == 137
    assert result_of(answer(return_code=None), 100).status == "ok"
    with pytest.raises(BadRequest, match="no reason"):
        result_of(RunCodeResponse(status="SandboxError", message=None), 100)


def test_a_cancelled_call_is_over(running: Running) -> None:
    async def scene(session: FusionSession) -> None:
        task = asyncio.create_task(session.run_python("import time; time.sleep(1)"))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(SandboxDied, match="cancelled"):
            await session.run_python("1")

    one(running, scene)
    deadline = time.monotonic() + 5
    while running.server.leases.places and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running.server.leases.places == 0


def test_patience_is_bounded(world: World, running: Running) -> None:
    async def scene(session: FusionSession) -> None:
        proxy.faults = [Fault("status", times=999, path="/run_code", status=503)]
        start = time.monotonic()
        with pytest.raises(SandboxDied):
            await session.run_python("1")
        assert time.monotonic() - start < 3 and proxy.seen["POST /run_code"] == 4

    with world.proxy(running) as (proxy, url):
        one(running, scene, url, patience=Patience(tries=4, first_s=0.05, most_s=0.1, total_s=2.0))
