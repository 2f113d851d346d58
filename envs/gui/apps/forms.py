"""Forms as one finds them on the web: required fields, choices, dates, checks before they are sent."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from agentrl.envs.gui.data import add
from agentrl.envs.gui.parts import Page, box, button, checked, choice, field, link, radio, row, typed, words
from agentrl.envs.gui.state import State, store
from agentrl.envs.gui.widgets import Widget

TABLE = "submissions"


class Entry(NamedTuple):
    """One field of a form."""

    name: str
    """What stands beside it."""
    kind: str
    """``text``, ``email``, ``choice``, ``day``, ``radio`` or ``box``."""
    options: tuple[str, ...] = ()
    """Of ``choice`` and ``radio``."""
    required: bool = False
    """Whether the form cannot be sent without it."""


FORMS: dict[str, tuple[Entry, ...]] = {
    "Registration": (
        Entry("Name", "text", required=True),
        Entry("Email", "email", required=True),
        Entry("Country", "choice", ("Chile", "Egypt", "India", "Norway", "Spain")),
        Entry("Newsletter", "box"),
        Entry("I agree", "box", required=True),
    ),
    "Survey": (
        Entry("Service", "radio", ("good", "fair", "poor"), required=True),
        Entry("Again", "choice", ("yes", "no", "maybe"), required=True),
        Entry("Comment", "text"),
    ),
    "Booking": (
        Entry("City", "choice", ("Athens", "Lisbon", "Oslo", "Paris", "Vienna"), required=True),
        Entry("Day", "day", required=True),
        Entry("Nights", "choice", ("1", "2", "3", "4")),
        Entry("Breakfast", "box"),
        Entry("Guest", "text", required=True),
    ),
}
"""By title."""


def view(state: State) -> Page:
    """``forms``, ``forms/TITLE``."""
    if len(state.path) == 1:
        return Page("Forms", [link(title, ("forms", title)) for title in FORMS])
    title = state.path[1]
    entries = FORMS[title]
    filled = all(_value(state, e) != ("no" if e.kind == "box" else "") for e in entries if e.required)
    send = partial(_send, title=title)
    items = [_widget(state, e) for e in entries]
    return Page(f"Form: {title}", items, bottom=[button("Submit", "forms.submit", send, filled)])


def values(state: State, title: str) -> dict[str, str]:
    """What the form of a title holds."""
    return {e.name: _value(state, e) for e in FORMS[title]}


def _value(state: State, e: Entry) -> str:
    if e.kind == "box":
        return "yes" if checked(state, e.name) else "no"
    return typed(state, e.name)


def _widget(state: State, e: Entry) -> Widget:
    if e.kind == "box":
        made = box(state, e.name)
        return made._replace(states=(*made.states, "required")) if e.required else made
    if e.kind == "radio":
        return row(words(f"{e.name}:"), *(radio(state, e.name, option) for option in e.options))
    if e.kind in ("choice", "day"):
        made = choice(state, e.name, state.world.days if e.kind == "day" else e.options)
        return made._replace(states=("required",)) if e.required else made
    return field(state, e.name, required=e.required)


def _send(state: State, title: str) -> State:
    held = values(state, title)
    if any(e.kind == "email" and "@" not in held[e.name] for e in FORMS[title]):
        return state._replace(notice="Email needs an @.")
    return store(state, add(state.data, TABLE, form=title, **held), "Form sent.", ("forms",))
