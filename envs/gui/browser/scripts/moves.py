"""What scripts are made of: moves, and ways to find elements."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from agentrl.envs.gui.browser.elements import Element, Sight


class Move(NamedTuple):
    """An action on an element."""

    kind: str
    """As in `agentrl.envs.gui.actions.KINDS`."""
    element: Element | None = None
    """What is acted on."""
    text: str = ""
    """What is typed, selected or pressed."""


Script = Callable[[str, Sight], Move | None]


def click(element: Element | None) -> Move | None:
    """Click what was found."""
    return Move("click", element) if element else None


def of_role(sight: Sight, *roles: str) -> list[Element]:
    """Elements of some roles, in order."""
    return [e for e in sight.elements if e.role in roles]


def called(sight: Sight, name: str, *roles: str) -> Element | None:
    """The first element of a name, and of one of some roles where they are given."""
    found = of_role(sight, *roles) if roles else sight.elements
    return next((e for e in found if e.name == name), None)


def submit(sight: Sight, name: str = "Submit") -> Move | None:
    """Click the button at the end of a form."""
    return click(called(sight, name, "button") or called(sight, name))


def fill(sight: Sight, fields: Iterable[tuple[Element | None, str]], end: Move | None) -> Move | None:
    """Type what fields do not hold yet, then end."""
    for field, value in fields:
        if field is not None and field.value != value:
            return Move("type", field, value)
    return end


def said(pattern: str, utterance: str) -> list[str]:
    """The groups of a pattern in the task; none where it does not fit."""
    found = re.search(pattern, utterance, flags=re.S)
    return list(found.groups()) if found else []


def listed(text: str) -> list[str]:
    """The names of a list in words."""
    return [] if text == "nothing" else re.split(r", ?", text)
