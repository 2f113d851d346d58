"""The apps, by their keys. An app is a function from the state to the page that it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from agentrl.envs.gui.apps import calendar, contacts, files, forms, mail, notes, panel, settings, shop
from agentrl.envs.gui.parts import Page, link, row, words
from agentrl.envs.gui.state import State


class App(NamedTuple):
    """One app."""

    name: str
    """As the home screen and the action ``open`` have it."""
    view: Callable[[State], Page]
    """What it shows in a state whose path begins with its key."""


def home(state: State) -> Page:
    """The home screen: an icon for each app, and what came in."""
    apps = [link(APPS[key].name, (key,), role="button") for key in state.world.apps if key != "home"]
    rows = [row(*apps[i : i + 3]) for i in range(0, len(apps), 3)]
    unread = sum(bool(m["unread"]) for m in state.data.get("mail", {}).values())
    return Page("Home", rows, bottom=[words(f"{unread} unread mails")] if unread else ())


APPS: dict[str, App] = {
    "home": App("Home", home),
    "mail": App("Mail", mail.view),
    "calendar": App("Calendar", calendar.view),
    "contacts": App("Contacts", contacts.view),
    "files": App("Files", files.view),
    "settings": App("Settings", settings.view),
    "shop": App("Shop", shop.view),
    "notes": App("Notes", notes.view),
    "forms": App("Forms", forms.view),
    "page": App("Page", panel.view),
}
"""By key, which is the first part of the paths of its pages."""
_NAMES = {app.name.casefold(): key for key, app in APPS.items()}


def by_name(name: str) -> str | None:
    """The key of the app of a name."""
    return _NAMES.get(name.strip().casefold())


def view(state: State) -> Page:
    """The page that is open."""
    return APPS[state.path[0]].view(state)
