"""Small pages of a few widgets, in the manner of MiniWoB: what is clicked or submitted first is what counts.

A page is a `Panel`: a list of parts, in tabs and sections where it has them. A part that ends the task writes its
result into the table ``page``, and it is over:

    button Send          "Send"
    submit               "Name=Anna; City=Rome", all that can be filled, in order
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from agentrl.envs.gui.data import put
from agentrl.envs.gui.parts import Page, box, button, checked, choice, field, link, radio, row, typed, words
from agentrl.envs.gui.state import State, flip, store
from agentrl.envs.gui.widgets import Widget

TABLE = "page"


class Part(NamedTuple):
    """One thing on a small page."""

    kind: str
    """``text``; ``button``, ``link`` and ``post`` (a text with buttons), which end the task; ``field``, ``secret``,
    ``check``, ``radio``, ``choice`` and ``slider``, which are submitted; ``suggest`` (a field that offers its options
    once a part of one is typed); ``search`` (a field by which links appear); ``spot`` (a field whose focus counts);
    ``submit``."""
    name: str
    """What it is called, or says."""
    options: tuple[str, ...] = ()
    """What can be chosen, or the buttons of a ``post``."""
    tab: str = ""
    """The tab that it stands in."""
    section: str = ""
    """The section that has to be expanded to see it."""


class Panel(NamedTuple):
    """A small page."""

    title: str
    """Of the page."""
    parts: tuple[Part, ...]
    """In order."""
    tabs: tuple[str, ...] = ()
    """Names of its tabs."""
    sections: tuple[str, ...] = ()
    """Names of its sections."""

    def focused(self, state: State, widget: Widget) -> State:
        """What focusing a widget does: it ends the task where there is a ``spot``."""
        spots = any(p.kind == "spot" and p.name == widget.name for p in self.parts)
        return finish(state, widget.name) if spots else state


SUBMITTED = ("field", "secret", "check", "radio", "choice", "slider", "suggest")


def view(state: State) -> Page:
    """``page``, ``page/TAB``."""
    panel: Panel = state.world.panel
    tab = state.path[1] if len(state.path) > 1 else panel.tabs[0] if panel.tabs else ""
    top = [_tab(name, name == tab) for name in panel.tabs]
    items: list[Widget] = []
    for section in panel.sections:
        opened = checked(state, section)
        states = ("expanded",) if opened else ()
        do = partial(flip, name=section, on=not opened)
        items.append(Widget("button", section, states=states, key=f"section.{section}", do=do))
        if opened:
            items += [w for p in panel.parts if p.section == section for w in _widgets(state, p)]
    items += [w for p in panel.parts if not p.section and p.tab in ("", tab) for w in _widgets(state, p)]
    return Page(panel.title, items, [row(*top)] if top else ())


def finish(state: State, result: str) -> State:
    """The task is over with a result."""
    return store(state, put(state.data, TABLE, 1, result=result), "Done.")._replace(over=True)


def result_of(state: State) -> str:
    """What would be submitted."""
    parts = (p for p in state.world.panel.parts if p.kind in SUBMITTED)
    return submitted([(p.name, _value(state, p)) for p in parts])


def submitted(values: list[tuple[str, str]]) -> str:
    """The result of a submission: what each part holds, those that hold nothing left out."""
    return "; ".join(f"{name}={value}" for name, value in values if value not in ("", "no"))


def _value(state: State, p: Part) -> str:
    if p.kind == "check":
        return "yes" if checked(state, p.name) else "no"
    return typed(state, p.name, p.options[0] if p.kind == "slider" else "")


def _submit(state: State) -> State:
    return finish(state, result_of(state))


def _tab(name: str, here: bool) -> Widget:
    return link(name, ("page", name), ("selected",) if here else (), role="tab")


def _ending(role: str, name: str, result: str) -> Widget:
    return Widget(role, name, key=f"end.{result}", do=partial(finish, result=result))


def _widgets(state: State, p: Part) -> list[Widget]:
    kind, name = p.kind, p.name
    if kind == "text":
        return [words(name)]
    if kind in ("button", "link"):
        return [_ending(kind, name, name)]
    if kind == "post":
        return [row(words(name), *(_ending("button", option, f"{option} {name}") for option in p.options))]
    if kind in ("field", "secret", "spot"):
        return [field(state, name, secret=kind == "secret")]
    if kind == "check":
        return [box(state, name)]
    if kind == "radio":
        return [radio(state, name, option) for option in p.options]
    if kind in ("choice", "slider"):
        role = "slider" if kind == "slider" else "combobox"
        return [choice(state, name, p.options, p.options[0] if kind == "slider" else "", role)]
    if kind == "submit":
        return [button(name, "submit", _submit)]
    return _offering(state, p)


def _offering(state: State, p: Part) -> list[Widget]:
    """A field, and what it offers for what was typed."""
    said = typed(state, p.name).casefold()
    fits = [o for o in p.options if said and said in o.casefold() and o.casefold() != said]
    if p.kind == "search":
        return [field(state, p.name), *(_ending("link", o, o) for o in fits)]
    offers = (Widget("option", o, key=f"offer.{o}", do=partial(_take, name=p.name, text=o)) for o in fits)
    return [field(state, p.name), *offers]


def _take(state: State, name: str, text: str) -> State:
    return state._replace(draft={**state.draft, name: text})
