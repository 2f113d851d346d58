"""Scripts that click, choose and look for what to click."""

from __future__ import annotations

import re

from agentrl.envs.gui.browser.elements import Sight
from agentrl.envs.gui.browser.scripts.moves import Move, called, click, listed, of_role, said, submit


def click_test(utterance: str, sight: Sight) -> Move | None:
    """The only button."""
    return click(next(iter(of_role(sight, "button")), None))


def click_one(utterance: str, sight: Sight) -> Move | None:
    """The button ONE."""
    return click(called(sight, "ONE", "button"))


def click_sequence(utterance: str, sight: Sight) -> Move | None:
    """ONE, then TWO: the focus tells which was clicked."""
    first = called(sight, "ONE", "button")
    return click(called(sight, "TWO", "button") if first and "focused" in first.states else first)


def click_quoted(utterance: str, sight: Sight) -> Move | None:
    """The button, link or text that the task quotes."""
    target = said(r'"(.*)"', utterance)
    return click(called(sight, target[0], "button") or called(sight, target[0], "link", "text")) if target else None


def click_dialog(utterance: str, sight: Sight) -> Move | None:
    """A button of the dialog; ``x`` is the one that closes it."""
    target = said(r'"(.*)"', utterance)[0]
    return click(called(sight, "Close" if target == "x" else target, "button"))


def checkboxes(utterance: str, sight: Sight) -> Move | None:
    """Set those that are named, clear the others, submit."""
    wanted = listed(said(r"Select (.*) and click Submit", utterance)[0])
    boxes = of_role(sight, "checkbox")
    wrong = next((b for b in boxes if (b.name in wanted) != ("checked" in b.states)), None)
    return click(wrong) if wrong else submit(sight)


def option(utterance: str, sight: Sight) -> Move | None:
    """The radio button of a name, then submit."""
    wanted = called(sight, said(r"Select (.*) and click Submit", utterance)[0], "radio")
    return submit(sight) if wanted and "checked" in wanted.states else click(wanted)


def choose_list(utterance: str, sight: Sight) -> Move | None:
    """An option of a list that opens, then submit."""
    target = said(r"Select (.*) from the list", utterance)[0]
    box = next(iter(of_role(sight, "combobox")), None)
    return submit(sight) if box and box.value == target else Move("select", box, target)


def scroll_list(utterance: str, sight: Sight) -> Move | None:
    """Options of a list that scrolls, then submit."""
    wanted = listed(said(r"Select (.*) from the scroll list", utterance)[0])
    box = next(iter(of_role(sight, "listbox")), None)
    left = [e for e in of_role(sight, "option") if e.name in wanted and "selected" not in e.states]
    return Move("select", box, left[0].name) if left else submit(sight)


def widget(utterance: str, sight: Sight) -> Move | None:
    """The first widget of a kind."""
    kind = said(r'"(.*)"', utterance)[0]
    fields = [e for e in of_role(sight, "textbox") if ("multiline" in e.states) == (kind == "textarea")]
    return click((fields if kind.startswith("text") else of_role(sight, kind))[0])


def focus(utterance: str, sight: Sight) -> Move | None:
    """The field of a number."""
    at = said(r"the (\d)", utterance)
    return click(of_role(sight, "textbox")[int(at[0]) - 1 if at else 0])


def tab(utterance: str, sight: Sight) -> Move | None:
    """The tab of a number."""
    return click(called(sight, f"Tab #{said('#([0-9]+)', utterance)[0]}", "tab"))


def search_tabs(utterance: str, sight: Sight) -> Move | None:
    """Open one tab or section after the other until the link shows."""
    target = said(r'"(.*)"', utterance)[0]
    if found := called(sight, target, "text", "link"):
        return click(found)
    tabs = of_role(sight, "tab")
    opened = [i for i, t in enumerate(tabs) if "expanded" in t.states or "selected" in t.states]
    return click(tabs[(opened[-1] + 1) % len(tabs)] if opened else tabs[0])


