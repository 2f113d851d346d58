"""Actions as real input: the mouse at the middle of elements, keys one by one, options of selects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from agentrl.envs.gui.actions import NOWHERE, Action, Spot
from agentrl.envs.gui.browser.axtree import EDITABLE
from agentrl.envs.gui.browser.elements import Element, Sight
from agentrl.envs.gui.browser.page import Tab

HOLD_MS = 700
"""How long a long press lasts."""
DRAG_STEPS = 8
"""Moves of the mouse from one end of a drag to the other."""
SCROLLED = 0.8
"""Share of the element, or of the viewport, by which one scrolls."""
MODIFIERS = {"ctrl": "Control", "shift": "Shift", "alt": "Alt", "meta": "Meta"}
TAKES_TEXT = """() => {
  const e = document.activeElement;
  return !!e && !e.disabled && !e.readOnly && (e.isContentEditable || e.tagName === 'TEXTAREA' ||
    (e.tagName === 'INPUT' && !/^(button|checkbox|radio|submit|reset|file|image|range)$/.test(e.type)));
}"""
SET_VALUE = """function (value) {
  if (!/^(date|time|datetime-local|month|week|color|range)$/.test(this.type || '')) return false;
  if (this.disabled || this.readOnly) return false;
  const before = this.value;
  this.value = value;
  if (this.value.toLowerCase() !== value.toLowerCase()) { this.value = before; return false; }
  this.focus();
  this.dispatchEvent(new Event('input', {bubbles: true}));
  this.dispatchEvent(new Event('change', {bubbles: true}));
  return true;
}"""
"""Sets fields that have no letters to type: dates, times, colours, sliders; false for others and for other values."""
CHOOSE = """function (wanted) {
  const flat = text => text.replace(/\\s+/g, ' ').trim();
  if (this.tagName !== 'SELECT' || this.disabled) return 'none';
  const all = [...this.options], same = o => flat(o.label || o.text) === wanted || o.value === wanted;
  const option = all.find(same) || all.find(o => flat(o.text).toLowerCase() === wanted.toLowerCase());
  if (!option || option.disabled) return 'unknown';
  this.focus();
  if (this.multiple) option.selected = true; else this.value = option.value, this.selectedIndex = option.index;
  this.dispatchEvent(new Event('input', {bubbles: true}));
  this.dispatchEvent(new Event('change', {bubbles: true}));
  return 'done';
}"""
"""Selects an option by what it says; in a list of several, besides those that are selected."""
HIT = """function (points) {
  const wanted = this.nodeType === 1 ? this : this.parentElement;
  const found = points.map(([x, y]) => document.elementFromPoint(x, y));
  const bare = found.findIndex(e => e && wanted.contains(e));
  if (bare >= 0) return bare;
  return Math.max(0, found.findIndex(e => e && (e.contains(wanted) || [...(wanted.labels || [])].includes(e))));
}"""
"""Which of some points shows the element and not what covers it; the first, where none does."""
PARTS = (0.5, 0.25, 0.75, 0.1, 0.9)
"""Where to look for such a point, as shares of width and height."""
FRAMES = """() => new Promise(done => {
  const frame = window.__frame || window.requestAnimationFrame;
  frame(() => frame(() => done(true)));
})"""
"""Resolves after two frames, when a turned wheel has had its effect."""


@dataclass(frozen=True)
class Refused:
    """Why an action cannot be carried out on this page; nothing was done."""

    message: str


async def perform(tab: Tab, action: Action, sight: Sight, size: tuple[int, int]) -> Refused | None:
    """Carry out an action that points, types, selects, scrolls or presses; None where it was done.

    Args:
        tab: The page.
        action: Any but ``back``, ``open``, ``wait`` and ``answer``.
        sight: What the policy saw, whose numbers the action uses.
        size: Width and height of the viewport.
    """
    for spot in (action.spot, action.to):
        if problem := _missing(spot, sight, size):
            return Refused(problem)
    kind = action.kind
    if kind in ("click", "double_click", "long_press"):
        return await _point(tab, action, sight)
    if kind == "drag":
        return await _drag(tab, action, sight)
    if kind == "type":
        return await _type(tab, action, sight)
    if kind == "select":
        return await _select(tab, action, sight)
    if kind == "scroll":
        return await _scroll(tab, action, sight, size)
    if kind == "press":
        *held, key = action.text.split("+")
        await tab.page.keyboard.press("+".join([*(MODIFIERS[h] for h in held), key]))
        return None
    return Refused(f"There is no {kind} on this page.")


def _missing(spot: Spot, sight: Sight, size: tuple[int, int]) -> str:
    if spot.id is not None and sight.find(spot.id) is None:
        numbers = [e.id for e in sight.elements if e.id]
        known = f"Numbers go from 1 to {numbers[-1]}." if numbers else "Nothing has a number now."
        return f"There is no element {spot.id}. {known}"
    if spot.place is not None and not (0 <= spot.place[0] < size[0] and 0 <= spot.place[1] < size[1]):
        return f"{spot.x} {spot.y} lies outside of the page, which has {size[0]} by {size[1]} pixels."
    return ""


async def _place(tab: Tab, spot: Spot, sight: Sight) -> tuple[float, float] | None:
    """Where the mouse goes; an element is scrolled into view. None where it is not drawn any more."""
    if spot.place is not None:
        return spot.place
    element = sight.find(spot.id or 0)
    if element is None:
        return None
    from playwright.async_api import Error

    node = {"backendNodeId": element.node}
    try:
        await tab.cdp.send("DOM.scrollIntoViewIfNeeded", node)
        quads = (await tab.cdp.send("DOM.getContentQuads", node))["quads"]
    except Error as error:
        if "Target" in error.message or "closed" in error.message:
            raise
        return None
    if not quads:
        return None
    x, y, width, height = quads[0][0], quads[0][1], quads[0][4] - quads[0][0], quads[0][5] - quads[0][1]
    points = [(x + a * width, y + b * height) for b in PARTS for a in PARTS]
    return points[int(await _call(tab, element, HIT, points) or 0)]


def _gone(spot: Spot) -> Refused:
    return Refused(f"Element {spot.id} cannot be reached.")


async def _point(tab: Tab, action: Action, sight: Sight) -> Refused | None:
    place = await _place(tab, action.spot, sight)
    if place is None:
        return _gone(action.spot)
    mouse = tab.page.mouse
    if action.kind == "click":
        await mouse.click(*place)
    elif action.kind == "double_click":
        await mouse.dblclick(*place)
    else:
        await mouse.move(*place)
        await mouse.down()
        await pass_time(tab, HOLD_MS)
        await mouse.up()
    return None


async def _drag(tab: Tab, action: Action, sight: Sight) -> Refused | None:
    start = await _place(tab, action.spot, sight)
    end = await _place(tab, action.to, sight)
    if start is None or end is None:
        return _gone(action.spot if start is None else action.to)
    mouse = tab.page.mouse
    await mouse.move(*start)
    await mouse.down()
    await mouse.move(*end, steps=DRAG_STEPS)
    await mouse.up()
    return None


async def _type(tab: Tab, action: Action, sight: Sight) -> Refused | None:
    """Click the field, mark what it holds, type over it."""
    element = sight.find(action.spot.id or 0)
    if element is not None and not _takes_text(element):
        return Refused(f"Element {action.spot.id} takes no text: it is a {element.role}.")
    if element is not None and await _call(tab, element, SET_VALUE, action.text):
        return None
    if action.spot != NOWHERE:
        place = await _place(tab, action.spot, sight)
        if place is None:
            return _gone(action.spot)
        await tab.page.mouse.click(*place)
    if not await tab.page.evaluate(TAKES_TEXT):
        return Refused("No field that takes text has the focus. Name one: type ID TEXT.")
    await tab.page.keyboard.press("ControlOrMeta+a")
    if action.text:
        await tab.page.keyboard.type(action.text)
    else:
        await tab.page.keyboard.press("Backspace")
    return None


async def _select(tab: Tab, action: Action, sight: Sight) -> Refused | None:
    element = sight.find(action.spot.id or 0)
    if element is None:
        return Refused("select takes the number of an element first: select ID OPTION.")
    if await _call(tab, element, SET_VALUE, action.text):
        return None
    done = await _call(tab, element, CHOOSE, action.text)
    if done != "done" and element.options:
        return Refused(f"Element {element.id} has no such option. Options: {', '.join(element.options)}.")
    if done == "none":
        return Refused(f"Element {element.id} has no options to select: it is a {element.role}.")
    if done == "unknown":
        return Refused(f"Element {element.id} has no such option.")
    return None


async def _scroll(tab: Tab, action: Action, sight: Sight, size: tuple[int, int]) -> Refused | None:
    element = sight.find(action.spot.id or 0)
    place: tuple[float, float] | None = (size[0] / 2, size[1] / 2)
    extent = size
    if action.spot != NOWHERE:
        place = await _place(tab, action.spot, sight)
        if place is None:
            return _gone(action.spot)
        if element is not None and element.box is not None:
            extent = (min(size[0], int(element.box.width)), min(size[1], int(element.box.height)))
    assert place is not None
    x, y = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}[action.text]
    await tab.page.mouse.move(*place)
    await tab.page.mouse.wheel(x * max(40, SCROLLED * extent[0]), y * max(40, SCROLLED * extent[1]))
    await tab.page.evaluate(FRAMES)
    return None


async def pass_time(tab: Tab, milliseconds: float) -> None:
    """Let time pass: by the page's own stopped clock, where it has one."""
    if not await tab.page.evaluate("ms => window.__clock ? (window.__clock.run(ms), true) : false", milliseconds):
        await asyncio.sleep(milliseconds / 1000)


async def _call(tab: Tab, element: Element, function: str, argument: Any) -> Any:
    """Call a JavaScript function on an element."""
    from playwright.async_api import Error

    try:
        found = await tab.cdp.send("DOM.resolveNode", {"backendNodeId": element.node})
    except Error as error:
        if "Target" in error.message or "closed" in error.message:
            raise
        return None
    request = {
        "functionDeclaration": function,
        "objectId": found["object"]["objectId"],
        "arguments": [{"value": argument}],
        "returnByValue": True,
    }
    return (await tab.cdp.send("Runtime.callFunctionOn", request))["result"].get("value")


def _takes_text(element: Element) -> bool:
    if element.role in ("combobox", "select"):
        return not element.options  # a field with suggestions has none of its own
    return element.role in EDITABLE or element.role in ("input", "textarea")
