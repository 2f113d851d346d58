"""Small pages in the manner of MiniWoB (arXiv 1802.08802): one screen, a few widgets, one thing to do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from agentrl.envs.gui.apps.panel import Panel, Part, finish, submitted
from agentrl.envs.gui.data import Data
from agentrl.envs.gui.goals import Goal, Want
from agentrl.envs.gui.state import Dialog, State, World, go
from agentrl.envs.gui.tasks import words
from agentrl.envs.gui.tasks.builder import Builder
from agentrl.envs.gui.tasks.task import Aim, Offer, Task

PAGE = ("page",)
SUBMIT = Part("submit", "Submit")


def _task(b: Builder, kind: str, text: str, panel: Panel, result: str, aim: Aim, dialog: Dialog | None = None) -> Task:
    data: Data = {"page": {1: {"result": ""}}}
    world = World(apps=("page",), start=PAGE, rows=b.level.rows, panel=panel)
    state = go(State(data, world, dialog=dialog), PAGE)
    return Task(kind, text, state, Goal(data, (Want("changed", "page", 1, {"result": result}),)), (aim,))


def _submit(b: Builder, kind: str, text: str, title: str, parts: Sequence[Part], values: list[tuple[str, str]]) -> Task:
    """A page where some parts are filled, and submitted."""
    keys = {"yes": "on"}
    fields = []
    for name, value in values:
        group = next(p for p in parts if p.name == name)
        if group.kind == "radio":
            fields.append((f"radio.{name}.{value}", "on"))
        else:
            fields.append((f"field.{name}", keys.get(value, value)))
    order = {p.name: i for i, p in enumerate(parts)}
    values = sorted(values, key=lambda v: order[v[0]])
    panel = Panel(title, (*parts, SUBMIT))
    return _task(b, kind, text, panel, submitted(values), Aim(PAGE, tuple(fields), "submit", 0))


def click_button(b: Builder) -> Task:
    """One button of several."""
    names = b.pick(b.words.BUTTONS)
    name = b.one(names)
    panel = Panel("Buttons", tuple(Part("button", n) for n in names))
    return _task(b, "click_button", f"Click the button {name}.", panel, name, Aim(PAGE, press=f"end.{name}", want=0))


def click_link(b: Builder) -> Task:
    """One link of several."""
    names = b.pick(b.words.CITIES)
    name = b.one(names)
    panel = Panel("Links", tuple(Part("link", n) for n in names))
    return _task(b, "click_link", f"Click the link {name}.", panel, name, Aim(PAGE, press=f"end.{name}", want=0))


def click_dialog(b: Builder) -> Task:
    """One button of a dialog."""
    names = b.pick(b.words.BUTTONS, 3)
    name = b.one(names)

    buttons = tuple((n, f"end.{n}", partial(finish, result=n)) for n in names)
    dialog = Dialog(b.one(b.words.TABS), b.one(b.words.BODIES), buttons)
    text = f"Answer the dialog with {name}."
    return _task(b, "click_dialog", text, Panel("Page", ()), name, Aim(PAGE, press=f"end.{name}", want=0), dialog)


def click_checkboxes(b: Builder) -> Task:
    """Check some boxes, submit."""
    names = b.pick(b.words.ITEMS)
    some = b.pick(names, b.rng.randint(1, 2))
    chosen = [n for n in names if n in some]
    text = f"Check {' and '.join(chosen)}, then submit."
    return _submit(b, "click_checkboxes", text, "List", [Part("check", n) for n in names], [(n, "yes") for n in chosen])


def click_option(b: Builder) -> Task:
    """Choose a radio button, submit."""
    options = tuple(b.pick(b.words.COLOURS, 4))
    value = b.one(options)
    return _submit(
        b,
        "click_option",
        f"Choose {value}, then submit.",
        "Colour",
        [Part("radio", "Colour", options)],
        [("Colour", value)],
    )


def choose_list(b: Builder) -> Task:
    """Select an option, submit."""
    options = tuple(b.pick(b.words.CITIES))
    value = b.one(options)
    text = f"Select City {value}, then submit."
    return _submit(b, "choose_list", text, "Travel", [Part("choice", "City", options)], [("City", value)])


def choose_date(b: Builder) -> Task:
    """Select a day and a month, submit."""
    day, month = b.one([str(n) for n in (1, 5, 10, 15, 20, 25)]), b.one(b.words.MONTHS)
    parts = [Part("choice", "Day", ("1", "5", "10", "15", "20", "25")), Part("choice", "Month", b.words.MONTHS)]
    text = f"Select Day {day} and Month {month}, then submit."
    return _submit(b, "choose_date", text, "Date", parts, [("Day", day), ("Month", month)])


def enter_text(b: Builder) -> Task:
    """Fill one field, submit."""
    value = b.one(b.words.LOGINS)
    name = b.one(["Comment", "Code", "Word", "Title", "Answer"])
    text = f"Enter {name} {value}, then submit."
    return _submit(b, "enter_text", text, "Form", [Part("field", name)], [(name, value)])


def login_user(b: Builder) -> Task:
    """Fill name and password, submit."""
    user, secret = b.one(b.words.LOGINS), b.one(b.words.SECRETS)
    parts = [Part("field", "Username"), Part("secret", "Password")]
    text = f"Enter Username {user} and Password {secret}, then submit."
    return _submit(b, "login_user", text, "Login", parts, [("Username", user), ("Password", secret)])


def fill_form(b: Builder) -> Task:
    """Fill two fields of three, submit."""
    name, city = b.one(b.words.FIRST), b.one(b.words.CITIES)
    parts = [Part("field", "Name"), Part("field", "City"), Part("field", "Club")]
    b.rng.shuffle(parts)
    text = f"Enter Name {name} and City {city}, then submit."
    return _submit(b, "fill_form", text, "Form", parts, [("Name", name), ("City", city)])


def copy_text(b: Builder) -> Task:
    """Copy what the page says into a field, submit."""
    value = b.one(b.words.CLUBS)
    parts = [Part("text", f"Code: {value}"), Part("field", "Copy")]
    others = [
        Part("text", f"{tab}: {club}")
        for tab, club in zip(b.pick(b.words.TABS, 2), b.pick(b.words.CLUBS, 2), strict=True)
    ]
    panel = [*others, *parts]
    b.rng.shuffle(panel)
    return _submit(b, "copy_text", "Copy the code into Copy, then submit.", "Copy", panel, [("Copy", value)])


def set_slider(b: Builder) -> Task:
    """Set a slider, submit."""
    options = ("0", "20", "40", "60", "80", "100")
    name, value = b.one(["Volume", "Speed", "Size", "Heat"]), b.one(options[1:])
    text = f"Select {name} {value}, then submit."
    return _submit(b, "set_slider", text, "Slider", [Part("slider", name, options)], [(name, value)])


def add_numbers(b: Builder) -> Task:
    """Add two numbers, submit."""
    x, y = b.rng.randint(1, 9), b.rng.randint(1, 9)
    parts = [Part("text", f"{x} plus {y}"), Part("field", "Sum")]
    return _submit(b, "add_numbers", "Solve the problem, then submit.", "Sum", parts, [("Sum", str(x + y))])


def focus_text(b: Builder) -> Task:
    """Click into a field."""
    names = b.pick(b.words.TABS, 3)
    name = b.one(names)
    panel = Panel("Fields", tuple(Part("spot", n) for n in names))
    aim = Aim(PAGE, press=f"field.{name}", want=0)
    return _task(b, "focus_text", f"Focus the field {name}.", panel, name, aim)


def click_tab(b: Builder) -> Task:
    """A link in one of three tabs."""
    tabs = b.pick(b.words.TABS, 3)
    tab = b.one(tabs)
    links = b.pick(b.words.CLUBS, 6)
    parts = tuple(Part("link", name, tab=tabs[i % 3]) for i, name in enumerate(links))
    name = b.one([p.name for p in parts if p.tab == tab])
    text = f"Click the link {name} in the tab {tab}."
    path = PAGE if tab == tabs[0] else ("page", tab)
    return _task(b, "click_tab", text, Panel("Tabs", parts, tuple(tabs)), name, Aim(path, press=f"end.{name}", want=0))


def expand_section(b: Builder) -> Task:
    """A link in a section that has to be expanded."""
    sections = b.pick(b.words.TABS, 3)
    links = b.pick(b.words.CLUBS, 6)
    parts = tuple(Part("link", name, section=sections[i % 3]) for i, name in enumerate(links))
    chosen = b.one(links)
    section = next(p.section for p in parts if p.name == chosen)
    aim = Aim(PAGE, ((f"section.{section}", "on"),), f"end.{chosen}", 0)
    text = f"Expand {section} and click the link {chosen}."
    return _task(b, "expand_section", text, Panel("Sections", parts, sections=tuple(sections)), chosen, aim)


def post_button(b: Builder) -> Task:
    """One of the buttons at somebody's post."""
    people = b.pick(b.words.FIRST, 3)
    acts = b.pick(["Like", "Share", "Reply", "Save", "Hide", "Report"], 2)
    person, act = b.one(people), b.one(acts)
    panel = Panel("Posts", tuple(Part("post", p, tuple(acts)) for p in people))
    result = f"{act} {person}"
    text = f"Click {act} at the post of {person}."
    return _task(b, "post_button", text, panel, result, Aim(PAGE, press=f"end.{result}", want=0))


