"""Screens as trees of widgets: what one sees, as text and with a place for everything.

A `Screen` is made once by `show` and never changed: widgets that can be acted on are numbered 1, 2, 3, ... in the
order in which they appear, and a layout gives each widget a box on a fixed viewport, so that elements and coordinates
name the same things. `text` is the accessibility tree, one widget a line, in the manner of BrowserGym's::

    Mail: Inbox
    [1] textbox "Search"
    [2] link "Anna Berg: Lunch" unread
    [3] button "Compose"

Containers: the children of a ``row`` stand side by side, those of a ``list`` or ``group`` below each other. A
``dialog`` covers the screen: where one is open it is all that there is to see and act on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

WIDTH, HEIGHT = 360, 640
"""The viewport, in pixels."""
STATUS_HEIGHT, TITLE_HEIGHT = 24, 40
"""Of the bar with date and time, and of the bar with the title below it."""
ROW_HEIGHT, LINE_HEIGHT, GAP, MARGIN = 40, 20, 6, 10
LINE_CHARS = 44
"""Characters of static text in a line of full width."""
CLICKABLE = frozenset({"button", "link", "checkbox", "radio", "switch", "tab", "option"})
EDITABLE = frozenset({"textbox", "combobox", "slider"})
INTERACTIVE = CLICKABLE | EDITABLE
"""Roles of widgets that have a number."""
CONTAINERS = frozenset({"screen", "row", "list", "group", "dialog"})


class Box(NamedTuple):
    """A rectangle, in pixels from the viewport's left upper corner."""

    x: int
    """From the left."""
    y: int
    """From the top."""
    width: int
    """To the right."""
    height: int
    """Downwards."""

    @property
    def centre(self) -> tuple[int, int]:
        """The point in the middle."""
        return self.x + self.width // 2, self.y + self.height // 2

    def holds(self, x: int, y: int) -> bool:
        """Whether a point lies in it."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


class Widget(NamedTuple):
    """One thing on a screen, immutable. Roles are those of ARIA."""

    role: str
    """One of `INTERACTIVE` or `CONTAINERS`, or ``text``, ``heading``, ``alert``."""
    name: str = ""
    """What it is called; for ``text`` and ``alert`` what it says."""
    value: str = ""
    """What a textbox holds, or a combobox or slider is set to."""
    states: tuple[str, ...] = ()
    """Of: disabled, checked, selected, expanded, focused, required, invalid, unread, flagged, password."""
    options: tuple[str, ...] = ()
    """What a combobox or slider can be set to."""
    children: tuple[Widget, ...] = ()
    """What a container holds."""
    key: str = ""
    """What it stands for, stable over screens (``mail.send``); not shown."""
    do: Any = None
    """What the state machine does with it (`agentrl.envs.gui.machine`); renderers leave it alone."""
    id: int = 0
    """Its number on this screen, 0 where it has none."""


@dataclass(frozen=True)
class Screen:
    """What is on the display. Made by `show`."""

    title: str
    """The app, and where in it."""
    root: Widget
    """A container with role ``screen``, or the open ``dialog``."""
    status: str = ""
    """The bar with date, time and notifications."""
    below: bool = False
    """Whether scrolling down shows more."""
    above: bool = False
    """Whether scrolling up shows more."""

    @cached_property
    def numbered(self) -> dict[int, Widget]:
        """Widgets that have a number, by it, in order of appearance."""
        return {w.id: w for w in walk(self.root) if w.id}

    @cached_property
    def boxes(self) -> dict[tuple[int, ...], Box]:
        """Where each widget is, by its path of child indices from the root (``()`` is the root)."""
        found: dict[tuple[int, ...], Box] = {}
        _lay_out(self, found)
        return found

    @cached_property
    def paths(self) -> dict[int, tuple[int, ...]]:
        """The path of each numbered widget, by its number."""
        return {w.id: path for path, w in walk_paths(self.root) if w.id}

    def find(self, id: int) -> Widget | None:
        """The widget of a number."""
        return self.numbered.get(id)

    def box(self, id: int) -> Box:
        """Where the widget of a number is.

        Raises:
            KeyError: there is none.
        """
        return self.boxes[self.paths[id]]

    def at(self, x: int, y: int) -> Widget | None:
        """The numbered widget at a point of the viewport."""
        return next((w for w in self.numbered.values() if self.box(w.id).holds(x, y)), None)


def show(title: str, root: Widget, *, status: str = "", below: bool = False, above: bool = False) -> Screen:
    """Number the widgets of a tree and make a screen of it."""
    numbered, _ = _number(root, 1)
    return Screen(title, numbered, status, below, above)


def walk(widget: Widget) -> Iterator[Widget]:
    """A widget and all below it, in order of appearance."""
    yield widget
    for child in widget.children:
        yield from walk(child)


def walk_paths(widget: Widget, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Widget]]:
    """As `walk`, with the path of child indices to each."""
    yield path, widget
    for i, child in enumerate(widget.children):
        yield from walk_paths(child, (*path, i))


def text(screen: Screen) -> str:
    """The screen as an accessibility tree in lines; see the module docstring."""
    lines = [f"{screen.status}\n{screen.title}" if screen.status else screen.title]
    if screen.above:
        lines.append("(more above)")
    if screen.root.role == "dialog":
        _write(screen.root, "", lines)
    else:
        for child in screen.root.children:
            _write(child, "", lines)
    if screen.below:
        lines.append("(more below)")
    return "\n".join(lines)


def line(widget: Widget) -> str:
    """One widget as the tree shows it.

    >>> line(Widget("textbox", "To", "Anna", ("required",), id=3))
    '[3] textbox "To" = "Anna" required'
    """
    if widget.role == "text":
        return widget.name
    parts = [f"[{widget.id}]"] if widget.id else []
    parts.append(widget.role)
    if widget.name:
        parts.append(f'"{widget.name}"')
    if widget.value:
        parts.append(f'= "{widget.value}"')
    if widget.options:
        parts.append(f"({', '.join(widget.options)})")
    parts += widget.states
    return " ".join(parts)


def _write(widget: Widget, indent: str, lines: list[str]) -> None:
    nameless = widget.role in CONTAINERS and not widget.name
    if not nameless:
        lines.append(indent + line(widget))
        indent += " "
    for child in widget.children:
        _write(child, indent, lines)


def _number(widget: Widget, first: int) -> tuple[Widget, int]:
    """The widget with numbers from ``first``, and the next free number."""
    if widget.role in INTERACTIVE:
        widget = widget._replace(id=first)
        first += 1
    if widget.children:
        children = []
        for child in widget.children:
            done, first = _number(child, first)
            children.append(done)
        widget = widget._replace(children=tuple(children))
    return widget, first


def _lay_out(screen: Screen, found: dict[tuple[int, ...], Box]) -> None:
    """Stack what the root holds from the bars to the bottom, smaller where there is not enough room."""
    root = screen.root
    top = STATUS_HEIGHT + TITLE_HEIGHT
    if root.role == "dialog":
        inner = WIDTH - 4 * MARGIN
        wanted = _height(root, inner)
        height = min(wanted, HEIGHT - top - 2 * MARGIN)
        box = Box(2 * MARGIN, (HEIGHT - height) // 2, inner, height)
        found[()] = box
        head = MARGIN + TITLE_HEIGHT // 2 + GAP
        _stack(root, (), Box(box.x + MARGIN, box.y + head, inner - 2 * MARGIN, height - head - MARGIN), found)
    else:
        found[()] = Box(0, 0, WIDTH, HEIGHT)
        room = HEIGHT - top - 2 * MARGIN
        area = Box(MARGIN, top + MARGIN, WIDTH - 2 * MARGIN, min(room, max(1, _inner(root, WIDTH - 2 * MARGIN))))
        _stack(root, (), area, found)


def _stack(parent: Widget, path: tuple[int, ...], area: Box, found: dict[tuple[int, ...], Box]) -> None:
    """Place the children of a container below each other in an area; all shrink alike where they do not fit."""
    heights = [_height(child, area.width) for child in parent.children]
    total = sum(heights) + GAP * max(0, len(heights) - 1)
    scale = min(1.0, area.height / total) if total else 1.0
    at = 0
    for i, (child, height) in enumerate(zip(parent.children, heights, strict=True)):
        top, bottom = area.y + int(at * scale), area.y + int((at + height) * scale)
        _place(child, (*path, i), Box(area.x, top, area.width, max(1, bottom - top)), found)
        at += height + GAP


def _place(widget: Widget, path: tuple[int, ...], box: Box, found: dict[tuple[int, ...], Box]) -> None:
    found[path] = box
    if widget.role == "row":
        n = max(1, len(widget.children))
        for i, child in enumerate(widget.children):
            left, right = box.x + box.width * i // n, box.x + box.width * (i + 1) // n
            width = max(1, right - left - (GAP if i < n - 1 else 0))
            _place(child, (*path, i), Box(left, box.y, width, box.height), found)
    elif widget.children:
        head = LINE_HEIGHT if widget.name and box.height > 2 * LINE_HEIGHT else 0
        _stack(widget, path, Box(box.x, box.y + head, box.width, box.height - head), found)


def _height(widget: Widget, width: int) -> int:
    """How high a widget wants to be."""
    if widget.role == "row":
        n = max(1, len(widget.children))
        return max((_height(child, width // n) for child in widget.children), default=0)
    if widget.role in CONTAINERS:
        if widget.role == "dialog":
            return 2 * MARGIN + TITLE_HEIGHT // 2 + GAP + _inner(widget, width - 2 * MARGIN)
        return (LINE_HEIGHT if widget.name else 0) + _inner(widget, width)
    if widget.role in ("text", "alert", "heading"):
        chars = max(8, LINE_CHARS * width // WIDTH)
        return LINE_HEIGHT * max(1, -(-len(widget.name) // chars))
    return ROW_HEIGHT


def _inner(widget: Widget, width: int) -> int:
    heights = [_height(child, width) for child in widget.children]
    return sum(heights) + GAP * max(0, len(heights) - 1)
