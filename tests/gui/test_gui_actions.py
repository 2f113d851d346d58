"""The language of actions: what is read, what is written, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.envs.gui import forms
from agentrl.envs.gui.actions import DIRECTIONS, KEYS, KINDS, NOWHERE, Action, Problem, Spot, check, parse, write
from agentrl.envs.gui.calls import TOOLS, arguments, called

ACTIONS = {
    "click 12": Action("click", Spot(12)),
    "click [12]": Action("click", Spot(12)),
    "click 120 340": Action("click", Spot(x=120, y=340)),
    "click @120,340": Action("click", Spot(x=120, y=340)),
    "double_click 3": Action("double_click", Spot(3)),
    "long_press 3": Action("long_press", Spot(3)),
    "drag 3 7": Action("drag", Spot(3), to=Spot(7)),
    "drag 1 2 3 4": Action("drag", Spot(x=1, y=2), to=Spot(x=3, y=4)),
    "type 7 hello world": Action("type", Spot(7), "hello world"),
    "type 7": Action("type", Spot(7)),
    "type @ 42": Action("type", text="42"),
    "type @5,9 hi": Action("type", Spot(x=5, y=9), "hi"),
    "select 5 Blue": Action("select", Spot(5), "Blue"),
    "scroll down": Action("scroll", text="down"),
    "scroll 5 UP": Action("scroll", Spot(5), "up"),
    "press enter": Action("press", text="Enter"),
    "press Ctrl+a": Action("press", text="ctrl+a"),
    "back": Action("back"),
    "  wait  ": Action("wait"),
    "open Mail": Action("open", text="Mail"),
    "answer 42": Action("answer", text="42"),
}


@pytest.mark.parametrize(("said", "meant"), ACTIONS.items())
def test_one_line_is_one_action(said: str, meant: Action) -> None:
    assert parse(said) == meant
    assert parse(write(meant)) == meant


REFUSED = {
    "": "Nothing was said",
    "   ": "Nothing was said",
    "hello": "There is no action 'hello'",
    "Click 3": "There is no action 'Click'",
    "сlick 3": "There is no action",  # a Cyrillic letter
    "click": "click takes the number of an element",
    "click Send": "click takes the number of an element",
    "click １２": "click takes the number of an element",  # wide digits
    "click 1 2 3": "click takes the number of an element",
    "click 3; click 4": "click takes the number of an element",
    "click 3\nclick 4": "Write one action, in one line.",
    "click 9999999999999999999": "click takes the number of an element",
    "type hello": "type takes the number of an element first",
    "type 7 a\x00b": "control character (U+0000)",
    "type 7 a\u202eb": "control character (U+202E)",
    "type 7 " + "a" * 1500: "The text has 1500 characters",
    "click " + "1" * 10**6: "too long",
    "select 5": "Write select ID OPTION",
    "scroll": "scroll down",
    "scroll sideways": "One scrolls",
    "scroll here down": "Write scroll down",
    "press": "There is no key",
    "press Foo": "There is no key 'Foo'",
    "press ctrl+": "There is no key",
    "press hyper+a": "There is no key",
    "drag 3": "Write drag ID ID",
    "back 2": "back stands alone",
    "open": "Write open APP",
    "answer": "Write answer TEXT",
}


@pytest.mark.parametrize(("said", "why"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_no_action_is_told_why(said: str, why: str) -> None:
    problem = parse(said)
    assert isinstance(problem, Problem)
    assert why in problem.message
    assert len(problem.message) < 400


def spots() -> st.SearchStrategy[Spot]:
    place = st.integers(-999_999, 999_999)
    return st.one_of(st.integers(0, 999_999).map(Spot), st.builds(lambda x, y: Spot(None, x, y), place, place))


def said() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=30)


@st.composite
def actions(draw: st.DrawFn) -> Action:
    kind = draw(st.sampled_from(KINDS))
    if kind in ("back", "wait"):
        return Action(kind)
    if kind == "drag":
        if draw(st.booleans()):
            return Action(kind, Spot(draw(st.integers(0, 99))), to=Spot(draw(st.integers(0, 99))))
        return Action(kind, Spot(x=draw(st.integers(0, 99)), y=1), to=Spot(x=2, y=draw(st.integers(0, 99))))
    if kind in ("click", "double_click", "long_press"):
        return Action(kind, draw(spots()))
    if kind == "scroll":
        return Action(kind, draw(st.one_of(st.just(NOWHERE), spots())), draw(st.sampled_from(DIRECTIONS)))
    if kind == "press":
        return Action(kind, text=draw(st.sampled_from([*KEYS, "a", "7", "ctrl+c", "ctrl+shift+Tab"])))
    spot = draw(spots()) if kind in ("type", "select") else NOWHERE
    return Action(kind, spot, draw(said()))


@settings(deadline=None)
@given(actions())
def test_an_action_written_and_read_is_the_same(action: Action) -> None:
    assert check(action) == action
    assert parse(write(action)) == action
    assert called(action.kind, arguments(action)) == action
    for form in forms.NAMES[1:]:
        if form == "ui_r1" and action.spot.place == (-100, -100):
            continue  # UI-R1's way to say that there is no place
        assert forms.read(form, forms.put(form, action)) == action


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_reply_raises(reply: str) -> None:
    for form in forms.NAMES:
        assert isinstance(forms.read(form, reply), Action | Problem)


CALLS = [
    '[{"name": "click", "arguments": {"id": "x"}}]',
    '[{"name": "click", "arguments": {"id": 1e300}}]',
    '[{"name": "click", "arguments": {"x": 3}}]',
    '[{"name": "click", "arguments": {}}]',
    '[{"name": "click", "arguments": []}]',
    '[{"name": "click", "arguments": null}]',
    '[{"name": "click", "arguments": {"id": 3, "hard": true}}]',
    '[{"name": "click", "arguments": {"id": 99999999999999999999999}}]',
    '[{"name": "shell", "arguments": {"id": 3}}]',
    '[{"name": "type", "arguments": {"text": 3, "id": 3}}]',
    '[{"name": "type", "arguments": {"text": "a\\u0000", "id": 3}}]',
    '[{"name": "scroll", "arguments": {"direction": "sideways"}}]',
    '[{"name": "drag", "arguments": {"id": 3}}]',
    '[{"name": "back", "arguments": {}}, {"name": "back", "arguments": {}}]',
    "[]",
    "[" * 5000,
    '{"name": "click"}',
    "",
]


@pytest.mark.parametrize("reply", CALLS, ids=range(len(CALLS)))
def test_broken_calls_are_told_what_is_wrong(reply: str) -> None:
    problem = forms.read("functions", reply)
    assert isinstance(problem, Problem) and problem.message


def test_what_is_no_call_does_not_end_the_task() -> None:
    problem = forms.read("functions", "The time is 3pm")
    assert isinstance(problem, Problem) and "answer is a call" in problem.message


def test_every_action_is_a_tool_with_a_schema() -> None:
    assert tuple(TOOLS) == tuple(name for name in KINDS)
    for tool in TOOLS.values():
        function = tool.schema["function"]
        assert function["description"]
        assert all(p.get("description") for p in function["parameters"]["properties"].values())


UI_R1 = {
    "[{'action': 'click', 'coordinate': [120, 340], 'input_text': 'no input text'}]": Action(
        "click", Spot(x=120, y=340)
    ),
    '[{"action": "CLICK", "coordinate": [120.7, 340]}]': Action("click", Spot(x=120, y=340)),
    "{'action': 'click', 'id': 3}": Action("click", Spot(3)),
    "[{'action': 'input_text', 'coordinate': [-100, -100], 'input_text': 'hi'}]": Action("type", text="hi"),
    "[{'action': 'input_text', 'coordinate': [5, 6], 'input_text': 'hi'}]": Action("type", Spot(x=5, y=6), "hi"),
    "[{'action': 'scroll', 'coordinate': [-100, -100], 'input_text': 'down'}]": Action("scroll", text="down"),
    "[{'action': 'navigate_back', 'coordinate': [-100, -100], 'input_text': 'no input text'}]": Action("back"),
    "[{'action': 'open_app', 'coordinate': [-100, -100], 'input_text': 'Mail'}]": Action("open", text="Mail"),
    "[{'action': 'complete', 'input_text': '3pm'}]": Action("answer", text="3pm"),
}


@pytest.mark.parametrize(("answer", "meant"), UI_R1.items())
def test_ui_r1_s_answers_are_actions(answer: str, meant: Action) -> None:
    assert forms.read("ui_r1", f"<think>so</think>\n<answer>{answer}</answer>") == meant


BROKEN = [
    "<answer>[{'action': 'click', 'id': 3}]</answer>",
    "<think>so</think><answer>[]</answer>",
    "<think>so</think><answer>[{'action': 'click', 'id': 3}, {'action': 'back'}]</answer>",
    "<think>so</think><answer>[{'action': 'fly'}]</answer>",
    "<think>so</think><answer>[{'action': 'click', 'coordinate': ['a', 3]}]</answer>",
    "<think>so</think><answer>[{'action': 'click', 'coordinate': [1, 2, 3]}]</answer>",
    "<think>so</think><answer>[{'action': 'click', 'coordinate': [1e999, 2]}]</answer>",
    "<think>so</think><answer>[{'action': 'click'}]</answer>",
    "<think>so</think><answer>[{'action': __import__('os')}]</answer>",
    "<think>so</think><answer>" + "(" * 3000 + "</answer>",
    "<think>so</think><answer>" + "9" * 7000 + "</answer>",
]


@pytest.mark.parametrize("reply", BROKEN, ids=range(len(BROKEN)))
def test_broken_answers_of_ui_r1_are_told_what_is_wrong(reply: str) -> None:
    assert isinstance(forms.read("ui_r1", reply), Problem)
