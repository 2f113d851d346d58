"""The state of a device: what is stored, which page is shown, what was typed and not yet sent. All of it immutable.

A page is named by a path, such as ``("mail", "Archive", "7")``: an app, and where one is in it. Going back takes one
part off; ``("home",)`` is the home screen. What stands in fields (`State.draft`) belongs to the page and is lost when
it is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from agentrl.envs.gui.data import Data

Path = tuple[str, ...]
HOME: Path = ("home",)


class Dialog(NamedTuple):
    """A window over the page, which has to be answered first."""

    title: str
    """What it is about."""
    text: str
    """What it says."""
    buttons: tuple[tuple[str, str, Callable[[Any], Any]], ...]
    """Of each: name, key, and what it does to the state once the dialog is closed."""


class World(NamedTuple):
    """What stays as it is through an episode."""

    apps: tuple[str, ...]
    """Keys of the apps on the home screen, in order."""
    start: Path = HOME
    """Where the episode starts; without a home screen among the apps one cannot leave it."""
    rows: int = 99
    """Rows of a list that fit the screen; the others have to be scrolled to."""
    slow: Mapping[str, int] = {}
    """Apps whose pages need time to load, and how many steps."""
    status: str = ""
    """Date and time, as the status bar shows them."""
    rich: bool = False
    """Whether apps show all that they have: folders, filters, searches."""
    days: tuple[str, ...] = ()
    """Days of the calendar."""
    times: tuple[str, ...] = ()
    """Times of the calendar."""
    panel: Any = None
    """The small task's page (`agentrl.envs.gui.apps.panel`)."""


class State(NamedTuple):
    """Where the device stands."""

    data: Data
    """What is stored."""
    world: World
    """What does not change."""
    path: Path = HOME
    """The page."""
    draft: Mapping[str, str] = {}
    """What stands in the page's fields, by their names, where it differs from what they start with."""
    scroll: int = 0
    """Rows scrolled past."""
    focus: str = ""
    """Key of the widget that has the keyboard."""
    dialog: Dialog | None = None
    """What is open over the page."""
    popups: tuple[tuple[int, str], ...] = ()
    """What will pop up: when, and its kind."""
    notice: str = ""
    """What the last action was answered with."""
    undo: State | None = None
    """What the button ``Undo`` goes back to, while it is offered."""
    tick: int = 0
    """Actions so far that were carried out."""
    ready: int = 0
    """Tick at which the page has loaded."""
    seen: frozenset[Path] = frozenset()
    """Pages that were shown."""
    answer: str | None = None
    """What was answered."""
    over: bool = False
    """Nothing can be done any more."""


def go(state: State, path: Path) -> State:
    """Another page."""
    delay = state.world.slow.get(path[0], 0)
    ready = state.tick + 1 + delay if delay else 0
    seen = state.seen if delay else state.seen | {path}
    return state._replace(path=path, draft={}, scroll=0, focus="", ready=ready, seen=seen)


def fill(state: State, text: str, name: str) -> State:
    """Other contents of a field."""
    return state._replace(draft={**state.draft, name: text})


def flip(state: State, name: str, on: bool) -> State:
    """A checkbox of a form set or cleared."""
    return fill(state, "yes" if on else "no", name)


def store(state: State, data: Data, notice: str = "", path: Path | None = None) -> State:
    """Other contents of the device, what to say about it, and where to go."""
    moved = go(state, path) if path is not None else state
    return moved._replace(data=data, notice=notice)


def offer_undo(before: State, after: State) -> State:
    """The state ``after`` an action, with the offer to take it back."""
    return after._replace(undo=before._replace(undo=None, notice="Undone."))


def ask(state: State, title: str, text: str, yes: str, do: Callable[[State], State], no: str = "Cancel") -> State:
    """Ask before something is done that cannot be taken back."""
    return state._replace(dialog=Dialog(title, text, ((yes, "dialog.yes", do), (no, "dialog.no", _nothing))))


def _nothing(state: State) -> State:
    return state