def search_open(b: Builder) -> Task:
    """Search, then open one of the results."""
    kind = b.one(b.words.COLOURS)
    goods = b.pick([g for goods in b.words.GOODS.values() for g in goods], 3)
    names = [f"{kind} {good}" for good in goods]
    name = b.one(names)
    panel = Panel("Search", (Part("search", "Search", tuple(names)),))
    aim = Aim(PAGE, (("field.Search", kind),), f"end.{name}", 0)
    return _task(b, "search_open", f"Search for {kind} and click {name}.", panel, name, aim)


def use_autocomplete(b: Builder) -> Task:
    """Type the beginning, take an offer, submit."""
    letter = b.one([c for c in "abcdefghijklmnoprstw" if sum(w[0] == c for w in words.LOGINS + words.SECRETS) >= 3])
    names = b.pick([w for w in words.LOGINS + words.SECRETS if w[0] == letter], 3)
    name = b.one(names)
    options = tuple(f"{n} {b.one(b.words.CLUBS)}" for n in names)
    taken = next(o for o in options if o.split()[0] == name)
    start = name[:2]
    panel = Panel("Find", (Part("suggest", "Name", options), SUBMIT))
    aim = Aim(PAGE, (("field.Name", Offer(start, taken)),), "submit", 0)
    text = f"Type {start}, take the offer that ends with {taken.split()[1]}, then submit."
    return _task(b, "use_autocomplete", text, panel, submitted([("Name", taken)]), aim)


def read_table(b: Builder) -> Task:
    """Answer with an entry of a table."""
    people, cities = b.pick(b.words.FIRST, 4), b.pick(b.words.CITIES, 4)
    person = b.one(people)
    parts = tuple(Part("text", f"{p}: {c}") for p, c in zip(people, cities, strict=True))
    task = _task(b, "read_table", f"Answer with the city of {person}.", Panel("Table", parts), "", Aim(PAGE))
    return task._replace(goal=Goal(task.goal.start, (), cities[people.index(person)]))


TEMPLATES = (
    *(click_button, click_link, click_dialog, click_checkboxes, click_option, choose_list, choose_date, enter_text),
    *(login_user, fill_form, copy_text, set_slider, add_numbers, focus_text, click_tab, expand_section, post_button),
    *(search_open, use_autocomplete, read_table),
)
