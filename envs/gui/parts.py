"""What pages are made of: widgets with what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from agentrl.envs.gui.state import Path, State, fill, flip, go
from agentrl.envs.gui.widgets import Widget

Effect = Callable[[State], State]


class Page(NamedTuple):
    """What an app shows."""

    title: str
    """The app, and where in it."""
    items: Sequence[Widget]
    """These scroll, where there are more than the screen has rows."""
    top: Sequence[Widget] = ()
    """Above them; always there."""
    bottom: Sequence[Widget] = ()
    """Below them; always there."""
    submit: Effect | None = None
    """What the key Enter does in a field."""


def words(text: str) -> Widget:
    """Static text."""
    return Widget("text", text)


def button(name: str, key: str, do: Effect, enabled: bool = True) -> Widget:
    """A button; where it is not enabled, it is shown but cannot be clicked."""
    return Widget("button", name, states=() if enabled else ("disabled",), key=key, do=do)


def link(name: str, path: Path, states: tuple[str, ...] = (), role: str = "link") -> Widget:
    """What leads to another page."""
    return Widget(role, name, states=states, key=to(path), do=partial(go, path=path))


def to(path: Path) -> str:
    """The key of what leads to a page."""
    return "/".join(path)


def field(state: State, name: str, start: str = "", required: bool = False, secret: bool = False) -> Widget:
    """A field for text."""
    states = (*(["required"] if required else []), *(["password"] if secret else []))
    key = f"field.{name}"
    states = (*states, "focused") if state.focus == key else states
    return Widget("textbox", name, state.draft.get(name, start), states, key=key, do=partial(fill, name=name))


def choice(state: State, name: str, options: Iterable[str], start: str = "", role: str = "combobox") -> Widget:
    """A choice among options; with role ``slider`` they are its steps."""
    value = state.draft.get(name, start)
    return Widget(role, name, value, options=tuple(options), key=f"field.{name}", do=partial(fill, name=name))


def box(state: State, name: str, start: bool = False) -> Widget:
    """A checkbox of a form."""
    on = checked(state, name, start)
    states = ("checked",) if on else ()
    return Widget("checkbox", name, states=states, key=f"field.{name}", do=partial(flip, name=name, on=not on))


def radio(state: State, group: str, option: str) -> Widget:
    """One of several of which one can be chosen."""
    states = ("checked",) if state.draft.get(group) == option else ()
    key = f"radio.{group}.{option}"
    return Widget("radio", option, states=states, key=key, do=partial(fill, text=option, name=group))


def switch(name: str, on: bool, key: str, do: Effect) -> Widget:
    """A switch that acts at once."""
    return Widget("switch", name, states=("checked",) if on else (), key=key, do=do)


def row(*children: Widget) -> Widget:
    """Side by side."""
    return Widget("row", children=children)


def checked(state: State, name: str, start: bool = False) -> bool:
    """Whether a checkbox of the page is set."""
    return state.draft.get(name, "yes" if start else "no") == "yes"


def typed(state: State, name: str, start: str = "") -> str:
    """What stands in a field of the page."""
    return state.draft.get(name, start)
