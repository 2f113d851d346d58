"""A screen as a picture, drawn with Pillow: for people, and for models that see.

Colours and shapes follow what mobile interfaces look like; every numbered widget is drawn in the box that `Screen.box`
gives, so what is seen and what is clicked agree. Needs the extra ``gui``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agentrl.envs.gui.widgets import (
    CONTAINERS,
    HEIGHT,
    LINE_HEIGHT,
    MARGIN,
    STATUS_HEIGHT,
    TITLE_HEIGHT,
    WIDTH,
    Box,
    Screen,
    Widget,
    walk_paths,
)
from agentrl.errors import MissingExtra

if TYPE_CHECKING:
    from PIL.Image import Image

INK, PALE, LINE, PAPER, BACK = "#1f2933", "#7b8794", "#cbd2d9", "#ffffff", "#f5f7fa"
ACCENT, SOFT, WARN, VEIL = "#2563eb", "#dbeafe", "#b45309", "#9aa5b1"
SIZE = 13
"""Of the letters, in pixels."""


def picture(screen: Screen, numbers: bool = False) -> Image:
    """Draw a screen.

    Args:
        numbers: Whether the number of each widget is written at its corner (a set of marks).

    Returns:
        An RGB picture of `WIDTH` by `HEIGHT` pixels.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise MissingExtra("pillow", "gui") from None
    image = Image.new("RGB", (WIDTH, HEIGHT), BACK)
    pen = _Pen(ImageDraw.Draw(image))
    _bars(pen, screen)
    if screen.root.role == "dialog":
        pen.rectangle(Box(0, STATUS_HEIGHT, WIDTH, HEIGHT - STATUS_HEIGHT), VEIL)
        pen.rectangle(screen.boxes[()], PAPER, LINE, 12)
        box = screen.boxes[()]
        pen.write(Box(box.x + MARGIN, box.y + MARGIN, box.width - 2 * MARGIN, LINE_HEIGHT), screen.title, bold=True)
    for path, widget in walk_paths(screen.root):
        if path and (widget.role not in CONTAINERS or widget.name):
            _DRAWN.get(widget.role, _words)(pen, screen.boxes[path], widget)
            if numbers and widget.id:
                pen.mark(screen.boxes[path], str(widget.id))
    _arrows(pen, screen)
    return image


