"""One headless Chromium for all environments of a process, driven through Playwright.

Playwright's objects belong to the thread that made them, and environments live in threads of their own. So the
browser belongs to an event loop in a thread of its own (`Chromium`), and an environment's thread hands coroutines to
it and waits, always with a deadline (`Chromium.call`). The browser starts when the first page is wanted and ends with
the process, even one that is killed: Playwright's driver sees its pipe close, and takes the browser with it. A browser
that hangs or died is ended, and the next page starts a new one.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agentrl.envs.gui.browser.errors import BrowserError, NoBrowser
from agentrl.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

T = TypeVar("T")
VARIABLE = "AGENTRL_CHROMIUM"
"""Environment variable that names the browser's program."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
FOLDERS = ("~/.cache/ms-playwright", "~/Library/Caches/ms-playwright", "~/AppData/Local/ms-playwright")
PROGRAMS = (
    "chromium-*/chrome-*/chrome",
    "chromium-*/chrome-*/Chromium.app/Contents/MacOS/Chromium",
    "chromium-*/*.exe",
)
START_S, END_S = 60.0, 15.0
"""Seconds that the browser has to start and to end."""
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no page reaches a network, whatever it asks for
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
    "--font-render-hinting=none",
    "--lang=en-US",
    "--disable-smooth-scrolling",
)


def find_chromium() -> str:
    """The browser's program: what ``AGENTRL_CHROMIUM`` names, else one on the path, else Playwright's own.

    Raises:
        NoBrowser: there is none.
        ConfigError: ``AGENTRL_CHROMIUM`` names no program.
    """
    if named := os.environ.get(VARIABLE):
        if found := shutil.which(named):
            return found
        raise ConfigError(f"{VARIABLE}={named} is no program. Give the path of Chromium or Chrome.")
    for name in NAMES:
        if found := shutil.which(name):
            return found
    for folder in (os.environ.get("PLAYWRIGHT_BROWSERS_PATH", ""), *FOLDERS):
        for pattern in PROGRAMS if folder else ():
            if own := sorted(Path(folder).expanduser().glob(pattern)):
                return str(own[-1])
    raise NoBrowser(
        "No Chromium was found. Install one (Debian and Ubuntu: apt-get install chromium; elsewhere: playwright "
        f"install chromium), or name its program in the environment variable {VARIABLE}."
    )


def check_browser() -> None:
    """See that a browser could be started.

    Raises:
        NoBrowser: no Chromium is installed.
        MissingExtra: Playwright is not installed.
    """
    find_chromium()
    try:
        import playwright.async_api  # noqa: F401
    except ImportError:
        raise MissingExtra("playwright", "browser") from None


class Chromium:
    """A running browser and the thread of its event loop.

    Raises:
        NoBrowser: no Chromium is installed.
        MissingExtra: Playwright is not installed.
        BrowserError: it did not start.
    """

    def __init__(self) -> None:
        check_browser()
        self.pid = 0
        """Process id of the browser, the leader of its process group."""
        self._loop = asyncio.new_event_loop()
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._ended = False
        threading.Thread(target=self._serve, name="agentrl-chromium", daemon=True).start()
        try:
            self.call(self._start(find_chromium()), "start", START_S)
        except BaseException:
            self.end()
            raise

    @property
    def alive(self) -> bool:
        """Whether the browser runs and is connected."""
        return not self._ended and self._browser is not None and self._browser.is_connected()

    @property
    def browser(self) -> Browser:
        """Playwright's browser, for coroutines that run in the loop."""
        assert self._browser is not None
        return self._browser

    def call(self, work: Coroutine[Any, Any, T], what: str, deadline_s: float) -> T:
        """Run a coroutine in the browser's thread and wait for it.

        Args:
            work: What to do.
            what: The same in words, for messages.
            deadline_s: Seconds that it may take.

        Raises:
            BrowserError: it took longer, or the browser or the page broke.
        """
        import playwright.async_api

        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, deadline_s), self._loop)
        try:
            return future.result(deadline_s + END_S)
        except (TimeoutError, concurrent.futures.TimeoutError):
            future.cancel()
            raise BrowserError(f"Chromium hangs: it did not {what} within {deadline_s:g} s.") from None
        except concurrent.futures.CancelledError:
            raise BrowserError(f"Chromium was ended while it was to {what}.") from None
        except playwright.async_api.Error as error:
            first = (error.message.strip().splitlines() or [type(error).__name__])[0]
            raise BrowserError(f"Chromium could not {what}: {first}") from error

    def end(self) -> None:
        """End the browser: in peace where it answers, by a signal where it does not. May be called twice."""
        if self._ended:
            return
        self._ended = True
        with contextlib.suppress(BrowserError):
            self.call(self._stop(), "end", END_S)
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._cancel)

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def _cancel(self) -> None:
        """Let nobody wait for what will not come, and end the loop."""
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.call_later(0.1, self._loop.stop)

    async def _start(self, program: str) -> None:
        from playwright.async_api import async_playwright

        self._playwright = await async_playwright().start()
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        arguments = [*ARGUMENTS, "--no-sandbox"] if root else list(ARGUMENTS)  # Chromium's sandbox refuses root
        self._browser = await self._playwright.chromium.launch(
            executable_path=program,
            headless=True,
            args=arguments,
            timeout=1000 * START_S,
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )
        session = await self._browser.new_browser_cdp_session()
        processes = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
        self.pid = next((int(p["id"]) for p in processes if p["type"] == "browser"), 0)
        await session.detach()

    async def _stop(self) -> None:
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()


_lock = threading.Lock()
_running: tuple[int, Chromium] | None = None


def chromium() -> Chromium:
    """The browser of this process; started where none runs.

    Raises:
        NoBrowser: no Chromium is installed.
        MissingExtra: Playwright is not installed.
        BrowserError: it did not start.
    """
    global _running
    with _lock:
        if _running is not None and _running[0] == os.getpid():
            if _running[1].alive:
                return _running[1]
            _running[1].end()
        _running = None
        found = Chromium()
        _running = (os.getpid(), found)
        return found


@atexit.register
def end_browser() -> None:
    """End the browser of this process, if one runs."""
    global _running
    with _lock:
        if _running is not None and _running[0] == os.getpid():
            _running[1].end()
        _running = None
