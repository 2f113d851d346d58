"""One language of actions for the simulator, for Chromium and for MiniWoB++.

A reply is one line::

    click 12                click 120 340           by element, or by place in pixels
    double_click 12         long_press 12           as click
    drag 3 7                drag 20 40 90 40        from, to
    type 7 hello world      type @120,340 hello     puts the text in place of what a field holds
    type @ hello                                    ... into the focused field
    select 5 Blue                                   an option of a combobox or slider
    scroll down             scroll 5 down           up, down, left, right; the screen, or an element
    press Enter             press ctrl+a            a key, or several at once
    back                    open Mail               one page back; an app by its name
    wait                    answer 42               let time pass; say the answer and be done

``@X,Y`` names a place wherever an element can be named. `parse` reads a reply, and says what is wrong with one that is
no action; `write` is its inverse. Compared: BrowserGym's ``click('12')``, WebArena's ``click [12]`` (brackets around a
number are accepted here), AndroidWorld's JSON objects. `agentrl.envs.gui.forms` has other ways to write the same.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

POINTING = ("click", "double_click", "long_press")
KINDS = (*POINTING, "drag", "type", "select", "scroll", "press", "back", "open", "wait", "answer")
DIRECTIONS = ("up", "down", "left", "right")
KEYS = (
    *("Enter", "Escape", "Tab", "Backspace", "Delete", "Space", "Home", "End", "PageUp", "PageDown"),
    *("ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"),
)
"""Named keys; single letters and digits are keys as well, and ctrl, shift, alt and meta may stand before a ``+``."""
MODIFIERS = ("ctrl", "shift", "alt", "meta")
TEXT_CHARS = 1000
"""Most characters of a text that is typed or answered."""
FORMS = {
    "click": "click ID",
    "double_click": "double_click ID",
    "long_press": "long_press ID",
    "drag": "drag ID ID",
    "type": "type ID TEXT",
    "select": "select ID OPTION",
    "scroll": "scroll down",
    "press": "press Enter",
    "back": "back",
    "open": "open APP",
    "wait": "wait",
    "answer": "answer TEXT",
}
"""How each kind is written."""
_KEY_NAMES = {key.lower(): key for key in KEYS} | {"esc": "Escape", "return": "Enter", "control": "ctrl"}
_ID = re.compile(r"\[?([0-9]{1,6})\]?", re.ASCII)
_PLACE = re.compile(r"@(-?[0-9]{1,6}),(-?[0-9]{1,6})", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,6}", re.ASCII)


class Spot(NamedTuple):
    """What an action points at: an element, or a place."""

    id: int | None = None
    """Number of an element."""
    x: int | None = None
    """Pixels from the left."""
    y: int | None = None
    """Pixels from the top."""

    @property
    def place(self) -> tuple[int, int] | None:
        """The place, where it is one."""
        return None if self.x is None or self.y is None else (self.x, self.y)


NOWHERE = Spot()
"""Not given: the focused field, or the whole screen."""


@dataclass(frozen=True)
class Action:
    """One action."""

    kind: str
    """One of `KINDS`."""
    spot: Spot = NOWHERE
    """What is clicked, typed into, scrolled or dragged."""
    text: str = ""
    """The text typed or answered, the option, the direction, the key, or the app."""
    to: Spot = NOWHERE
    """Where ``drag`` ends."""


class Problem(NamedTuple):
    """Why a reply is no action, for the policy to read."""

    message: str
    """One sentence or two."""


def parse(reply: str) -> Action | Problem:
    """Read a reply that is one action in one line. Never raises.

    >>> parse("click 12").spot, parse("type 7 hello world").text, parse("click send").message
    (Spot(id=12, x=None, y=None), 'hello world', 'click takes the number of an element: click ID.')
    """
    if len(reply) > 2 * TEXT_CHARS:
        return Problem(f"The reply is too long ({len(reply)} characters). Write one action.")
    said = reply.strip()
    if not said:
        return Problem(f"Nothing was said. Write one action: {', '.join(FORMS.values())}.")
    if bad := unprintable(said):
        several = "\n" in said or "\r" in said
        return Problem("Write one action, in one line." if several else f"The reply holds a control character ({bad}).")
    verb, _, rest = said.partition(" ")
    if verb not in FORMS:
        return Problem(f"There is no action {quoted(verb)}. Actions: {', '.join(FORMS.values())}.")
    return build(verb, rest.strip())


def build(kind: str, rest: str) -> Action | Problem:
    """The action of a kind from what follows its name."""
    if kind in ("back", "wait"):
        return Problem(f"{kind} stands alone.") if rest else Action(kind)
    if kind in POINTING:
        spots = _spots(rest, of=1)
        if len(spots) == 1:
            return Action(kind, spots[0])
        return Problem(f"{kind} takes the number of an element: {FORMS[kind]}.")
    if kind == "drag":
        spots = _spots(rest, of=2)
        return Action(kind, spots[0], to=spots[1]) if len(spots) == 2 else Problem(f"Write {FORMS[kind]}.")
    if kind in ("type", "select"):
        first, _, said = rest.partition(" ")
        spot = NOWHERE if first == "@" and kind == "type" else _spot(first)
        if spot is None:
            return Problem(f"{kind} takes the number of an element first: {FORMS[kind]}.")
        return check(Action(kind, spot, said.strip()))
    if kind == "scroll":
        first, _, direction = rest.rpartition(" ")
        spot = _spot(first) if first else NOWHERE
        return Problem("Write scroll down, or scroll up.") if spot is None else check(Action(kind, spot, direction))
    return check(Action(kind, text=rest))


def check(action: Action) -> Action | Problem:
    """The action with its text in canonical form, or what is wrong with it. Other ways to write use it too."""
    kind, said = action.kind, action.text.strip()
    if kind not in FORMS:
        return Problem(f"There is no action {quoted(kind)}. Actions: {', '.join(FORMS.values())}.")
    if len(said) > TEXT_CHARS:
        return Problem(f"The text has {len(said)} characters; {TEXT_CHARS} are the most.")
    if bad := unprintable(said):
        return Problem(f"The text holds a control character ({bad}).")
    if kind == "scroll":
        said = said.lower()
        if said not in DIRECTIONS:
            return Problem(f"One scrolls {', '.join(DIRECTIONS)}; write scroll down, or scroll up.")
    elif kind == "press":
        key = _key(said)
        if key is None:
            return Problem(f"There is no key {quoted(said)}. Keys: {', '.join(KEYS)}, letters, digits.")
        said = key
    elif kind in ("select", "open", "answer") and not said:
        return Problem(f"Write {FORMS[kind]}.")
    if kind in (*POINTING, "drag", "select") and action.spot == NOWHERE:
        return Problem(f"{kind} needs an element or a place: {FORMS[kind]}.")
    if kind == "drag" and action.to == NOWHERE:
        return Problem("drag needs where to: drag ID ID.")
    return Action(kind, action.spot, said, action.to)


def write(action: Action) -> str:
    """An action as one line.

    >>> write(Action("click", Spot(12))), write(Action("type", Spot(x=5, y=9), "hi"))
    ('click 12', 'type @5,9 hi')
    """
    kind, spot = action.kind, action.spot
    if kind in POINTING:
        return f"{kind} {_plain(spot)}"
    if kind == "drag":
        return f"drag {_plain(spot)} {_plain(action.to)}"
    if kind in ("back", "wait"):
        return kind
    target = ""
    if spot.id is not None:
        target = f"{spot.id} "
    elif spot.place is not None:
        target = f"@{spot.x},{spot.y} "
    elif kind == "type":
        target = "@ "
    return f"{kind} {target}{action.text}".rstrip()


def quoted(text: str, most: int = 40) -> str:
    """A short, printable quotation of what was said."""
    shown = "".join(c if c.isprintable() else "?" for c in text[:most])
    return f"'{shown}{'...' if len(text) > most else ''}'"


def unprintable(text: str) -> str:
    """Code of the first character that is no text: control, surrogate, private or unassigned; empty where there is
    none. Format characters, which hide what a text says, count too."""
    if text.isascii() and text.isprintable():
        return ""
    return next((f"U+{ord(c):04X}" for c in text if unicodedata.category(c)[0] == "C"), "")


def _plain(spot: Spot) -> str:
    return str(spot.id) if spot.id is not None else f"{spot.x} {spot.y}"


def _spot(said: str) -> Spot | None:
    if found := _ID.fullmatch(said):
        return Spot(int(found[1]))
    if found := _PLACE.fullmatch(said):
        return Spot(x=int(found[1]), y=int(found[2]))
    return None


def _spots(said: str, of: int) -> list[Spot]:
    """So many elements or places; twice as many numbers are places: ``click 120 340``, ``drag 20 40 90 40``."""
    words = said.split()
    if len(words) == 2 * of and all(_NUMBER.fullmatch(word) for word in words):
        numbers = [int(word) for word in words]
        return [Spot(x=numbers[i], y=numbers[i + 1]) for i in range(0, len(numbers), 2)]
    spots = [spot for word in words[:of] if (spot := _spot(word)) is not None]
    return spots if len(spots) == len(words) else []


def _key(said: str) -> str | None:
    *before, last = [part.strip() for part in said.split("+")] if said != "+" else ["+"]
    held = [_KEY_NAMES.get(part.lower(), part.lower()) for part in before]
    if any(part not in MODIFIERS for part in held):
        return None
    key = last if len(last) == 1 and last.isascii() and last.isalnum() else _KEY_NAMES.get(last.lower())
    return None if key is None or key in MODIFIERS else "+".join([*held, key])
