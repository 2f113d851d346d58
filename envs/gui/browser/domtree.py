"""The view ``dom``: the elements that are drawn, with what marks them, as numbered lines.

It shows what has no role or name for assistive technology: drawn shapes with their colours and places, icons, boxes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from agentrl.envs.gui.browser.elements import Element, Sight, clean, shallow
from agentrl.envs.gui.browser.page import Tab
from agentrl.envs.gui.browser.snapshot import ELEMENT, TEXT, Document, Node, capture

SHOWN = ("id", "class", "type", "title", "fill", "stroke", "r", "points", "font-size", "src")
"""Attributes that are shown."""
LEFT_OUT = frozenset("html body head script style svg g br option".split())
"""Tags without a line of their own."""
ALWAYS = frozenset("input textarea select button a img canvas circle rect polygon ellipse line path text".split())
"""Tags that always have one."""


async def look(tab: Tab, *, without: Callable[[Node], bool] = lambda _: False) -> Sight:
    """What the page shows; ``without``: nodes that are left out with all below them."""
    return read(await capture(tab), without=without)


def read(document: Document, *, without: Callable[[Node], bool] = lambda _: False) -> Sight:
    """The lines of a document."""
    found: list[Element] = []
    _walk(document, 0, 0, without, found)
    depths = shallow([e.depth for e in found])
    return Sight(tuple(replace(e, depth=d, id=i) for i, (e, d) in enumerate(zip(found, depths, strict=True), 1)))


def _walk(document: Document, index: int, depth: int, without: Callable[[Node], bool], found: list[Element]) -> None:
    node = document.nodes[index]
    if without(node):
        return
    element = _element(document, node, depth)
    if element is not None:
        found.append(element)
        depth += 1
    for child in node.children:
        _walk(document, child, depth, without, found)


def _element(document: Document, node: Node, depth: int) -> Element | None:
    """The line of a node, or None."""
    if node.box is None or node.box.empty or node.styles.get("visibility") == "hidden":
        return None
    if node.kind == TEXT:  # the only text of an element stands in its line
        words = clean(node.text)
        parent = document.nodes[node.parent]
        alone = len(parent.children) == 1 and parent.tag not in LEFT_OUT
        return Element("text", words, node.backend, node.box, depth=depth) if words and not alone else None
    if node.kind != ELEMENT or node.tag in LEFT_OUT:
        return None
    words = _own_text(document, node)
    marked = node.clickable or node.attributes.get("class") or node.attributes.get("id")
    if not (words or node.tag in ALWAYS or (marked and document.hollow(node))):
        return None
    return Element(
        role=node.tag,
        name=words,
        node=node.backend,
        box=node.box,
        value=clean(node.value),
        states=_marks(node),
        options=_options(document, node),
        depth=depth,
    )


def _own_text(document: Document, node: Node) -> str:
    if len(node.children) == 1 and document.nodes[node.children[0]].kind == TEXT:
        return clean(document.nodes[node.children[0]].text)
    return ""


def _options(document: Document, node: Node) -> tuple[str, ...]:
    if node.tag != "select":
        return ()
    below = document.below(document.nodes.index(node))
    options = [document.nodes[i] for i in below if document.nodes[i].tag == "option"]
    return tuple(_own_text(document, o) + (" *" if o.checked else "") for o in options)


def _marks(node: Node) -> tuple[str, ...]:
    """Attributes, colour and place."""
    found = [f"{name}={clean(node.attributes[name])}" for name in SHOWN if node.attributes.get(name)]
    if node.checked:
        found.append("checked")
    found += [mark for mark in ("disabled", "required", "readonly") if mark in node.attributes]
    colour = node.styles.get("background-color", "")
    if colour and not re.fullmatch(r"rgba\(.*, 0\)", colour):
        found.append(f"background={colour.replace(' ', '')}")
    if node.box is not None:
        x, y = node.box.centre
        found.append(f"at {x:.0f} {y:.0f}")
    return tuple(found)
