"""Screens as HTML: every widget is there, in its place, and no text is taken for markup. No browser needed."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from agentrl.envs.gui.html.render import body, document
from agentrl.envs.gui.levels import LEVELS
from agentrl.envs.gui.machine import Machine
from agentrl.envs.gui.tasks.templates import chosen, draw
from agentrl.envs.gui.widgets import Screen, Widget, show


class Elements(HTMLParser):
    """Collects start tags with their attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said += data

    def numbered(self) -> dict[int, tuple[str, dict[str, str | None]]]:
        return {int(str(a["data-id"])): (tag, a) for tag, a in self.tags if "data-id" in a}


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_every_widget_has_its_element_in_its_place(level: int) -> None:
    for seed in range(30):
        task = draw(seed, LEVELS[level], chosen("all", LEVELS[level]), "train")
        screen = Machine(task.state, task.goal).screen()
        found = Elements(body(screen)).numbered()
        assert list(found) == list(screen.numbered)
        for id, (_, attributes) in found.items():
            x, y, width, height = screen.box(id)
            assert attributes["style"] == f"left:{x}px;top:{y}px;width:{width}px;height:{height}px"


def test_roles_and_states_are_those_of_html() -> None:
    screen = show(
        "Form",
        Widget(
            "screen",
            children=(
                Widget("textbox", "To", "Anna", ("required", "focused")),
                Widget("textbox", "Code", states=("password",)),
                Widget("combobox", "Size", "M", options=("S", "M")),
                Widget("slider", "Volume", "20", options=("0", "20", "40")),
                Widget("checkbox", "News", states=("checked",)),
                Widget("radio", "Red", states=("disabled",)),
                Widget("switch", "Wifi", states=("checked",)),
                Widget("tab", "All", states=("selected",)),
                Widget("link", "Lunch", states=("unread", "flagged")),
                Widget("alert", "Name is required"),
            ),
        ),
    )
    found = Elements(body(screen)).numbered()
    tags = [tag for tag, _ in found.values()]
    assert tags == ["input", "input", "select", "input", "input", "input", "button", "button", "a"]
    assert found[1][1]["value"] == "Anna" and "data-focus" in found[1][1] and found[1][1]["aria-required"] == "true"
    assert found[2][1]["type"] == "password"
    assert [found[4][1][k] for k in ("min", "max", "step", "value")] == ["0", "40", "20", "20"]
    assert "checked" in found[5][1] and "disabled" in found[6][1]
    assert found[7][1]["aria-checked"] == "true" and found[8][1]["aria-selected"] == "true"
    assert found[9][1]["aria-description"] == "unread flagged"
    assert 'role="alert"' in body(screen)


def hostile(text: str) -> Screen:
    roles = ("textbox", "button", "link", "checkbox", "radio", "switch", "tab", "option", "text", "heading", "alert")
    children = tuple(Widget(role, text, text, key=text) for role in roles)
    box = Widget("combobox", text, text, options=(text, "b"))
    group = Widget("group", text, children=(*children, box))
    return show(text, Widget("screen", children=(group,)), status=text)


@pytest.mark.parametrize(
    "text", ['<script>alert("x")</script>', "\"'><img src=x onerror=1>", "</style></title>&lt;", "é 确定"]
)
def test_text_is_never_markup(text: str) -> None:
    plain = [tag for tag, _ in Elements(document(hostile("a"), "a")).tags]
    found = Elements(document(hostile(text), text))
    assert [tag for tag, _ in found.tags] == plain
    assert all(a["aria-label"] == text for _, a in found.tags if "aria-label" in a)
    assert re.sub(r"\s+", " ", text) in re.sub(r"\s+", " ", found.said)


def test_a_dialog_stands_alone_over_a_veil() -> None:
    root = Widget("dialog", children=(Widget("text", "Delete it?"), Widget("row", children=(Widget("button", "Yes"),))))
    html = body(show("Dialog: Delete", root))
    assert 'class="veil"' in html and 'role="dialog" aria-modal="true"' in html
    assert list(Elements(html).numbered()) == [1]
