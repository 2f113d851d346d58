"""The ways to write an action: presets of the setting ``prompt``.

plain       one line: ``click 12`` (`agentrl.envs.gui.actions`)
functions   one call of a tool: ``[{"name": "click", "arguments": {"id": 12}}]``
ui_r1       UI-R1's form (arXiv 2503.21620), which ARPO's GUI agents answer in as well: a thought, and an answer
            ``<think>...</think><answer>[{'action': 'click', 'coordinate': [120, 340], 'input_text': 'no input text'}]``
            ``</answer>``, with an element's number as ``'id'`` in the place of the coordinate where one likes

UI-R1's actions are click, scroll (its ``input_text`` is the direction), input_text, open_app and navigate_back; here
``complete`` answers with its ``input_text``, and all of this environment's actions are known by their own names.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from typing import Any

from agentrl.envs.gui.actions import KINDS, NOWHERE, POINTING, Action, Problem, Spot, parse, quoted, write
from agentrl.envs.gui.calls import TEXT_OF, arguments, called
from agentrl.envs.gui.widgets import Screen
from agentrl.rewards import ui_r1
from agentrl.tool import ToolCall, decode_calls, encode_calls

NAMES = ("plain", "functions", "ui_r1")
"""By the setting ``prompt``."""
NO_TEXT = "no input text"
"""What UI-R1 writes where an action has no text."""
MOST_CHARS = 8000
"""A reply longer than this is not read."""
_UI_R1 = {
    "input_text": "type",
    "open_app": "open",
    "navigate_back": "back",
    "press_back": "back",
    "complete": "answer",
    "finished": "answer",
}

PLAIN = (
    "Use the device. Each reply is one action: click ID, type ID TEXT, select ID OPTION, scroll down, back, open APP, "
    "wait, answer TEXT."
)
FUNCTIONS = (
    "You use a device by calling tools, one call in each reply. Elements are named by their numbers in brackets. "
    "Call answer when the task asks a question."
)
UI_R1_FORM = (
    "You use a device. First think in <think> </think>, then write one action in <answer> </answer>, such as "
    "<answer>[{'action': 'click', 'coordinate': [120, 340], 'input_text': 'no input text'}]</answer>. Actions: click, "
    "input_text, select, scroll (input_text: up or down), press, navigate_back, open_app, wait, complete. Name an "
    "element by 'id': 12 or by its 'coordinate'; the screen is 360 wide and 640 high."
)
INSTRUCTIONS = {"plain": PLAIN, "functions": FUNCTIONS, "ui_r1": UI_R1_FORM}
"""The system message, by form."""


def read(form: str, reply: str) -> Action | Problem:
    """The action of a reply. Never raises."""
    if len(reply) > MOST_CHARS:
        return Problem(f"The reply is too long ({len(reply)} characters). Write one action.")
    return _READERS[form](reply)


def put(form: str, action: Action) -> str:
    """An action as a reply; the inverse of `read`."""
    if form == "plain":
        return write(action)
    if form == "functions":
        return encode_calls([ToolCall(action.kind, arguments(action))])
    said: dict[str, Any] = {"action": ui_r1_name(action.kind)}
    if action.spot.id is not None:
        said["id"] = action.spot.id
    elif action.spot.place is not None:
        said["coordinate"] = list(action.spot.place)
    if action.to != NOWHERE:
        said |= {"to_id": action.to.id} if action.to.id is not None else {"to": list(action.to.place or ())}
    said["input_text"] = action.text or NO_TEXT
    return f"<think>{action.kind}</think><answer>[{said!r}]</answer>"


def ui_r1_name(kind: str) -> str:
    """What UI-R1 calls an action of a kind."""
    return next((name for name, known in _UI_R1.items() if known == kind), kind)


def placed(action: Action, screen: Screen) -> Action:
    """An action by element as one by place: the middle of the element's box."""

    def place(at: Spot) -> Spot:
        """The middle of an element."""
        return at if at.id is None or screen.find(at.id) is None else Spot(None, *screen.box(at.id).centre)

    return Action(action.kind, place(action.spot), action.text, place(action.to))


def _functions(reply: str) -> Action | Problem:
    """The answer is a call too: what is said beside the tools is none, so that nobody ends a task by thinking aloud."""
    calls = decode_calls(reply)
    if calls is None:
        return Problem("Call one tool, such as click with the number of an element; an answer is a call of answer.")
    if len(calls) != 1:
        return Problem(f"Call one tool in each reply, not {len(calls)}; the screen changes in between.")
    return called(calls[0].name, calls[0].arguments)


def _ui_r1(reply: str) -> Action | Problem:
    if not ui_r1.well_formed(reply):
        return Problem("Write <think> </think> and then one <answer> </answer>, and nothing else.")
    said = reply.partition("<answer>")[2].partition("</answer>")[0].strip()
    found = _literal(said)
    entries = found if isinstance(found, list) else [found]
    if len(entries) != 1 or not isinstance(entries[0], dict):
        return Problem("The answer must be one action, such as [{'action': 'click', 'coordinate': [x, y]}].")
    return _from_entry({str(k): v for k, v in entries[0].items()})


def _from_entry(entry: dict[str, Any]) -> Action | Problem:
    kind = str(entry.pop("action", "")).strip().lower()
    kind = _UI_R1.get(kind, kind)
    if kind not in KINDS:
        return Problem(f"There is no action {quoted(kind)}. Actions: {', '.join(KINDS)}.")
    text = entry.pop("input_text", NO_TEXT)
    given: dict[str, Any] = {}
    for name, (x, y) in {"coordinate": ("x", "y"), "to": ("to_x", "to_y")}.items():
        place = entry.pop(name, None)
        if place is None or (kind not in (*POINTING, "drag") and _is_nowhere(place)):
            continue
        if not (isinstance(place, list | tuple) and len(place) == 2 and all(_is_number(v) for v in place)):
            return Problem(f"{name} must be [x, y].")
        given |= {x: int(place[0]), y: int(place[1])}
    given |= entry
    if kind in TEXT_OF:
        given[TEXT_OF[kind]] = "" if text == NO_TEXT else text if isinstance(text, str) else str(text)
    return called(kind, given)


def _is_nowhere(place: Any) -> bool:
    """UI-R1 gives actions without a place the coordinate [-100, -100]."""
    return isinstance(place, list | tuple) and list(place) == [-100, -100]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**6


def _literal(text: str) -> Any:
    """A value in Python's or in JSON's notation; None where it is neither."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


_READERS: dict[str, Callable[[str], Action | Problem]] = {"plain": parse, "functions": _functions, "ui_r1": _ui_r1}
