"""Actions as tools: typed functions whose schemas the policy reads, and whose result is the action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from agentrl.envs.gui.actions import KINDS, NOWHERE, Action, Problem, Spot, check, quoted
from agentrl.errors import ToolError
from agentrl.tool import Tool

MOST = 10**6
"""Numbers of elements and places are smaller than this."""


def spot(id: int | None = None, x: int | None = None, y: int | None = None) -> Spot | Problem:
    """An element by its number, else a place, else nowhere."""
    if any(number is not None and abs(number) >= MOST for number in (id, x, y)):
        return Problem("There is no element or place of such a number.")
    if id is not None:
        return Spot(id)
    return Spot(x=x, y=y) if (x is None) == (y is None) else Problem("A place needs both x and y.")


def _made(kind: str, at: Spot | Problem, text: str = "", to: Spot | Problem = NOWHERE) -> Action | Problem:
    if isinstance(at, Problem):
        return at
    return to if isinstance(to, Problem) else check(Action(kind, at, text, to))


def click(id: int | None = None, x: int | None = None, y: int | None = None) -> Action | Problem:
    """Click an element, by its number or by a place in it.

    Args:
        id: Number of the element.
        x: Pixels from the left, where no number is given.
        y: Pixels from the top.
    """
    return _made("click", spot(id, x, y))


def double_click(id: int | None = None, x: int | None = None, y: int | None = None) -> Action | Problem:
    """Click an element twice.

    Args:
        id: Number of the element.
        x: Pixels from the left, where no number is given.
        y: Pixels from the top.
    """
    return _made("double_click", spot(id, x, y))


def long_press(id: int | None = None, x: int | None = None, y: int | None = None) -> Action | Problem:
    """Press an element for long.

    Args:
        id: Number of the element.
        x: Pixels from the left, where no number is given.
        y: Pixels from the top.
    """
    return _made("long_press", spot(id, x, y))


def drag(
    id: int | None = None,
    to_id: int | None = None,
    x: int | None = None,
    y: int | None = None,
    to_x: int | None = None,
    to_y: int | None = None,
) -> Action | Problem:
    """Drag from one element or place to another.

    Args:
        id: Number of the element to drag.
        to_id: Number of the element to drag it to.
        x: Pixels from the left where it begins, where no number is given.
        y: Pixels from the top where it begins.
        to_x: Pixels from the left where it ends.
        to_y: Pixels from the top where it ends.
    """
    return _made("drag", spot(id, x, y), to=spot(to_id, to_x, to_y))


def type(text: str, id: int | None = None, x: int | None = None, y: int | None = None) -> Action | Problem:
    """Put a text into a field, in place of what it holds.

    Args:
        text: The text.
        id: Number of the field; the focused one, where neither it nor a place is given.
        x: Pixels from the left, where no number is given.
        y: Pixels from the top.
    """
    return _made("type", spot(id, x, y), text)


def select(option: str, id: int | None = None, x: int | None = None, y: int | None = None) -> Action | Problem:
    """Set a combobox or slider to one of its options.

    Args:
        option: The option.
        id: Number of the element.
        x: Pixels from the left, where no number is given.
        y: Pixels from the top.
    """
    return _made("select", spot(id, x, y), option)


def scroll(
    direction: Literal["up", "down", "left", "right"],
    id: int | None = None,
    x: int | None = None,
    y: int | None = None,
) -> Action | Problem:
    """Scroll the screen, or an element.

    Args:
        direction: Where to.
        id: Number of the element, where it is not the screen.
        x: Pixels from the left, where a place is meant.
        y: Pixels from the top.
    """
    return _made("scroll", spot(id, x, y), direction)


def press(key: str) -> Action | Problem:
    """Press a key, such as Enter, or several at once, such as ctrl+a.

    Args:
        key: Its name.
    """
    return _made("press", NOWHERE, key)


def back() -> Action | Problem:
    """Go one page back."""
    return Action("back")


def open(app: str) -> Action | Problem:
    """Open an app.

    Args:
        app: Its name.
    """
    return _made("open", NOWHERE, app)


def wait() -> Action | Problem:
    """Let time pass."""
    return Action("wait")


def answer(text: str) -> Action | Problem:
    """Answer the question of the task, and end it.

    Args:
        text: The answer.
    """
    return _made("answer", NOWHERE, text)


TOOLS: dict[str, Tool] = {
    f.__name__: Tool.of(f)
    for f in (click, double_click, long_press, drag, type, select, scroll, press, back, open, wait, answer)
}
"""By name, which is the action's kind."""
TEXT_OF = {"type": "text", "select": "option", "scroll": "direction", "press": "key", "open": "app", "answer": "text"}
"""What the text of each kind of action is called as an argument."""


def called(name: str, arguments: Mapping[str, Any]) -> Action | Problem:
    """The action of a call, or what is wrong with it."""
    tool = TOOLS.get(name)
    if tool is None:
        return Problem(f"There is no action {quoted(name)}. Actions: {', '.join(KINDS)}.")
    try:
        made: Action | Problem = tool.function(**tool.check(dict(arguments)))
    except ToolError as error:
        return Problem(str(error)[:300])
    except (TypeError, ValueError):
        return Problem(f"The arguments of {name} must be an object with: {', '.join(tool.arguments.model_fields)}.")
    return made


def arguments(action: Action) -> dict[str, Any]:
    """An action as the arguments of the tool of its kind."""
    given: dict[str, Any] = {}
    for at, names in ((action.spot, ("id", "x", "y")), (action.to, ("to_id", "to_x", "to_y"))):
        given |= {name: value for name, value in zip(names, at, strict=True) if value is not None}
    if action.kind in TEXT_OF:
        given[TEXT_OF[action.kind]] = action.text
    return given
