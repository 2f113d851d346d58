"""The view ``axtree``: Chromium's accessibility tree as numbered lines, in the manner of BrowserGym.

Roles that only arrange others are left out, and so is text that its element is called by. What stands in a part of
the page that nobody sees has no line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from agentrl.envs.gui.browser.elements import Element, Sight, clean, shallow
from agentrl.envs.gui.browser.page import Tab
from agentrl.envs.gui.browser.snapshot import Document, Node, capture

PLAIN = frozenset(
    "none generic InlineTextBox LineBreak LabelText paragraph RootWebArea MenuListPopup Section emphasis strong mark "
    "presentation time code superscript subscript Legend Figcaption Abbr insertion deletion".split()
)
"""Roles without a line of their own."""
HOLDING = frozenset(
    "list listitem tablist menu menubar form complementary group region status log alert table rowgroup SvgRoot "
    "tabpanel dialog radiogroup toolbar main navigation banner contentinfo article caption tree".split()
)
"""Roles without a line where they have no name."""
UNNAMED = frozenset("image button link shape".split())
"""Roles that are called by their class where they have no name."""
ROLES = {
    "StaticText": "text",
    "Canvas": "canvas",
    "image": "image",
    "textFieldWithComboBox": "combobox",
    "searchbox": "textbox",
    "Date": "date",
    "InputTime": "time",
    "DateTime": "datetime",
    "ColorWell": "color",
    "graphics-symbol": "shape",
    "DisclosureTriangle": "button",
}
"""Chromium's names of roles -> ours."""
EDITABLE = frozenset("textbox combobox spinbutton slider date time datetime color listbox".split())
INTERACTIVE = EDITABLE | frozenset(
    "button link checkbox radio switch tab option menuitem menuitemcheckbox menuitemradio treeitem".split()
)
"""Roles that always have a number."""
STATES = ("disabled", "checked", "pressed", "selected", "expanded", "required", "invalid", "readonly", "multiline")
"""Properties that are states where they are true, in the order in which they are shown; ``focused`` comes last."""


async def look(tab: Tab, *, all_numbered: bool = True, without: Callable[[Node], bool] = lambda _: False) -> Sight:
    """What the page shows.

    Args:
        tab: The page.
        all_numbered: Whether every line has a number, or only what can be acted on.
        without: Nodes that are left out with all below them.
    """
    tree = (await tab.cdp.send("Accessibility.getFullAXTree"))["nodes"]
    return read(tree, await capture(tab), all_numbered=all_numbered, without=without)


def read(
    tree: list[dict[str, Any]],
    document: Document,
    *,
    all_numbered: bool = True,
    without: Callable[[Node], bool] = lambda _: False,
) -> Sight:
    """The lines of an accessibility tree; arguments as for `look`."""
    walker = _Walker({n["nodeId"]: n for n in tree}, document, without)
    if tree:
        walker.walk(tree[0]["nodeId"], 0, "")
    number = 0
    found = []
    for element, depth in zip(walker.found, shallow([e.depth for e in walker.found]), strict=True):
        numbered = all_numbered or element.role in INTERACTIVE
        number += numbered
        found.append(replace(element, depth=depth, id=number if numbered else 0))
    return Sight(tuple(found))


class _Walker:
    """Collects lines."""

    def __init__(self, tree: dict[str, dict[str, Any]], document: Document, without: Callable[[Node], bool]) -> None:
        self.tree, self.document, self.without = tree, document, without
        self.nodes = document.by_backend()
        self.found: list[Element] = []

    def walk(self, number: str, depth: int, called: str) -> None:
        """Enter a node and what is below it. ``called``: the name of the line it stands under."""
        item = self.tree.get(number)
        if item is None:
            return
        node = self.nodes.get(item.get("backendDOMNodeId", 0))
        if node is not None and self.without(node):
            return
        element = self._element(item, node, depth, called)
        if element is not None:
            self.found.append(element)
            depth, called = depth + 1, element.name
            if element.role == "combobox" and element.options:
                return
        for child in item.get("childIds", []):
            self.walk(child, depth, called)

    def _element(self, item: Mapping[str, Any], node: Node | None, depth: int, called: str) -> Element | None:
        """The line of a node, or None."""
        said = item.get("role", {}).get("value", "none")
        role = ROLES.get(said, said)
        if node is None or node.box is None:
            return None
        name = clean(_value(item, "name"))
        if item.get("ignored") or said in PLAIN:
            role, name = ("box", _label(node)) if self._bare(item, node) else ("", "")
        if role == "listbox" and node.tag != "select":
            return None  # its options are what can be acted on
        if role in UNNAMED:
            name = name or _label(node)
        if (
            not role
            or node.box.empty
            or (role in HOLDING and not name)
            or (role == "text" and (not name or name in called))
        ):
            return None
        options = self._options(item) if role == "combobox" else ()
        states, described = _states(item, node), clean(_value(item, "description"))
        if role == "slider":
            options = tuple(described.split(", ")) if described else ()
        else:
            states += (described,) if described and described != name else ()
        value = clean(_value(item, "value")) if role in EDITABLE or role == "progressbar" else ""
        mark = node.attributes.get("data-id", "")
        return Element(role, name, node.backend, node.box, value, states, options, depth, mark=mark)

    def _bare(self, item: Mapping[str, Any], node: Node) -> bool:
        """Whether a node without a role is something to click: it listens, is called something, and holds nothing."""
        return node.clickable and bool(_label(node)) and node.tag not in ("html", "body") and self.document.hollow(node)

    def _options(self, item: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of all options below a node."""
        found: tuple[str, ...] = ()
        for number in item.get("childIds", []):
            child = self.tree.get(number, {})
            if child.get("role", {}).get("value") == "option":
                found += (name,) if (name := clean(_value(child, "name"))) else ()
            else:
                found += self._options(child)
        return found


def _label(node: Node) -> str:
    """What an element without a name can be called by."""
    drawn = f"{node.tag} {node.attributes['fill']}" if "fill" in node.attributes else ""
    named = (node.attributes.get(key) for key in ("title", "class", "id"))
    return clean(drawn or next(filter(None, named), ""))


def _value(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key, {}).get("value", "")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _states(item: Mapping[str, Any], node: Node) -> tuple[str, ...]:
    properties = {p["name"]: p.get("value", {}).get("value") for p in item.get("properties", [])}
    found = [name for name in STATES if properties.get(name) not in (None, False, "false", "", 0)]
    if node.attributes.get("type") == "password":
        found.append("password")
    if properties.get("focused"):
        found.append("focused")
    return tuple(found)
