"""``agentrl sandbox serve`` and ``doctor``: what is refused at the start, and what is left after the end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import TOKEN, Running, tier

from agentrl.cli import main
from agentrl.sandboxes import SandboxDied, SandboxUnavailable
from agentrl.sandboxes.calls import Patience
from agentrl.sandboxes.remote import RemoteBackend

STAY = Patience(tries=2, first_s=0.05, total_s=3.0)


@contextmanager
def serving(*words: str, token: str = TOKEN) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and its URL."""
    command = [sys.executable, "-m", "agentrl", "sandbox", "serve", "--port", "0", "--tier", tier(), "--unsafe", *words]
    environment = {k: v for k, v in os.environ.items() if k != "AGENTRL_SANDBOX_TOKEN"}
    environment |= {"AGENTRL_SANDBOX_TOKEN": token} if token else {}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("sandboxes on "), line + (process.stderr.read() if process.stderr else "")
            yield process, line.split()[2]
        finally:
            process.kill()


def left_behind(pid: int) -> list[str]:
    """Folders, and (as root, or for one's own) processes of the server's sandboxes."""
    found = [str(path) for path in Path(tempfile.gettempdir()).glob(f"agentrl-sandbox-{pid}-*")]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"AGENTRL_SANDBOX={pid}-".encode() in (folder / "environ").read_bytes():
                found.append(folder.name)
        except OSError:
            continue
    return found


def nothing_left(pid: int, seconds: float) -> bool:
    """Whether all is gone soon. Without isolation nothing is promised of what code has started."""
    if tier() == "none":
        return True
    deadline = time.monotonic() + seconds
    while left_behind(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not left_behind(pid)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_the_end_of_a_server_leaves_nothing(number: signal.Signals) -> None:
    async def scene() -> None:
        backend = RemoteBackend(url, TOKEN, patience=STAY)
        idle, busy = await backend.create(), await backend.create()
        assert (await idle.run_python("1 + 1")).stdout == "2\n"
        run = asyncio.create_task(busy.run_python("import os\nos.fork()\nwhile True: pass", timeout=100))
        await asyncio.sleep(0.3)
        assert left_behind(process.pid)
        process.send_signal(number)
        with pytest.raises(SandboxDied):
            await run
        with pytest.raises(SandboxDied):
            await idle.run_python("1")
        await backend.close()

    with serving("--drain-s", "0.3") as (process, url):
        asyncio.run(scene())
        assert process.wait(10) == (-9 if number == signal.SIGKILL else 0)
        assert nothing_left(process.pid, 3)


@pytest.mark.slow
def test_a_run_may_end_while_the_server_drains_unless_a_second_signal_comes() -> None:
    async def scene() -> None:
        backend = RemoteBackend(url, TOKEN, patience=STAY)
        session, other = await backend.create(), await backend.create()
        short = asyncio.create_task(session.run_python("import time; time.sleep(0.8); print('done')"))
        endless = asyncio.create_task(other.run_python("while True: pass", timeout=100))
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert (await short).stdout == "done\n"
        with pytest.raises(SandboxUnavailable):
            await backend.create()
        process.send_signal(signal.SIGTERM)
        with pytest.raises(SandboxDied):
            await endless
        await backend.close()

    with serving("--drain-s", "60") as (process, url):
        asyncio.run(scene())
        assert process.wait(10) == 0
        assert nothing_left(process.pid, 3)


def test_doctor_looks_at_a_server(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTRL_SANDBOX_TOKEN", TOKEN)
    main(["sandbox", "doctor", "--url", running.url])
    told = capsys.readouterr().out
    assert f"remote     works: {running.url}, tier {tier()}" in told and "docker" in told
    main(["sandbox", "doctor", "--url", running.url, "--protocol", "sandboxfusion"])
    assert f"remote     works: {running.url}\n" in capsys.readouterr().out
    monkeypatch.setenv("AGENTRL_SANDBOX_TOKEN", "wrong")
    assert main(["sandbox", "doctor", "--url", running.url]) == 1
    assert "remote     does not work: The server refuses the token" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "token", "why"),
    [
        (["--host", "0.0.0.0"], "", "Others can reach 0.0.0.0"),
        (["--host", ""], "", "Others can reach every address"),
        (["--host", "::"], "", "Others can reach ::"),
        ([], "short", "at least 16"),
        ([], "two words in a long token", "one word"),
        (["--token-env", "NOT_SET"], "", "NOT_SET is not set"),
        (["--token-file", "/nowhere"], "", "Cannot read the token"),
        (["--token-file", "/dev/null"], "", "at least 16"),
        (["--token-file", "x", "--no-token"], "", "exclude each other"),
        (["--max-sessions", "0"], "", "more than 0"),
        (["--max-sessions", "9999"], "", "at most 1024"),
        (["--timeout-s", "nan"], "", "more than 0"),
        (["--tls-key", "x"], "", "without --tls-cert"),
        (["--tls-cert", "/dev/null"], "", "Cannot use the certificate"),
        (["--tier", "nonesuch"], "", "Unknown tier"),
        (["--tier", "none"], "", "isolates nothing"),
        (["--host", "192.0.2.1", "--no-token"], "", "Cannot listen"),
    ],
)
def test_what_is_refused_at_the_start(
    words: list[str],
    token: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AGENTRL_SANDBOX_TOKEN", token)
    assert main(["sandbox", "serve", *(["--tier", tier(), "--unsafe"] if "--tier" not in words else []), *words]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.slow
def test_a_token_from_a_file_and_https(tmp_path: Path) -> None:
    import shutil
    import ssl

    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes the certificate, is not installed")
    key, certificate, token = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "token"
    token.write_text(f"{TOKEN}-of-a-file\n")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    options = ["--tls-cert", str(certificate), "--tls-key", str(key), "--token-file", str(token)]

    async def scene() -> None:
        trust = ssl.create_default_context(cafile=str(certificate))
        backend = RemoteBackend(url, f"{TOKEN}-of-a-file", verify=trust, patience=STAY)
        async with await backend.create() as session:
            assert (await session.run_python("1 + 1")).stdout == "2\n"
        await backend.close()

    with serving(*options, token="") as (_, url):
        assert url.startswith("https://")
        asyncio.run(scene())


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys\nsys.modules[sys.argv[1]] = None\n"
        "from agentrl.cli import main\nsys.exit(main(['sandbox', *sys.argv[2:]]))"
    )
    for package, words in (("h11", ["serve"]), ("httpx", ["doctor", "--url", "http://127.0.0.1:9"])):
        done = subprocess.run(
            [sys.executable, "-c", code, package, *words], capture_output=True, text=True, check=False
        )
        assert f"'{package}' is not installed" in done.stderr + done.stdout and "[remote]" in done.stderr + done.stdout
