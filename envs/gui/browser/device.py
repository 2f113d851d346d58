"""The simulator's device with its screens as a page: what is done to the page reaches the same state machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentrl.envs.gui.actions import KEYS, Action, Problem, Spot
from agentrl.envs.gui.browser import acting, axtree
from agentrl.envs.gui.browser.elements import Sight
from agentrl.envs.gui.browser.errors import BrowserError
from agentrl.envs.gui.browser.page import Page, Tab
from agentrl.envs.gui.html.render import body, document
from agentrl.envs.gui.machine import Machine, Outcome
from agentrl.envs.gui.widgets import HEIGHT, WIDTH, Screen

BESIDE = ("open", "wait", "answer")
"""Actions that are not done on the page but with the device."""
NOTHING = "Nothing happened."


class Display:
    """A page of the browser that shows the screens of one machine after the other.

    The page calls `told` with what was done to it, in the browser's thread, while the environment's thread waits.
    """

    def __init__(self) -> None:
        self.page = Page(WIDTH, HEIGHT, functions={"told": self.told})
        """The page."""
        self.machine: PagedMachine | None = None
        """What is shown."""
        self._loaded: Tab | None = None

    def told(self, event: dict[str, Any]) -> str:
        """Give an event of the page (``kind``, ``id``, ``text``) to the machine; returns the next screen as HTML."""
        machine = self.machine
        assert machine is not None
        kind, text = str(event["kind"]), str(event["text"])
        spot = Spot(int(event["id"])) if event["id"] else Spot()
        if kind == "press" and text not in KEYS:
            kind = "none"
        if kind != "none":
            machine.outcomes.append(machine.act_behind(Action(kind, spot, text)))
        return body(machine.screen(), machine.outcomes[-1].note if machine.outcomes else "")

    def check(self, tab: Tab) -> None:
        """See that the page still is the one that shows the device.

        Raises:
            BrowserError: it was lost, and another one is empty.
        """
        if self._loaded is not tab:
            raise BrowserError("The page of this episode was lost. Reset the environment.")

    def screenshot(self) -> bytes:
        """What the page shows, as PNG."""
        return self.page.screenshot()

    async def show(self, tab: Tab, screen: Screen) -> None:
        """Bring a screen onto the page."""
        if self._loaded is not tab:
            await tab.page.goto("about:blank")
            await tab.page.set_content(document(screen))
            await tab.page.evaluate("() => { history.pushState(null, ''); }")
            self._loaded = tab
        await tab.page.evaluate("html => window.show(html)", body(screen))

    def close(self) -> None:
        """Close the page."""
        self._loaded = None
        self.page.close()


class PagedMachine(Machine):
    """The state machine behind a page: it is acted on through the page, and seen by its accessibility tree.

    Args:
        machine: The machine whose state and goal it takes over.
        display: Where it is shown.
    """

    def __init__(self, machine: Machine, display: Display) -> None:
        super().__init__(machine.state, machine.goal)
        self.outcomes: list[Outcome] = []
        """What came of the events of the last action."""
        self._display = display
        self.sight = self._work(None)[1]
        """What is seen of the page."""

    def act(self, action: Action | Problem) -> Outcome:
        """Carry an action out with mouse and keyboard.

        Raises:
            BrowserError: the browser hung or broke.
        """
        if isinstance(action, Problem) or self.state.over:
            return self.act_behind(action)
        self.outcomes = []
        if action.kind in BESIDE:
            self.outcomes = [self.act_behind(action)]
        refused, self.sight = self._work(action)
        if refused is not None:
            return Outcome(False, refused.message)
        if not self.outcomes:
            return Outcome(False, self._why_nothing(action))
        return Outcome(any(o.valid for o in self.outcomes), self.outcomes[-1].note)

    def act_behind(self, action: Action | Problem) -> Outcome:
        """What the simulator does with an action."""
        return super().act(action)

    def text(self) -> str:
        """The screen as text, from the browser's accessibility tree."""
        return self.sight.text

    def _work(self, action: Action | None) -> tuple[acting.Refused | None, Sight]:
        """Act on the page, if there is anything to do, and look at it."""
        display = self._display
        display.machine = self

        async def work(tab: Tab) -> tuple[acting.Refused | None, Sight]:
            refused = None
            if action is None or action.kind in BESIDE:
                await display.show(tab, self.screen())
            elif action.kind == "back":
                display.check(tab)
                await tab.page.evaluate(
                    "() => new Promise(done => { addEventListener('popstate', done, {once: true}); history.back(); })"
                )
            else:
                display.check(tab)
                refused = await acting.perform(tab, action, self.sight, display.page.size)
            await tab.page.evaluate("() => window.flush()")
            return refused, _titled(await axtree.look(tab, all_numbered=False))

        return display.page.do(work, f"do '{action.kind}' on the page" if action else "show a screen")

    def _why_nothing(self, action: Action) -> str:
        element = self.sight.find(action.spot.id or 0)
        if element is not None and "disabled" in element.states:
            return f"{element.role} '{element.name}' is disabled."
        return NOTHING


def _titled(sight: Sight) -> Sight:
    """The page's first heading is the screen's title, which stands there as it is."""
    elements = list(sight.elements)
    at = next((i for i, e in enumerate(elements) if e.role == "heading"), None)
    if at is not None:
        elements[at] = replace(elements[at], role="text")
    return Sight(tuple(elements))
