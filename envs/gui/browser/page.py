"""A page of the browser for one environment: kept from episode to episode, replaced when it breaks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from agentrl.envs.gui.browser.chromium import END_S, Chromium, chromium
from agentrl.envs.gui.browser.errors import BrowserError

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, CDPSession
    from playwright.async_api import Page as PlaywrightPage

T = TypeVar("T")
DEADLINE_S = 30.0
"""Seconds that a page has for anything that is asked of it."""


@dataclass(frozen=True)
class Tab:
    """What coroutines work with: Playwright's page and its debugging session."""

    page: PlaywrightPage
    """Mouse, keyboard, scripts."""
    cdp: CDPSession
    """Chromium's own protocol: the accessibility tree, boxes."""
    context: BrowserContext
    """The page's own profile."""


Work = Callable[[Tab], Coroutine[Any, Any, T]]
"""Something to do with a page, in the browser's thread."""


class Page:
    """A page in a profile of its own, without a network.

    Args:
        width: Of the viewport, in pixels.
        height: Of the viewport, in pixels.
        script: JavaScript that runs before any of the page's own.
        functions: Python functions that the page can call by name, in the browser's thread; each takes one value
            and returns one, as in JSON.
        deadline_s: Seconds for anything that is asked of it.
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        script: str = "",
        functions: Mapping[str, Callable[[Any], Any]] | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._functions = dict(functions or {})
        self.size = (width, height)
        self.deadline_s = deadline_s
        self._script = script
        self._open: tuple[Chromium, Tab] | None = None

    @property
    def usable(self) -> bool:
        """Whether it is open in a browser that runs."""
        return self._open is not None and self._open[0].alive and not self._open[1].page.is_closed()

    def do(self, work: Work[T], what: str) -> T:
        """Do something with the page, opening it first where it was not or was closed.

        Args:
            work: What to do.
            what: The same in words, for messages.

        Raises:
            BrowserError: the page or the browser hung, crashed or broke. It is closed then; the next call opens
                another.
        """
        if self._open is None:
            self._open = self._opened()
        elif not self.usable:
            self.close()
            raise BrowserError(f"Chromium or a page of it was gone when it was to {what}.")
        browser, tab = self._open
        try:
            return browser.call(work(tab), what, self.deadline_s)
        except BrowserError:
            self.close()
            raise

    def close(self) -> None:
        """Close it; a browser that cannot even do that is ended. May be called twice."""
        if self._open is None:
            return
        (browser, tab), self._open = self._open, None
        if not browser.alive:
            return
        try:
            browser.call(tab.context.close(), "close a page", END_S)
        except BrowserError:
            browser.end()

    def screenshot(self) -> bytes:
        """What the page shows, as PNG."""

        async def shot(tab: Tab) -> bytes:
            return await tab.page.screenshot(caret="initial", animations="disabled")

        return self.do(shot, "take a picture")

    def _opened(self) -> tuple[Chromium, Tab]:
        browser = chromium()
        try:
            return browser, browser.call(self._make(browser), "open a page", self.deadline_s)
        except BrowserError:
            browser.end()
            raise

    async def _make(self, browser: Chromium) -> Tab:
        width, height = self.size
        context = await browser.browser.new_context(
            viewport={"width": width, "height": height},
            offline=True,
            locale="en-US",
            timezone_id="UTC",
            reduced_motion="reduce",
            accept_downloads=False,
        )
        context.set_default_timeout(1000 * self.deadline_s)
        if self._script:
            await context.add_init_script(self._script)
        for name, function in self._functions.items():
            await context.expose_function(name, function)
        page = await context.new_page()
        page.on("dialog", _dismiss)
        return Tab(page, await context.new_cdp_session(page), context)


async def _dismiss(dialog: Any) -> None:
    """Alerts of the page's would block everything."""
    with contextlib.suppress(Exception):
        await dialog.dismiss()
