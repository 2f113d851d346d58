"""The state machine: what is on the screen, and what an action does. Pure Python, no environment and no browser in it.

Both tiers run on this one machine. The simulator reads `Machine.screen` as text and gives `Machine.act` what the
policy says. The browser tier shows the same screen as a page; what happens there (an element clicked, a field filled,
an option selected, a key, a scroll) comes back as the same actions, by the same numbers of elements.

    machine = Machine(task.state)
    machine.screen()                      # a Screen
    machine.act(parse("click 3"))         # Outcome(valid=True, note="Mail sent.")
    machine.restore(machine.snapshot())   # a state is immutable
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from agentrl.envs.gui.actions import Action, Problem, Spot, quoted
from agentrl.envs.gui.apps import APPS, by_name, popups, view
from agentrl.envs.gui.goals import Goal
from agentrl.envs.gui.parts import Page
from agentrl.envs.gui.state import HOME, State, go
from agentrl.envs.gui.widgets import CLICKABLE, EDITABLE, Screen, Widget, show

Refused = str
SCROLL_KEYS = {"PageDown": "down", "PageUp": "up", "ArrowDown": "down", "ArrowUp": "up"}


class Outcome(NamedTuple):
    """What came of an action."""

    valid: bool
    """Whether it could be carried out; where not, nothing changed and no time passed."""
    note: str
    """What there is to say about it."""


class Machine:
    """A device with apps, and what is to be done on it.

    Args:
        state: Where to begin.
        goal: What is to be reached; None where nothing is.
    """

    def __init__(self, state: State, goal: Goal | None = None) -> None:
        self.state = state
        """Where the device stands."""
        self.goal = goal
        """What is to be reached."""
        self._shown: tuple[State, Screen] | None = None

    def screen(self) -> Screen:
        """What is on the display now."""
        if self._shown is None or self._shown[0] is not self.state:
            self._shown = self.state, render(self.state)
        return self._shown[1]

    def act(self, action: Action | Problem) -> Outcome:
        """Carry an action out. A mistake changes nothing."""
        before = self.state
        if isinstance(action, Problem):
            return Outcome(False, action.message)
        if before.over:
            return Outcome(False, "It is over.")
        after = self._acted(before._replace(notice=""), action)
        if isinstance(after, str):
            return Outcome(False, after)
        if after.undo is before.undo:  # the offer lasts for one action
            after = after._replace(undo=None)
        self.state = _time_passes(after)
        return Outcome(True, self.state.notice)

    def reached(self) -> bool:
        """Whether the goal is reached, and nothing else was changed."""
        return self.goal is not None and self.goal.reached(self.state)

    def snapshot(self) -> State:
        """The state, which is immutable."""
        return self.state

    def restore(self, snapshot: State) -> None:
        """Go to a snapshot of this task."""
        self.state = snapshot

    def _acted(self, state: State, action: Action) -> State | Refused:
        if action.kind in ("click", "double_click", "type", "select", "long_press", "drag"):
            found = self._pointed(action.spot, state) if action.kind != "type" else self._typed_into(action.spot, state)
            return found if isinstance(found, str) else _use(state, found, action)
        return _REST[action.kind](state, action)

    def _pointed(self, spot: Spot, state: State) -> Widget | Refused:
        """The widget that is meant."""
        screen = self.screen()
        if spot.place is not None:
            return screen.at(*spot.place) or f"There is nothing to act on at {spot.x}, {spot.y}."
        assert spot.id is not None
        most = len(screen.numbered)
        return screen.find(spot.id) or f"There is no element {spot.id}; there are 1 to {most}."

    def _typed_into(self, spot: Spot, state: State) -> Widget | Refused:
        if spot.id is not None or spot.place is not None:
            return self._pointed(spot, state)
        here = next((w for w in self.screen().numbered.values() if w.key == state.focus), None)
        return here or "No field is focused; write type ID TEXT."


def render(state: State) -> Screen:
    """What is on the display in a state."""
    if state.dialog is not None:
        d = state.dialog
        buttons = tuple(Widget("button", name, key=key, do=do) for name, key, do in d.buttons)
        parts = (Widget("text", d.text), Widget("row", children=buttons))
        return show(f"Dialog: {d.title}", Widget("dialog", children=parts), status=state.world.status)
    page = view(state)
    if state.tick < state.ready:
        return show(page.title, Widget("screen", children=(Widget("text", "Loading..."),)), status=state.world.status)
    rows = state.world.rows
    at = min(state.scroll, max(0, len(page.items) - rows))
    children = [*page.top, *page.items[at : at + rows], *page.bottom]
    if state.undo is not None:
        children.append(Widget("button", "Undo", key="undo", do=_undone))
    root = Widget("screen", children=tuple(children))
    return show(page.title, root, status=state.world.status, above=at > 0, below=at + rows < len(page.items))


def _undone(state: State) -> State:
    assert state.undo is not None
    return state.undo._replace(tick=state.tick, seen=state.seen, popups=state.popups)


def _time_passes(state: State) -> State:
    """One tick: pages load, and what is due pops up."""
    tick = state.tick + 1
    seen = state.seen
    if state.ready and tick >= state.ready:
        seen = seen | {state.path}
    state = state._replace(tick=tick, seen=seen)
    if state.popups and state.dialog is None and not state.over and tick >= state.popups[0][0]:
        kind = state.popups[0][1]
        return state._replace(popups=state.popups[1:], dialog=popups.DIALOGS[kind])
    return state


def _use(state: State, widget: Widget, action: Action) -> State | Refused:
    """Click a widget, or fill it."""
    kind, name = action.kind, widget.name or widget.role
    if kind in ("long_press", "drag"):
        return f"{widget.role} {quoted(name)} takes no {kind}."
    if "disabled" in widget.states:
        return f"{widget.role} {quoted(name)} is disabled."
    if kind == "type":
        if widget.role != "textbox":
            return f"One cannot type into {widget.role} {quoted(name)}."
        typed: State = widget.do(state._replace(focus=widget.key), " ".join(action.text.split()))
        return typed
    if kind == "select":
        return _select(state, widget, action.text)
    if widget.role in EDITABLE:
        return _focus(state, widget)
    return _click(state, widget, twice=kind == "double_click")


def _click(state: State, widget: Widget, twice: bool) -> State | Refused:
    assert widget.role in CLICKABLE
    if state.dialog is not None:
        state = state._replace(dialog=None)
    if twice and widget.role in ("checkbox", "switch"):
        return state  # set, and set back
    done: State = widget.do(state)
    return done


def _focus(state: State, widget: Widget) -> State:
    focused = state._replace(focus=widget.key)
    return state.world.panel.focused(focused, widget) if state.world.panel is not None else focused


def _select(state: State, widget: Widget, option: str) -> State | Refused:
    if not widget.options:
        return f"{widget.role} {quoted(widget.name or widget.role)} has no options to select; click it, or type."
    wanted = " ".join(option.split()).casefold()
    found = next((o for o in widget.options if o.casefold() == wanted), None)
    if found is None:
        return f"There is no option {quoted(option)}. Options: {', '.join(widget.options)}."
    chosen: State = widget.do(state, found)
    return chosen


def _scroll(state: State, action: Action) -> State | Refused:
    if action.text in ("left", "right"):
        return "One scrolls up or down here."
    if state.dialog is not None:
        return "Answer the dialog first."
    page, rows = view(state), state.world.rows
    most = max(0, len(page.items) - rows)
    at = min(state.scroll, most)
    new = min(most, at + rows) if action.text == "down" else max(0, at - rows)
    return state._replace(scroll=new) if new != at else f"There is nothing more to scroll {action.text} to."


def _press(state: State, action: Action) -> State | Refused:
    key = action.text
    if key == "Escape":
        return _back(state, action)
    if state.dialog is not None:
        return "Answer the dialog first."
    if key in SCROLL_KEYS:
        return _scroll(state, Action("scroll", text=SCROLL_KEYS[key]))
    shown = [w for w in render(state).numbered.values() if w.role in EDITABLE]
    here = next((w for w in shown if w.key == state.focus), None)
    if key == "Tab":
        keys = [w.key for w in shown]
        if not keys:
            return "There is no field here."
        return state._replace(focus=keys[(keys.index(here.key) + 1) % len(keys)] if here else keys[0])
    if here is None or here.role != "textbox":
        return "No field is focused."
    return _key_in_field(state, view(state), here, key)


def _key_in_field(state: State, page: Page, here: Widget, key: str) -> State | Refused:
    if key == "Enter":
        return page.submit(state) if page.submit else "Enter does nothing here."
    if key == "Backspace":
        text = here.value[:-1]
    elif key in ("Delete", "ctrl+a"):
        text = "" if key == "Delete" else here.value
    elif len(key) == 1 or key == "Space":
        text = here.value + (" " if key == "Space" else key)
    else:
        return f"The key {key} does nothing here."
    filled: State = here.do(state, text)
    return filled


def _back(state: State, action: Action) -> State | Refused:
    if state.dialog is not None:
        _, _, harmless = state.dialog.buttons[-1]
        closed: State = harmless(state._replace(dialog=None))
        return closed
    if len(state.path) > 1:
        return go(state, state.path[:-1])
    if state.path == HOME or "home" not in state.world.apps:
        return "There is no way back from here."
    return go(state, HOME)


def _open(state: State, action: Action) -> State | Refused:
    if state.dialog is not None:
        return "Answer the dialog first."
    key = by_name(action.text)
    if key is None or key not in state.world.apps:
        names = ", ".join(APPS[app].name for app in state.world.apps)
        return f"There is no app {quoted(action.text)}. Apps: {names}." if names else "There are no other apps."
    return go(state, (key,))


def _wait(state: State, action: Action) -> State:
    return state


def _answer(state: State, action: Action) -> State:
    return state._replace(answer=action.text, over=True)


_REST: dict[str, Callable[[State, Action], State | Refused]] = {
    "scroll": _scroll,
    "press": _press,
    "back": _back,
    "open": _open,
    "wait": _wait,
    "answer": _answer,
}
