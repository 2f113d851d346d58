"""A screen as HTML: the widgets as the elements that they are, each in the place that the simulator's layout gives it.

A place on the page is the same place as in the simulator. Each element that can be acted on carries its number
(``data-id``) and its key (``data-key``). `document` is a whole page; `body` what changes in it from screen to screen.
The page's script (``page.js``) tells what is done to it through ``window.told``.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from itertools import pairwise
from pathlib import Path

from agentrl.envs.gui.widgets import (
    CONTAINERS,
    HEIGHT,
    LINE_HEIGHT,
    STATUS_HEIGHT,
    TITLE_HEIGHT,
    WIDTH,
    Box,
    Screen,
    Widget,
)

HERE = Path(__file__).parent
ARIA_STATES = frozenset({"disabled", "checked", "selected", "expanded", "focused", "required", "invalid", "password"})
"""States that HTML or ARIA have an attribute for; the others are described in words."""


def document(screen: Screen, note: str = "") -> str:
    """A whole page."""
    style = (HERE / "style.css").read_text(encoding="utf-8")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Device</title>'
        f"<style>{style}</style><script>{script}</script></head><body>{body(screen, note)}</body></html>"
    )


def body(screen: Screen, note: str = "") -> str:
    """What a page shows of a screen, and of what the last action was answered with."""
    parts = []
    parts.append(_held("div", Box(0, 0, WIDTH, STATUS_HEIGHT), escape(screen.status), {"class": "status"}))
    title = Box(0, STATUS_HEIGHT, WIDTH, TITLE_HEIGHT)
    parts.append(_held("h1", title, escape(screen.title), {}))
    if screen.above:
        parts.append(_held("p", Box(0, STATUS_HEIGHT + TITLE_HEIGHT - 8, WIDTH, 14), "(more above)", {"class": "more"}))
    if screen.root.role == "dialog":
        parts.append('<div class="veil" aria-hidden="true"></div>')
        parts.append(_element(screen, screen.root, ()))
    else:
        parts += [_element(screen, child, (i,)) for i, child in enumerate(screen.root.children)]
    if screen.below:
        parts.append(_held("p", Box(0, HEIGHT - 16, WIDTH, 14), "(more below)", {"class": "more"}))
    if note:
        parts.append(f'<div class="toast" aria-hidden="true">{escape(note)}</div>')
    return "\n".join(parts)


def _element(screen: Screen, widget: Widget, path: tuple[int, ...]) -> str:
    """A widget and all that it holds."""
    box = screen.boxes[path]
    if widget.role in CONTAINERS:
        inside = "".join(_element(screen, child, (*path, i)) for i, child in enumerate(widget.children))
        return _dialog(screen, widget, box, inside) if widget.role == "dialog" else _container(widget, box, inside)
    return _WRITERS.get(widget.role, _plain)(widget, box)


def _container(widget: Widget, box: Box, inside: str) -> str:
    """Containers have no place of their own in the page, so that those of their children count from the viewport."""
    if not widget.name:
        return f"<div>{inside}</div>"
    above = Box(box.x, box.y, box.width, 18)
    head = _held("div", above, escape(widget.name), {"class": "head", "aria-hidden": "true"})
    role = f' role="{widget.role}"' if widget.role in ("list", "group") else ""
    return f'<div{role} aria-label="{escape(widget.name)}">{head}{inside}</div>'


def _dialog(screen: Screen, widget: Widget, box: Box, inside: str) -> str:
    """A dialog in its frame, with its title where the layout leaves room for it."""
    first = screen.boxes.get((0,))
    room = first is not None and first.y - box.y >= LINE_HEIGHT
    title = f"<b>{escape(widget.name or screen.title)}</b>" if room else ""
    frame = _held("div", box, title, {"class": "dialog", "aria-hidden": "true"})
    name = f' aria-label="{escape(widget.name)}"' if widget.name else ""
    return f'<div role="dialog" aria-modal="true"{name}>{frame}{inside}</div>'


def _held(tag: str, box: Box, inside: str, attributes: dict[str, str]) -> str:
    """An element in its place."""
    x, y, width, height = box
    style = f"left:{x}px;top:{y}px;width:{width}px;height:{height}px"
    written = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
    return f'<{tag}{written} style="{style}">{inside}</{tag}>'


def _attributes(widget: Widget, **more: str) -> dict[str, str]:
    """Number, key and states of a widget."""
    found = {"data-id": str(widget.id), "data-key": widget.key, **more}
    for state in widget.states:
        if state == "disabled":
            found["disabled"] = ""
        elif state == "required":
            found["aria-required"] = "true"  # the attribute "required" would have the browser check the values
        elif state == "focused":
            found["data-focus"] = ""
        elif state in ("selected", "expanded", "invalid"):
            found[f"aria-{state}"] = "true"
    told = ARIA_STATES if widget.role == "textbox" else ARIA_STATES - {"required"}  # Chromium has it for fields alone
    if words := [state for state in widget.states if state not in told]:
        found["aria-description"] = " ".join(words)
    return found


def _plain(widget: Widget, box: Box) -> str:
    if widget.role == "heading":
        return _held("h2", box, escape(widget.name), {})
    if widget.role == "alert":
        return _held("div", box, escape(widget.name), {"role": "alert", "aria-label": widget.name})
    return _held("p", box, escape(widget.name), {})


def _button(widget: Widget, box: Box) -> str:
    return _held("button", box, escape(widget.name), _attributes(widget, type="button"))


def _role_button(widget: Widget, box: Box) -> str:
    """Tabs, options and switches."""
    more = {"role": widget.role, "type": "button", "aria-label": widget.name}
    if widget.role == "switch":
        more["aria-checked"] = "true" if "checked" in widget.states else "false"
    written = _held("button", box, f"<span>{escape(widget.name)}</span>", _attributes(widget, **more))
    return f'<div role="listbox">{written}</div>' if widget.role == "option" else written


def _link(widget: Widget, box: Box) -> str:
    return _held("a", box, escape(widget.name), _attributes(widget, href="#"))


def _tick(widget: Widget, box: Box) -> str:
    """Checkboxes and radio buttons: the input lies over its label, and takes all clicks."""
    more = {"type": widget.role, "aria-label": widget.name}
    if "checked" in widget.states:
        more["checked"] = ""
    written = _held("input", box, "", _attributes(widget, **more)).removesuffix("</input>")
    label = _held("span", box, escape(widget.name), {"class": "label", "aria-hidden": "true"})
    return label + written


def _textbox(widget: Widget, box: Box) -> str:
    kind = "password" if "password" in widget.states else "text"
    more = {
        "type": kind,
        "aria-label": widget.name,
        "value": widget.value,
        "autocomplete": "off",
        "spellcheck": "false",
    }
    written = _held("input", box, "", _attributes(widget, **more, placeholder=widget.name)).removesuffix("</input>")
    return written + _caption(widget, box) if widget.value else written


def _combobox(widget: Widget, box: Box) -> str:
    options = [
        f'<option value="{escape(o)}"{" selected" if o == widget.value else ""}>{escape(o)}</option>'
        for o in widget.options
    ]
    if widget.value not in widget.options:
        options.insert(0, f'<option value="" selected hidden>{escape(widget.value)}</option>')
    select = _held("select", box, "".join(options), _attributes(widget, **{"aria-label": widget.name}))
    return select + _caption(widget, box)


def _slider(widget: Widget, box: Box) -> str:
    steps = [int(o) for o in widget.options]
    gaps = {b - a for a, b in pairwise(steps)} or {1}
    more = {"type": "range", "min": str(steps[0]), "max": str(steps[-1]), "value": widget.value or str(steps[0])}
    more |= {"step": str(min(gaps)), "aria-label": widget.name, "aria-description": ", ".join(widget.options)}
    written = _held("input", box, "", _attributes(widget, **more)).removesuffix("</input>")
    return written + _caption(widget, box, f"{widget.name}: {widget.value}")


def _caption(widget: Widget, box: Box, text: str = "") -> str:
    """The name of a field that is filled, in small letters at its upper edge."""
    name = text or widget.name
    above = Box(box.x + 9, box.y + 3, box.width - 18, 12)
    return _held("span", above, escape(name), {"class": "caption", "aria-hidden": "true"}) if name else ""


_WRITERS: dict[str, Callable[[Widget, Box], str]] = {
    "button": _button,
    "link": _link,
    "checkbox": _tick,
    "radio": _tick,
    "switch": _role_button,
    "tab": _role_button,
    "option": _role_button,
    "textbox": _textbox,
    "combobox": _combobox,
    "slider": _slider,
}
