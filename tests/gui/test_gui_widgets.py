"""Screens: numbers, text, and a place for everything."""

from __future__ import annotations

import pytest
from gui_helpers import PAIRS, started

from agentrl.envs.gui.expert import oracle
from agentrl.envs.gui.widgets import HEIGHT, INTERACTIVE, WIDTH, Box, Screen, Widget, line, show, text, walk

TREE = Widget(
    "screen",
    children=(
        Widget("text", "Hello"),
        Widget("row", children=(Widget("button", "Yes"), Widget("button", "No", states=("disabled",)))),
        Widget("list", "Mails", children=(Widget("link", "Anna: Lunch", states=("unread",)),)),
        Widget("combobox", "Colour", "red", options=("red", "blue")),
        Widget("textbox", "To", states=("required",)),
    ),
)


def test_a_screen_reads_as_a_numbered_tree() -> None:
    screen = show("Mail", TREE, status="Mon 9am", below=True)
    assert text(screen).split("\n") == [
        "Mon 9am",
        "Mail",
        "Hello",
        '[1] button "Yes"',
        '[2] button "No" disabled',
        'list "Mails"',
        ' [3] link "Anna: Lunch" unread',
        '[4] combobox "Colour" = "red" (red, blue)',
        '[5] textbox "To" required',
        "(more below)",
    ]
    assert [w.id for w in screen.numbered.values()] == [1, 2, 3, 4, 5]
    assert screen.find(3) == screen.numbered[3]
    assert screen.find(0) is None
    assert line(Widget("switch", "Wifi", states=("checked",), id=9)) == '[9] switch "Wifi" checked'


def test_what_stands_side_by_side_does_not_overlap() -> None:
    screen = show("Mail", TREE)
    yes, no = screen.box(1), screen.box(2)
    assert yes.y == no.y
    assert yes.x + yes.width <= no.x
    assert screen.at(*yes.centre) == screen.find(1)
    assert screen.at(0, 0) is None
    assert screen.at(-5, 10**9) is None


def check_layout(screen: Screen) -> None:
    """Every numbered widget lies on the viewport, overlaps no other, and is found at its middle and corners."""
    boxes = [screen.box(id) for id in screen.numbered]
    for id, box in zip(screen.numbered, boxes, strict=True):
        assert box.width > 0 and box.height > 0
        assert box.x >= 0 and box.y >= 0 and box.x + box.width <= WIDTH and box.y + box.height <= HEIGHT
        for x, y in (box.centre, (box.x, box.y), (box.x + box.width - 1, box.y + box.height - 1)):
            found = screen.at(x, y)
            assert found is not None and found.id == id
    assert len(screen.boxes) == sum(1 for _ in walk(screen.root))


@pytest.mark.parametrize(("level", "name"), PAIRS)
def test_everything_on_the_expert_s_way_has_its_place(level: int, name: str) -> None:
    task, machine = started(name, seed=level, level=level)
    for _ in range(60):
        screen = machine.screen()
        check_layout(screen)
        assert all((w.id > 0) == (w.role in INTERACTIVE) for w in walk(screen.root))
        assert list(screen.numbered) == list(range(1, len(screen.numbered) + 1))
        action = oracle(task, machine.state)
        if machine.reached() or action is None:
            break
        machine.act(action)


def test_a_crowded_screen_still_fits() -> None:
    rows = tuple(Widget("row", children=tuple(Widget("button", str(i)) for i in range(4))) for _ in range(12))
    words = tuple(Widget("text", "many words " * 20) for _ in range(3))
    check_layout(show("Crowd", Widget("screen", children=(*rows, *words))))
    check_layout(show("Crowd", Widget("dialog", children=(*words, *rows))))


def test_a_box_holds_its_left_upper_edge_alone() -> None:
    box = Box(10, 20, 5, 5)
    assert box.holds(10, 20) and box.holds(14, 24)
    assert not box.holds(15, 20) and not box.holds(10, 25)
