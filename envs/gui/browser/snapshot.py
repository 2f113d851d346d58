"""A document as Chromium sees it: every node with its attributes and the place where it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agentrl.envs.gui.browser.page import Tab

STYLES = ("visibility", "background-color", "color", "opacity")
"""Computed styles that are asked for."""
ELEMENT, TEXT = 1, 3
"""Types of nodes."""


class Box(NamedTuple):
    """Where a node is drawn, in pixels from the viewport's left upper corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """The point in the middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see or to click."""
        return self.width < 1 or self.height < 1


@dataclass
class Node:
    """An element or a text."""

    backend: int
    """Chromium's number of it, the same in the accessibility tree."""
    kind: int
    """`ELEMENT`, `TEXT` or another type of the DOM."""
    tag: str
    """Name of an element, in lower case."""
    text: str = ""
    """What a text says."""
    attributes: dict[str, str] = field(default_factory=dict)
    """Of an element."""
    value: str = ""
    """What an input holds."""
    checked: bool = False
    """Whether an input is checked, or an option selected."""
    clickable: bool = False
    """Whether it, or what it stands in, listens to clicks."""
    box: Box | None = None
    """Where it is drawn; None where it is not."""
    styles: dict[str, str] = field(default_factory=dict)
    """Computed styles, by the names of `STYLES`."""
    parent: int = -1
    """Index of its parent in the document, -1 for the root."""
    children: list[int] = field(default_factory=list)
    """Indices of its children."""


@dataclass(frozen=True)
class Document:
    """All nodes in document order; the first is the root."""

    nodes: list[Node]

    def by_backend(self) -> dict[int, Node]:
        """The nodes by Chromium's numbers."""
        return {node.backend: node for node in self.nodes}

    def hollow(self, node: Node) -> bool:
        """Whether nothing below a node is drawn."""
        inside = (self.nodes[i] for i in node.children)
        return all((n.box is None or n.box.empty) and self.hollow(n) for n in inside)

    def below(self, index: int) -> list[int]:
        """A node and all below it, in document order."""
        found = [index]
        for child in self.nodes[index].children:
            found += self.below(child)
        return found


async def capture(tab: Tab) -> Document:
    """The page's document as it is now."""
    request = {"computedStyles": list(STYLES), "includeDOMRects": False, "includePaintOrder": False}
    return read(await tab.cdp.send("DOMSnapshot.captureSnapshot", request))


def read(captured: Mapping[str, Any]) -> Document:
    """The first document of what ``DOMSnapshot.captureSnapshot`` returns."""
    strings: list[str] = captured["strings"]
    document = captured["documents"][0]
    raw = document["nodes"]
    clickable = set(raw.get("isClickable", {}).get("index", []))
    checked = {*raw.get("inputChecked", {}).get("index", []), *raw.get("optionSelected", {}).get("index", [])}
    values = _rare(raw.get("inputValue"), strings) | _rare(raw.get("textValue"), strings)
    nodes: list[Node] = []
    for i, backend in enumerate(raw["backendNodeId"]):
        node = Node(backend, raw["nodeType"][i], _string(strings, raw["nodeName"][i]).lower())
        node.text = _string(strings, raw["nodeValue"][i])
        listed = raw["attributes"][i]
        pairs = zip(listed[::2], listed[1::2], strict=True)
        node.attributes = {_string(strings, key): _string(strings, value) for key, value in pairs}
        node.value, node.checked, node.clickable = values.get(i, ""), i in checked, i in clickable
        node.parent = raw["parentIndex"][i]
        if node.parent >= 0:
            nodes[node.parent].children.append(i)
        nodes.append(node)
    _place(nodes, document, strings)
    return Document(nodes)


def _place(nodes: list[Node], document: Mapping[str, Any], strings: Sequence[str]) -> None:
    """Enter boxes and styles; the document's own scrolling is subtracted."""
    left, top = document.get("scrollOffsetX", 0), document.get("scrollOffsetY", 0)
    layout = document["layout"]
    for index, bounds, styles in zip(layout["nodeIndex"], layout["bounds"], layout["styles"], strict=True):
        x, y, width, height = bounds
        nodes[index].box = Box(x - left, y - top, width, height)
        nodes[index].styles = {name: _string(strings, s) for name, s in zip(STYLES, styles, strict=False)}


def _rare(data: Mapping[str, Any] | None, strings: Sequence[str]) -> dict[int, str]:
    """Strings that only some nodes have, by index."""
    if not data:
        return {}
    return {i: _string(strings, s) for i, s in zip(data["index"], data["value"], strict=True)}


def _string(strings: Sequence[str], index: int) -> str:
    return strings[index] if index >= 0 else ""