def collapsible(utterance: str, sight: Sight) -> Move | None:
    """Open the section, then submit."""
    section = next((e for e in of_role(sight, "tab") if e.name.startswith("Section")), None)
    return submit(sight) if section is None or "expanded" in section.states else click(section)


def odd_or_even(utterance: str, sight: Sight) -> Move | None:
    """Buttons tell not whether they were pressed; the focus tells how far one is."""
    items = [e for e in sight.elements if e.role in ("button", "text")]
    rows = [(items[i - 1], e, items[i + 1]) for i, e in enumerate(items) if re.fullmatch(r"-?\d+", e.name)]
    wanted = [row[0] if int(row[1].name) % 2 else row[2] for row in rows]
    focused = [i for i, e in enumerate(wanted) if "focused" in e.states]
    at = focused[0] + 1 if focused else 0
    return click(wanted[at]) if at < len(wanted) else submit(sight)


def buy_ticket(utterance: str, sight: Sight) -> Move | None:
    """Compare prices or durations."""
    rows = []
    length = 0
    for e in sight.elements:
        if spent := re.fullmatch(r"(\d+)h (\d+)m", e.name):
            length = 60 * int(spent[1]) + int(spent[2])
        elif paid := re.search(r"\$(\d+)", e.name):
            rows.append((int(paid[1]), length, e))
    key = (lambda row: row[0]) if "cost" in utterance else (lambda row: row[1])
    best = min(rows, key=key) if re.search("cheapest|shortest", utterance) else max(rows, key=key)
    return click(best[2])


def search_engine(utterance: str, sight: Sight) -> Move | None:
    """Search, go to the page that has the result, click it."""
    word, at = said(r'enter "(.*)" and press "Search", then find and click the (\d+)', utterance)
    field = of_role(sight, "textbox")[0]
    if field.value != word:
        return Move("type", field, word)
    links = [e for e in of_role(sight, "link") if not re.fullmatch(r"[<>]|\d+", e.name)]
    if not links:
        return click(called(sight, "Search", "button"))
    here = 0 if not called(sight, "<", "link") else 1 if called(sight, ">", "link") else 2
    page, place = divmod(int(at) - 1, 3)
    return click(links[place]) if page == here else click(called(sight, ">", "link"))


def phone_book(utterance: str, sight: Sight) -> Move | None:
    """Turn pages to the person, click what is asked for."""
    name, kind = said(r"Find (.*) in the contact book and click on their (.*)\.", utterance)
    if not called(sight, name, "heading"):
        return click(called(sight, ">", "link"))
    texts = [e for e in sight.elements if e.role in ("text", "link")]
    label = {"phone number": "Phone:", "email": "Email:", "address": "Address:"}[kind]
    return click(next(texts[i + 1] for i, e in enumerate(texts) if e.name == label))


def inbox(utterance: str, sight: Sight) -> Move | None:
    """Delete a mail, or mark it with a star."""
    name = said(r"email by (.*?) and", utterance)[0]
    icon = "trash" if "trash" in utterance else "star"
    at = next(i for i, e in enumerate(sight.elements) if e.name == name)
    return click(next(e for e in sight.elements[at:] if e.role in ("image", "box") and icon in e.name))


def social_media(utterance: str, sight: Sight) -> Move | None:
    """A button of a user's post; some are in its menu."""
    user, button = said(r'user (@\w+), click on the "(.*)" button', utterance)
    if found := called(sight, button, "text") or called(sight, f"{button} {user}", "text"):
        return click(found)
    icons = {"Reply": "reply", "Retweet": "retweet", "Like": "like"}
    at = next(i for i, e in enumerate(sight.elements) if e.name == user)
    icon = icons.get(button, "more")
    return click(next(e for e in sight.elements[at:] if e.role == "image" and e.name.startswith(icon)))
