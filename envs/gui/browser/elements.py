"""What a page shows as numbered lines: what the policy reads, and what its numbers stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentrl.envs.gui.browser.snapshot import Box

NAME_CHARS = 200
"""Most characters of a name that are shown."""


@dataclass(frozen=True)
class Element:
    """One line of an observation."""

    role: str
    """As in ARIA; in the view ``dom`` the tag."""
    name: str
    """What it is called, or says."""
    node: int
    """Chromium's number of the node, by which it is found again."""
    box: Box | None = None
    """Where it is drawn."""
    value: str = ""
    """What a field holds."""
    states: tuple[str, ...] = ()
    """As in the simulator (`agentrl.envs.gui.widgets`); in the view ``dom`` attributes."""
    options: tuple[str, ...] = ()
    """What a combobox can be set to."""
    depth: int = 0
    """How far the line is indented."""
    id: int = 0
    """Its number, 0 where it has none."""
    mark: str = ""
    """The page's own number of it (``data-id``), where it has one."""

    @property
    def line(self) -> str:
        """As the policy reads it, in the simulator's form.

        >>> Element("textbox", "To", 7, value="Anna", states=("required",), id=3).line
        '[3] textbox "To" = "Anna" required'
        """
        if self.role == "text" and not self.id:
            return self.name
        parts = [f"[{self.id}]"] if self.id else []
        parts.append(self.role)
        if self.name:
            parts.append(f'"{self.name}"')
        if self.value:
            parts.append(f'= "{self.value}"')
        if self.options:
            parts.append(f"({', '.join(self.options)})")
        return " ".join([*parts, *self.states])


@dataclass(frozen=True)
class Sight:
    """What is seen of a page."""

    elements: tuple[Element, ...]
    """In order of appearance."""

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(" " * e.depth + e.line for e in self.elements)

    def find(self, id: int) -> Element | None:
        """The element of a number."""
        return next((e for e in self.elements if e.id == id), None) if id else None


def clean(text: str) -> str:
    """One line without what cannot be printed.

    >>> clean(" a\\n b\\u00a0\\ue000")
    'a b'
    """
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shown if len(shown) <= NAME_CHARS else shown[: NAME_CHARS - 3] + "..."


def shallow(depths: Sequence[int]) -> list[int]:
    """Depths without gaps: each at most one more than that of the line it stands under.

    >>> shallow([2, 5, 5, 3])
    [0, 1, 1, 1]
    """
    open_: list[int] = []
    found = []
    for depth in depths:
        while open_ and open_[-1] >= depth:
            open_.pop()
        found.append(len(open_))
        open_.append(depth)
    return found
