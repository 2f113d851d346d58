"""Scripts that read, compute and type."""

from __future__ import annotations

from agentrl.envs.gui.browser.elements import Sight
from agentrl.envs.gui.browser.scripts.moves import Move, called, click, fill, of_role, said, submit


def enter_text(utterance: str, sight: Sight) -> Move | None:
    """Type a text, in capitals or small letters where that is asked for."""
    value = said(r'"(.*)"', utterance)[0]
    value = value.upper() if "upper case" in utterance else value.lower() if "lower case" in utterance else value
    return fill(sight, [(next(iter(of_role(sight, "textbox")), None), value)], submit(sight))


def enter_password(utterance: str, sight: Sight) -> Move | None:
    """Type it into both fields."""
    value = said(r'"(.*)"', utterance)[0]
    empty = [e for e in of_role(sight, "textbox") if len(e.value) != len(value)]
    return Move("type", empty[0], value) if empty else submit(sight)


def login(utterance: str, sight: Sight) -> Move | None:
    """Name, password, login."""
    name, password = said(r'username "(.*)" and the password "(.*)" into', utterance)
    fields = of_role(sight, "textbox")
    if fields[0].value != name:
        return Move("type", fields[0], name)
    return Move("type", fields[1], password) if len(fields[1].value) != len(password) else submit(sight, "Login")


def enter_date(utterance: str, sight: Sight) -> Move | None:
    """Fill the field for a date."""
    month, day, year = said(r"(\d+)/(\d+)/(\d+)", utterance)
    field = next(iter(of_role(sight, "date", "textbox")), None)
    value = f"{year}-{month}-{day}"
    return fill(sight, [(field, value)], submit(sight))


def enter_time(utterance: str, sight: Sight) -> Move | None:
    """Fill the field for a time."""
    hour, minute, half = said(r"(\d+):(\d+) ([AP])M", utterance)
    field = next(iter(of_role(sight, "time", "textbox")), None)
    value = f"{int(hour) % 12 + 12 * (half == 'P'):02d}:{minute}"
    return fill(sight, [(field, value)], submit(sight))


def arithmetic(utterance: str, sight: Sight) -> Move | None:
    """Compute, type, submit."""
    text = " ".join(e.name for e in of_role(sight, "text"))
    left, sign, right = said(r"(\d+) ?([+x*-]) ?(\d+)", text)
    a, b = int(left), int(right)
    result = a + b if sign == "+" else a - b if sign == "-" else a * b
    return fill(sight, [(of_role(sight, "textbox")[0], str(result))], submit(sight))


def algebra(utterance: str, sight: Sight) -> Move | None:
    """Solve for x, type, submit."""
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
    """Type a value of the table."""
    value = cells(sight)[said(r"value of (.*) into", utterance)[0]]
    return fill(sight, [(of_role(sight, "textbox")[0], value)], submit(sight))


def read_table_2(utterance: str, sight: Sight) -> Move | None:
    """Type the values that labels ask for."""
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
    """Type the word of a number."""
    at = int(said(r"the (\d+)", utterance)[0])
    words = " ".join(e.name for e in of_role(sight, "text")).split()
    return fill(sight, [(of_role(sight, "textbox")[0], words[at - 1].strip(".,"))], submit(sight))


def autocomplete(utterance: str, sight: Sight) -> Move | None:
    """Type the beginning, take what fits, submit."""
    found = said(r'starts with "(.*?)"(?: and ends with "(.*?)")?', utterance)
    start, end = found[0], found[1] or ""
    field = of_role(sight, "textbox", "combobox")[0]
    if field.value.startswith(start) and field.value.endswith(end) and field.value != start:
        return submit(sight)
    for e in of_role(sight, "menuitem", "option", "text"):
        if e.name.startswith(start) and e.name.endswith(end):
            return click(e)
    return Move("type", field, start)


def form_sequence_3(utterance: str, sight: Sight) -> Move | None:
    """Choose a height, click a button."""
    height, button = said(r'Choose (.*) from the dropdown, then click the button labeled "(.*)"', utterance)
    box = of_role(sight, "combobox")[0]
    return click(called(sight, button, "button")) if box.value == height else Move("select", box, height)


def generate_number(utterance: str, sight: Sight) -> Move | None:
    """Generate numbers until one fits, submit."""
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
