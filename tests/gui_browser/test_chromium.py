"""The browser process: found, started, shared, replaced when it breaks, gone with the process that started it."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agentrl.envs.gui.browser.chromium import Chromium, check_browser, chromium, find_chromium
from agentrl.envs.gui.browser.errors import BrowserError, NoBrowser
from agentrl.envs.gui.browser.page import Page, Tab
from agentrl.errors import ConfigError, MissingExtra


async def title(tab: Tab) -> str:
    await tab.page.set_content("<title>hello</title>")
    return await tab.page.title()


async def forever(tab: Tab) -> None:
    await tab.page.evaluate("() => { for (;;) {} }")


def running(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pid: int, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while running(pid) and time.monotonic() < end:
        time.sleep(0.1)
    return not running(pid)


def test_the_named_program_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTRL_CHROMIUM", sys.executable)
    assert find_chromium() == sys.executable
    monkeypatch.setenv("AGENTRL_CHROMIUM", "/no/such/browser")
    with pytest.raises(ConfigError, match="AGENTRL_CHROMIUM=/no/such/browser is no program"):
        find_chromium()


def test_without_a_browser_one_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AGENTRL_CHROMIUM", "PLAYWRIGHT_BROWSERS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NoBrowser, match="apt-get install chromium"):
        find_chromium()
    own = tmp_path / ".cache/ms-playwright/chromium-9/chrome-linux/chrome"
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_chromium() == str(own)


def test_without_playwright_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTRL_CHROMIUM", sys.executable)
    monkeypatch.setitem(sys.modules, "playwright.async_api", None)
    with pytest.raises(MissingExtra, match=r"\[browser\]"):
        check_browser()


def test_pages_of_several_threads_share_one_browser(browser: None) -> None:
    found: list[tuple[str, int]] = []

    def one() -> None:
        page = Page(200, 200)
        found.append((page.do(title, "look"), chromium().pid))
        page.close()
        page.close()

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name for name, _ in found} == {"hello"}
    assert len(found) == 3 and len({pid for _, pid in found}) == 1


def test_a_killed_browser_is_an_error_and_the_next_page_gets_another(browser: None) -> None:
    page = Page(200, 200)
    page.do(title, "look")
    before = chromium().pid
    os.killpg(before, signal.SIGKILL)
    with pytest.raises(BrowserError, match="look"):
        for _ in range(50):  # the connection's end may be noticed a moment later
            page.do(lambda tab: tab.page.title(), "look")
            time.sleep(0.05)
    assert page.do(title, "look") == "hello"
    assert chromium().pid != before
    page.close()


def test_a_page_that_hangs_is_replaced(browser: None) -> None:
    page, other = Page(200, 200), Page(200, 200)
    assert page.do(title, "look") == other.do(title, "look") == "hello"
    page.deadline_s = 2
    started = time.monotonic()
    with pytest.raises(BrowserError, match="hangs: it did not run within 2 s"):
        page.do(forever, "run")
    assert time.monotonic() - started < 30
    page.deadline_s = 30
    assert page.do(title, "look") == "hello"
    assert other.do(title, "look") == "hello"
    page.close()
    other.close()


@pytest.mark.slow
def test_a_browser_that_hangs_is_replaced(browser: None) -> None:
    page = Page(200, 200)
    page.do(title, "look")
    page.deadline_s = 5
    before = chromium()
    os.killpg(before.pid, signal.SIGSTOP)
    with pytest.raises(BrowserError, match="hangs"):
        page.do(title, "look")
    page.deadline_s = 30
    assert page.do(title, "look") == "hello"
    assert chromium() is not before
    assert gone(before.pid)
    page.close()


def test_a_page_that_crashes_is_replaced(browser: None) -> None:
    page = Page(200, 200)
    page.do(title, "look")
    with pytest.raises(BrowserError):
        page.do(lambda tab: tab.page.goto("chrome://crash"), "crash")
    assert page.do(title, "look") == "hello"
    page.close()


def test_a_program_that_is_no_browser_does_not_start(monkeypatch: pytest.MonkeyPatch, browser: None) -> None:
    monkeypatch.setenv("AGENTRL_CHROMIUM", "/bin/false")
    with pytest.raises(BrowserError, match="could not start"):
        Chromium()


def test_a_page_reaches_no_network(browser: None) -> None:
    asked: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = Page(200, 200)
    reach = "port => fetch(`http://127.0.0.1:${port}/`, {mode: 'no-cors'}).then(() => 'reached', () => 'refused')"
    assert page.do(lambda tab: tab.page.evaluate(reach, server.server_port), "ask") == "refused"
    with pytest.raises(BrowserError):
        page.do(lambda tab: tab.page.goto(f"http://127.0.0.1:{server.server_port}/"), "go")
    server.shutdown()
    assert not asked
    page.close()


def test_nothing_is_left_of_a_process_that_is_killed(browser: None) -> None:
    code = (
        "import time\n"
        "from agentrl.envs.gui.browser.chromium import chromium\n"
        "from agentrl.envs.gui.browser.page import Page\n"
        "Page(100, 100).do(lambda tab: tab.page.title(), 'look')\n"
        "print(chromium().pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    pid = int(child.stdout.readline())
    assert running(pid)
    child.kill()
    child.wait()
    assert gone(pid)


def test_nothing_is_left_of_a_process_that_ends(browser: None) -> None:
    code = "from agentrl.envs.gui.browser.chromium import chromium; print(chromium().pid, flush=True)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert not done.stderr
    assert gone(int(done.stdout))
