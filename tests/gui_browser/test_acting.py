"""What a page shows, and real input on it: one small page with all kinds of elements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentrl.envs.gui.actions import Action, parse
from agentrl.envs.gui.browser import acting, axtree, domtree
from agentrl.envs.gui.browser.elements import Sight, clean, shallow
from agentrl.envs.gui.browser.page import Page, Tab

SIZE = (300, 400)
HTML = """<!DOCTYPE html><style>body { margin: 0; font: 12px sans-serif } div { height: 20px }</style>
<h1>Shop</h1>
<div><button onclick="log('button')" ondblclick="log('twice')">Send</button><button disabled>Undo</button></div>
<div><label>Name <input id=name value=old onkeydown="if (event.key === 'Enter') log('enter ' + value)"></label></div>
<div><input type=checkbox aria-label=News onchange="log('news ' + checked)">
<input type=password aria-label=Code></div>
<div><select aria-label=Size onchange="log('size ' + value)"><option>S<option>M<option>Large one</select></div>
<div><input type=date aria-label=Day onchange="log(value)">
<input type=range aria-label=Volume min=0 max=10 onchange="log('volume ' + value)"></div>
<div class=icon id=star onclick="log('star')" style="width: 20px; background: gold"></div>
<div id=from draggable=false style="width: 40px" onmousedown="log('down')">Here</div>
<div id=to style="width: 40px" onmouseup="log('up')">There</div>
<textarea aria-label=Note rows=2 style="height: 40px">one\ntwo\nthree\nfour\nfive\nsix</textarea>
<p hidden>Secret</p><p style="visibility: hidden">Unseen</p>
<svg width=50 height=20><circle cx=10 cy=10 r=8 fill=red onclick="log('circle')"></circle></svg>
<p style="margin-top: 600px"><a href="#" onclick="log('far'); return false">Far away</a></p>
<script>window.said = []; function log(text) { said.push(text) }</script>"""

Do = Callable[[str], Any]


@pytest.fixture
def page(browser: None) -> Iterator[Page]:
    made = Page(*SIZE)
    made.do(lambda tab: tab.page.set_content(HTML), "load")
    yield made
    made.close()


def look(page: Page) -> Sight:
    return page.do(axtree.look, "look")


def number(sight: Sight, name: str, role: str = "") -> int:
    return next(e.id for e in sight.elements if e.name == name and role in ("", e.role))


def act(page: Page, text: str, sight: Sight | None = None) -> acting.Refused | None:
    sight = sight or look(page)
    action = parse(text)
    assert isinstance(action, Action)
    return page.do(lambda tab: acting.perform(tab, action, sight, SIZE), text)


def said(page: Page) -> list[str]:
    async def take(tab: Tab) -> list[str]:
        found: list[str] = await tab.page.evaluate("said.splice(0)")
        return found

    return page.do(take, "listen")


def test_the_accessibility_tree_in_lines(page: Page) -> None:
    lines = look(page).text.split("\n")
    assert lines[:7] == [
        '[1] heading "Shop"',
        '[2] button "Send"',
        '[3] button "Undo" disabled',
        '[4] text "Name"',
        '[5] textbox "Name" = "old"',
        '[6] checkbox "News"',
        '[7] textbox "Code" password',
    ]
    assert '[8] combobox "Size" = "S" (S, M, Large one)' in lines
    assert not any("Secret" in line or "Unseen" in line for line in lines)
    assert any('box "icon"' in line for line in lines)
    few = page.do(lambda tab: axtree.look(tab, all_numbered=False), "look").text.split("\n")
    assert few[0] == 'heading "Shop"' and few[1] == '[1] button "Send"' and few[3] == "Name"


def test_the_dom_in_lines(page: Page) -> None:
    sight = page.do(domtree.look, "look")
    text = sight.text
    assert "circle r=8 fill=red" in text.replace("fill=red r=8", "r=8 fill=red")
    assert "div id=star class=icon background=rgb(255,215,0)" in text
    assert 'select "' not in text and "(S *, M, Large one)" in text
    assert "Secret" not in text and "Unseen" not in text
    assert [e.id for e in sight.elements] == list(range(1, len(sight.elements) + 1))
    circle = next(e for e in sight.elements if e.role == "circle")
    assert act(page, f"click {circle.id}", sight) is None
    assert said(page) == ["circle"]


def test_clicks_and_drags(page: Page) -> None:
    sight = look(page)
    assert act(page, f"click {number(sight, 'Send')}") is None
    assert act(page, f"double_click {number(sight, 'Send')}") is None
    assert said(page) == ["button", "button", "button", "twice"]
    assert act(page, f"click {number(sight, 'News')}") is None
    assert act(page, f"click {number(sight, 'icon')}") is None
    assert act(page, f"drag {number(sight, 'Here')} {number(sight, 'There')}") is None
    assert said(page) == ["news true", "star", "down", "up"]
    box = next(e.box for e in sight.elements if e.name == "Send")
    assert box is not None
    assert act(page, f"click {box.centre[0]:.0f} {box.centre[1]:.0f}") is None
    assert act(page, f"long_press {number(sight, 'Here')}") is None
    assert said(page) == ["button", "down"]


def test_what_is_not_in_view_is_scrolled_to(page: Page) -> None:
    assert act(page, f"click {number(look(page), 'Far away', 'link')}") is None
    assert said(page) == ["far"]
    assert act(page, "scroll up") is None
    assert page.do(lambda tab: tab.page.evaluate("scrollY"), "look") < 400
    area = number(look(page), "Note")
    assert act(page, f"scroll {area} down") is None
    assert page.do(lambda tab: tab.page.evaluate("document.querySelector('textarea').scrollTop"), "look") > 0


def test_typing_replaces_what_a_field_holds(page: Page) -> None:
    name = number(look(page), "Name", "textbox")
    assert act(page, f"type {name} Anna Berg") is None
    assert act(page, "press Enter") is None
    assert said(page) == ["enter Anna Berg"]
    assert '= "Anna Berg" focused' in look(page).text
    assert act(page, "type @ Zoë") is None
    assert act(page, "press ctrl+a") is None
    assert act(page, "press Backspace") is None
    assert '[5] textbox "Name" focused' in look(page).text
    assert act(page, f"type {number(look(page), 'Day')} 2024-03-09") is None
    assert said(page) == ["2024-03-09"]


def test_options(page: Page) -> None:
    size = number(look(page), "Size")
    for option in ("M", "large one"):
        assert act(page, f"select {size} {option}") is None
    assert said(page) == ["size M", "size Large one"]
    assert act(page, f"select {number(look(page), 'Volume')} 7") is None
    assert said(page) == ["volume 7"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("click 99", "There is no element 99. Numbers go from 1 to"),
        ("click 900 900", "lies outside of the page, which has 300 by 400 pixels"),
        ("click -4 7", "lies outside of the page"),
        ("drag 1 99", "There is no element 99"),
        ("type 2 hello", "Element 2 takes no text: it is a button."),
        ("type 8 M", "Element 8 takes no text: it is a combobox."),
        ("type @ hello", "No field that takes text has the focus"),
        ("select 8 XL", "Element 8 has no such option. Options: S, M, Large one."),
        ("select 2 M", "Element 2 has no options to select: it is a button."),
        ("select 10 77", "Element 10 has no"),
    ],
)
def test_what_cannot_be_done_is_said_and_not_done(page: Page, text: str, told: str) -> None:
    before = look(page).text
    refused = act(page, text)
    assert refused is not None and told in refused.message
    assert said(page) == []
    assert look(page).text == before


def test_an_element_that_is_gone_is_said(page: Page) -> None:
    sight = look(page)
    page.do(lambda tab: tab.page.evaluate("document.querySelector('button').remove()"), "remove")
    refused = act(page, "click 2", sight)
    assert refused is not None and "cannot be reached" in refused.message


def test_small_parts() -> None:
    assert clean("x" * 300) == "x" * 197 + "..."
    assert shallow([0, 3, 5, 5, 1]) == [0, 1, 2, 2, 1]
