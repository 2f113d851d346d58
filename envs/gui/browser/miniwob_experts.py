"""Scripts that solve tasks of MiniWoB++: from the task in words and the page, the next action.

They remember nothing: what was done already is read off the page. The setting ``task=core`` stands for the tasks of
`EXPERTS` without those of `ONE_CLICK`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from agentrl.envs.gui.browser.elements import Element, Sight


class Move(NamedTuple):
    """An action on an element."""

    kind: str
    """As in `agentrl.envs.gui.actions.KINDS`."""
    element: Element | None = None
    """What is acted on."""
    text: str = ""
    """What is typed, selected or pressed."""


Script = Callable[[str, Sight], Move | None]


def click(element: Element | None) -> Move | None:
    """Click what was found."""
    return Move("click", element) if element else None


def of_role(sight: Sight, *roles: str) -> list[Element]:
    """Elements of some roles, in order."""
    return [e for e in sight.elements if e.role in roles]


def called(sight: Sight, name: str, *roles: str) -> Element | None:
    """The first element of a name, and of one of some roles where they are given."""
    found = of_role(sight, *roles) if roles else sight.elements
    return next((e for e in found if e.name == name), None)


def submit(sight: Sight, name: str = "Submit") -> Move | None:
    """Click the button at the end of a form."""
    return click(called(sight, name, "button") or called(sight, name))


def fill(sight: Sight, fields: Iterable[tuple[Element | None, str]], end: Move | None) -> Move | None:
    """Type what fields do not hold yet, then end."""
    for field, value in fields:
        if field is not None and field.value != value:
            return Move("type", field, value)
    return end


def masked(value: str) -> str:
    """What a password field shows of a value."""
    return "•" * len(value)


def said(pattern: str, utterance: str) -> list[str]:
    """The groups of a pattern in the task; none where it does not fit."""
    found = re.search(pattern, utterance, flags=re.S)
    return list(found.groups()) if found else []


def listed(text: str) -> list[str]:
    """The names of a list in words."""
    return [] if text == "nothing" else re.split(r", ?", text)


def click_test(utterance: str, sight: Sight) -> Move | None:
    return click(next(iter(of_role(sight, "button")), None))


def click_one(utterance: str, sight: Sight) -> Move | None:
    return click(called(sight, "ONE", "button"))


def click_sequence(utterance: str, sight: Sight) -> Move | None:
    first = called(sight, "ONE", "button")
    return click(called(sight, "TWO", "button") if first and "focused" in first.states else first)


def click_quoted(utterance: str, sight: Sight) -> Move | None:
    """The button, link or text that the task quotes."""
    target = said(r'"(.*)"', utterance)
    return click(called(sight, target[0], "button") or called(sight, target[0], "link", "text")) if target else None


def click_dialog(utterance: str, sight: Sight) -> Move | None:
    target = said(r'"(.*)"', utterance)[0]
    return click(called(sight, "Close" if target == "x" else target, "button"))


def checkboxes(utterance: str, sight: Sight) -> Move | None:
    wanted = listed(said(r"Select (.*) and click Submit", utterance)[0])
    boxes = of_role(sight, "checkbox")
    wrong = next((b for b in boxes if (b.name in wanted) != ("checked" in b.states)), None)
    return click(wrong) if wrong else submit(sight)


def option(utterance: str, sight: Sight) -> Move | None:
    wanted = called(sight, said(r"Select (.*) and click Submit", utterance)[0], "radio")
    return submit(sight) if wanted and "checked" in wanted.states else click(wanted)


def choose_list(utterance: str, sight: Sight) -> Move | None:
    target = said(r"Select (.*) from the list", utterance)[0]
    box = next(iter(of_role(sight, "combobox")), None)
    return submit(sight) if box and box.value == target else Move("select", box, target)


def scroll_list(utterance: str, sight: Sight) -> Move | None:
    wanted = listed(said(r"Select (.*) from the scroll list", utterance)[0])
    box = next(iter(of_role(sight, "listbox")), None)
    left = [e for e in of_role(sight, "option") if e.name in wanted and "selected" not in e.states]
    return Move("select", box, left[0].name) if left else submit(sight)


def widget(utterance: str, sight: Sight) -> Move | None:
    kind = said(r'"(.*)"', utterance)[0]
    fields = [e for e in of_role(sight, "textbox") if ("multiline" in e.states) == (kind == "textarea")]
    return click((fields if kind.startswith("text") else of_role(sight, kind))[0])


def enter_text(utterance: str, sight: Sight) -> Move | None:
    value = said(r'"(.*)"', utterance)[0]
    value = value.upper() if "upper case" in utterance else value.lower() if "lower case" in utterance else value
    return fill(sight, [(next(iter(of_role(sight, "textbox")), None), value)], submit(sight))


def enter_password(utterance: str, sight: Sight) -> Move | None:
    value = said(r'"(.*)"', utterance)[0]
    empty = [e for e in of_role(sight, "textbox") if len(e.value) != len(value)]
    return Move("type", empty[0], value) if empty else submit(sight)


def login(utterance: str, sight: Sight) -> Move | None:
    name, password = said(r'username "(.*)" and the password "(.*)" into', utterance)
    fields = of_role(sight, "textbox")
    if fields[0].value != name:
        return Move("type", fields[0], name)
    return Move("type", fields[1], password) if len(fields[1].value) != len(password) else submit(sight, "Login")


def focus(utterance: str, sight: Sight) -> Move | None:
    at = said(r"the (\d)", utterance)
    return click(of_role(sight, "textbox")[int(at[0]) - 1 if at else 0])


def tab(utterance: str, sight: Sight) -> Move | None:
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
    section = next((e for e in of_role(sight, "tab") if e.name.startswith("Section")), None)
    return submit(sight) if section is None or "expanded" in section.states else click(section)


def enter_date(utterance: str, sight: Sight) -> Move | None:
    month, day, year = said(r"(\d+)/(\d+)/(\d+)", utterance)
    field = next(iter(of_role(sight, "date", "textbox")), None)
    value = f"{year}-{month}-{day}"
    return fill(sight, [(field, value)], submit(sight))


def enter_time(utterance: str, sight: Sight) -> Move | None:
    hour, minute, half = said(r"(\d+):(\d+) ([AP])M", utterance)
    field = next(iter(of_role(sight, "time", "textbox")), None)
    value = f"{int(hour) % 12 + 12 * (half == 'P'):02d}:{minute}"
    return fill(sight, [(field, value)], submit(sight))


def arithmetic(utterance: str, sight: Sight) -> Move | None:
    text = " ".join(e.name for e in of_role(sight, "text"))
    left, sign, right = said(r"(\d+) ?([+x*-]) ?(\d+)", text)
    a, b = int(left), int(right)
    result = a + b if sign == "+" else a - b if sign == "-" else a * b
    return fill(sight, [(of_role(sight, "textbox")[0], str(result))], submit(sight))


def algebra(utterance: str, sight: Sight) -> Move | None:
    text = " ".join(e.name for e in of_role(sight, "text"))
    left, sign, right, total = said(r"(x|\d+) ([+-]) (x|\d+) = (-?\d+)", text)
    whole = int(total)
    if sign == "+":
        value = whole - int(right if left == "x" else left)
    else:
        value = whole + int(right) if left == "x" else int(left) - whole
    return fill(sight, [(of_role(sight, "textbox")[0], str(value))], submit(sight))


def cells(sight: Sight) -> dict[str, str]:
    """A table of two columns."""
    names = [e.name for e in of_role(sight, "cell")]
    return dict(zip(names[::2], names[1::2], strict=False))


def read_table(utterance: str, sight: Sight) -> Move | None:
    value = cells(sight)[said(r"value of (.*) into", utterance)[0]]
    return fill(sight, [(of_role(sight, "textbox")[0], value)], submit(sight))


def read_table_2(utterance: str, sight: Sight) -> Move | None:
    table = cells(sight)
    labels = [e.name[:-1] for e in of_role(sight, "text") if e.name.endswith(":") and e.name[:-1] in table]
    fields = of_role(sight, "textbox")
    return fill(sight, [(f, table[n]) for f, n in zip(fields, labels, strict=False)], submit(sight))


def spinner(utterance: str, sight: Sight) -> Move | None:
    """The page takes no typed numbers, only arrows."""
    field = of_role(sight, "spinbutton")[0]
    missing = int(said(r"Select (-?\d+) with", utterance)[0]) - int(field.value or 0)
    if missing and "focused" not in field.states:
        return click(field)
    return Move("press", None, "ArrowUp" if missing > 0 else "ArrowDown") if missing else submit(sight)


def find_word(utterance: str, sight: Sight) -> Move | None:
    at = int(said(r"the (\d+)", utterance)[0])
    words = " ".join(e.name for e in of_role(sight, "text")).split()
    return fill(sight, [(of_role(sight, "textbox")[0], words[at - 1].strip(".,"))], submit(sight))


def autocomplete(utterance: str, sight: Sight) -> Move | None:
    found = said(r'starts with "(.*?)"(?: and ends with "(.*?)")?', utterance)
    start, end = found[0], found[1] or ""
    field = of_role(sight, "textbox", "combobox")[0]
    if field.value.startswith(start) and field.value.endswith(end) and field.value != start:
        return submit(sight)
    for e in of_role(sight, "menuitem", "option", "text"):
        if e.name.startswith(start) and e.name.endswith(end):
            return click(e)
    return Move("type", field, start)


def odd_or_even(utterance: str, sight: Sight) -> Move | None:
    """Buttons tell not whether they were pressed; the focus tells how far one is."""
    items = [e for e in sight.elements if e.role in ("button", "text")]
    rows = [(items[i - 1], e, items[i + 1]) for i, e in enumerate(items) if re.fullmatch(r"-?\d+", e.name)]
    wanted = [row[0] if int(row[1].name) % 2 else row[2] for row in rows]
    focused = [i for i, e in enumerate(wanted) if "focused" in e.states]
    at = focused[0] + 1 if focused else 0
    return click(wanted[at]) if at < len(wanted) else submit(sight)


def buy_ticket(utterance: str, sight: Sight) -> Move | None:
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
    user, button = said(r'user (@\w+), click on the "(.*)" button', utterance)
    if found := called(sight, button, "text") or called(sight, f"{button} {user}", "text"):
        return click(found)
    icons = {"Reply": "reply", "Retweet": "retweet", "Like": "like"}
    at = next(i for i, e in enumerate(sight.elements) if e.name == user)
    icon = icons.get(button, "more")
    return click(next(e for e in sight.elements[at:] if e.role == "image" and e.name.startswith(icon)))


def generate_number(utterance: str, sight: Sight) -> Move | None:
    shown = next((int(e.name) for e in of_role(sight, "text") if e.name.lstrip("-").isdigit()), None)
    limit = said(r"(\d+)", utterance)
    fits = shown is not None and (
        shown % 2 == ("odd" in utterance)
        if not limit
        else shown < int(limit[0])
        if "less" in utterance
        else shown > int(limit[0])
    )
    return submit(sight) if fits else click(called(sight, "Generate", "button"))


def form_sequence_3(utterance: str, sight: Sight) -> Move | None:
    height, button = said(r'Choose (.*) from the dropdown, then click the button labeled "(.*)"', utterance)
    box = of_role(sight, "combobox")[0]
    return click(called(sight, button, "button")) if box.value == height else Move("select", box, height)


EXPERTS: dict[str, Script] = {
    "buy-ticket": buy_ticket,
    "choose-list": choose_list,
    "click-button": click_quoted,
    "click-button-sequence": click_sequence,
    "click-checkboxes": checkboxes,
    "click-checkboxes-large": checkboxes,
    "click-checkboxes-transfer": checkboxes,
    "click-collapsible": collapsible,
    "click-collapsible-2": search_tabs,
    "click-dialog": click_dialog,
    "click-dialog-2": click_dialog,
    "click-link": click_quoted,
    "click-option": option,
    "click-scroll-list": scroll_list,
    "click-tab": tab,
    "click-tab-2": search_tabs,
    "click-test": click_test,
    "click-test-2": click_one,
    "click-widget": widget,
    "email-inbox-delete": inbox,
    "email-inbox-important": inbox,
    "enter-date": enter_date,
    "enter-password": enter_password,
    "enter-text": enter_text,
    "enter-text-2": enter_text,
    "enter-text-dynamic": enter_text,
    "enter-time": enter_time,
    "find-word": find_word,
    "focus-text": focus,
    "focus-text-2": focus,
    "form-sequence-3": form_sequence_3,
    "generate-number": generate_number,
    "login-user": login,
    "odd-or-even": odd_or_even,
    "phone-book": phone_book,
    "read-table": read_table,
    "read-table-2": read_table_2,
    "search-engine": search_engine,
    "simple-algebra": algebra,
    "simple-arithmetic": arithmetic,
    "social-media": social_media,
    "unicode-test": click_quoted,
    "use-autocomplete": autocomplete,
    "use-spinner": spinner,
}
"""Tasks -> scripts."""
ONE_CLICK = frozenset({"click-test", "click-test-2", "click-dialog", "focus-text"})
"""Tasks that the same single click always solves. They have scripts, but are not in ``core``."""