class _Pen:
    """Draws shapes and text that keeps to its box."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def rectangle(self, box: Box, fill: str | None, outline: str | None = None, radius: int = 0) -> None:
        """A box, with round corners."""
        edges = (box.x, box.y, box.x + box.width - 1, box.y + box.height - 1)
        self.draw.rounded_rectangle(edges, min(radius, box.height // 2), fill=fill, outline=outline)

    def circle(self, x: int, y: int, radius: int, fill: str | None, outline: str | None = None) -> None:
        """A circle about a point."""
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=outline)

    def line(self, points: list[tuple[int, int]], colour: str, width: int = 1) -> None:
        """Through points."""
        self.draw.line(points, fill=colour, width=width)

    def write(self, box: Box, text: str, colour: str = INK, align: str = "left", bold: bool = False) -> None:
        """Text in as many lines as there is room for; what does not fit ends in dots."""
        font = _font(SIZE)
        rows = max(1, box.height // (SIZE + 4))
        lines = self._lines(text, box.width, rows)
        top = box.y + (box.height - len(lines) * (SIZE + 4)) // 2
        for i, said in enumerate(lines):
            width = int(self.draw.textlength(said, font=font))
            left = box.x + {"left": 0, "centre": (box.width - width) // 2, "right": box.width - width}[align]
            at = (left, top + i * (SIZE + 4))
            self.draw.text(at, said, fill=colour, font=font, stroke_width=0.4 if bold else 0, stroke_fill=colour)

    def mark(self, box: Box, number: str) -> None:
        """A number at the corner of a box."""
        width = int(self.draw.textlength(number, font=_font(10))) + 4
        self.draw.rectangle((box.x, box.y, box.x + width, box.y + 12), fill=WARN)
        self.draw.text((box.x + 2, box.y), number, fill=PAPER, font=_font(10))

    def _lines(self, text: str, width: int, most: int) -> list[str]:
        lines, now = [], ""
        for word in text.split():
            longer = f"{now} {word}".strip()
            if now and self._wide(longer) > width:
                lines.append(now)
                now = word
            else:
                now = longer
        lines.append(now)
        cut = len(lines) > most
        lines = lines[:most]
        while lines[-1] and self._wide(lines[-1] + ("…" if cut else "")) > width:
            lines[-1], cut = lines[-1][:-1], True
        return [*lines[:-1], lines[-1] + ("…" if cut else "")]

    def _wide(self, text: str) -> float:
        return float(self.draw.textlength(text, font=_font(SIZE)))


@lru_cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _bars(pen: _Pen, screen: Screen) -> None:
    pen.rectangle(Box(0, 0, WIDTH, STATUS_HEIGHT), INK)
    pen.write(Box(MARGIN, 0, WIDTH - 2 * MARGIN, STATUS_HEIGHT), screen.status, PAPER)
    pen.rectangle(Box(0, STATUS_HEIGHT, WIDTH, TITLE_HEIGHT), PAPER, LINE)
    title = Box(MARGIN, STATUS_HEIGHT, WIDTH - 2 * MARGIN, TITLE_HEIGHT)
    if screen.root.role != "dialog":
        pen.write(title, screen.title, INK, bold=True)


def _arrows(pen: _Pen, screen: Screen) -> None:
    """What shows that there is more to scroll to."""
    x = WIDTH // 2
    if screen.below:
        y = HEIGHT - 10
        pen.line([(x - 12, y - 5), (x, y + 2), (x + 12, y - 5)], ACCENT, 3)
    if screen.above:
        y = STATUS_HEIGHT + TITLE_HEIGHT - 3
        pen.line([(x - 12, y), (x, y - 7), (x + 12, y)], ACCENT, 3)


def _inner(box: Box, left: int = MARGIN, right: int = MARGIN) -> Box:
    return Box(box.x + left, box.y, max(1, box.width - left - right), box.height)


def _words(pen: _Pen, box: Box, w: Widget) -> None:
    colour = WARN if w.role == "alert" else INK
    pen.write(box, w.name, colour, bold=w.role == "heading")


def _button(pen: _Pen, box: Box, w: Widget) -> None:
    off = "disabled" in w.states
    pen.rectangle(box, LINE if off else ACCENT, None, 8)
    pen.write(_inner(box, 4, 4), w.name, PALE if off else PAPER, "centre")
    if "expanded" in w.states:
        _chevron(pen, box, PAPER)


def _link(pen: _Pen, box: Box, w: Widget) -> None:
    pen.rectangle(box, PAPER, LINE, 4)
    left = MARGIN
    if "unread" in w.states:
        pen.circle(box.x + 10, box.y + box.height // 2, 4, ACCENT)
        left = 22
    right = MARGIN
    if "flagged" in w.states:
        x, y = box.x + box.width - 20, box.y + box.height // 2
        pen.line([(x, y + 8), (x, y - 8)], WARN, 2)
        pen.draw.polygon([(x, y - 8), (x + 10, y - 4), (x, y)], fill=WARN)
        right = 30
    pen.write(_inner(box, left, right), w.name, INK, bold="unread" in w.states)


def _tab(pen: _Pen, box: Box, w: Widget) -> None:
    here = "selected" in w.states
    pen.rectangle(box, SOFT if here else PAPER, LINE)
    pen.write(_inner(box, 2, 2), w.name, ACCENT if here else INK, "centre")


def _field(pen: _Pen, box: Box, w: Widget) -> None:
    focused = "focused" in w.states
    pen.rectangle(box, PAPER, ACCENT if focused else PALE, 6)
    star = "*" if "required" in w.states else ""
    value = "*" * len(w.value) if "password" in w.states else w.value
    third = max(box.width // 3, 60)
    if value:
        pen.write(_inner(box, MARGIN, box.width - third), w.name + star, PALE)
        pen.write(_inner(box, third), value)
    else:
        pen.write(_inner(box), w.name + star, PALE)


def _combobox(pen: _Pen, box: Box, w: Widget) -> None:
    _field(pen, box, w)
    _chevron(pen, box, INK)
    if not w.value:
        third = max(box.width // 3, 60)
        pen.write(_inner(box, third, 26), ", ".join(w.options), LINE)


def _chevron(pen: _Pen, box: Box, colour: str) -> None:
    x, y = box.x + box.width - 16, box.y + box.height // 2
    pen.line([(x - 5, y - 3), (x, y + 3), (x + 5, y - 3)], colour, 2)


def _slider(pen: _Pen, box: Box, w: Widget) -> None:
    pen.write(_inner(box, MARGIN, box.width * 2 // 3), w.name)
    left, right, y = box.x + box.width // 3, box.x + box.width - 50, box.y + box.height // 2
    pen.line([(left, y), (right, y)], LINE, 4)
    place = w.options.index(w.value) / max(1, len(w.options) - 1) if w.value in w.options else 0
    pen.circle(left + int((right - left) * place), y, 8, ACCENT)
    pen.write(_inner(box, box.width - 40, 0), w.value, PALE)


def _checkbox(pen: _Pen, box: Box, w: Widget) -> None:
    y, on = box.y + box.height // 2, "checked" in w.states
    square = Box(box.x + 4, y - 8, 16, 16)
    pen.rectangle(square, ACCENT if on else PAPER, ACCENT if on else PALE, 3)
    if on:
        pen.line([(box.x + 7, y), (box.x + 11, y + 4), (box.x + 17, y - 4)], PAPER, 2)
    star = " *" if "required" in w.states else ""
    pen.write(_inner(box, 28, 2), w.name + star)


def _radio(pen: _Pen, box: Box, w: Widget) -> None:
    y = box.y + box.height // 2
    pen.circle(box.x + 12, y, 8, PAPER, ACCENT if "checked" in w.states else PALE)
    if "checked" in w.states:
        pen.circle(box.x + 12, y, 4, ACCENT)
    pen.write(_inner(box, 28, 2), w.name)


def _switch(pen: _Pen, box: Box, w: Widget) -> None:
    on, y = "checked" in w.states, box.y + box.height // 2
    pen.write(_inner(box, MARGIN, 56), w.name)
    right = box.x + box.width - 10
    pen.rectangle(Box(right - 36, y - 9, 36, 18), ACCENT if on else LINE, None, 9)
    pen.circle(right - 9 if on else right - 27, y, 7, PAPER)


_DRAWN: dict[str, Callable[[_Pen, Box, Widget], None]] = {
    "button": _button,
    "link": _link,
    "option": _link,
    "tab": _tab,
    "textbox": _field,
    "combobox": _combobox,
    "slider": _slider,
    "checkbox": _checkbox,
    "radio": _radio,
    "switch": _switch,
}
