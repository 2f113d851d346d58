"""Contacts: a list, cards, forms to add and change."""

from __future__ import annotations

from functools import partial

from agentrl.envs.gui.data import add, drop, put
from agentrl.envs.gui.parts import Page, button, field, link, row, typed, words
from agentrl.envs.gui.state import State, ask, store

TABLE = "contacts"
FIELDS = ("Name", "Phone", "Email")


def view(state: State) -> Page:
    """``contacts``, ``contacts/ID``, ``contacts/ID/edit``, ``contacts/new``."""
    last = state.path[-1]
    if last in ("new", "edit"):
        return _form(state, None if last == "new" else int(state.path[1]))
    return _card(state, int(last)) if last.isdigit() else _list(state)


def _list(state: State) -> Page:
    sought = typed(state, "Search").casefold()
    people = sorted(state.data[TABLE].items(), key=lambda c: c[1]["Name"])
    items = [link(c["Name"], ("contacts", str(id))) for id, c in people if sought in c["Name"].casefold()]
    top = [field(state, "Search")] if state.world.rich else []
    bottom = [link("New contact", ("contacts", "new"), role="button")]
    return Page("Contacts", items or [words("No contacts.")], top, bottom)


def _card(state: State, id: int) -> Page:
    c = state.data[TABLE][id]
    remove = partial(_ask_delete, id=id, name=c["Name"])
    items = [words(c["Name"]), words(f"Phone {c['Phone'] or '-'}"), words(f"Email {c['Email'] or '-'}")]
    acts = row(
        link("Edit", (*state.path, "edit"), role="button"),
        button("Delete", "contacts.delete", remove),
    )
    return Page("Contact", items, bottom=[acts])


def _form(state: State, id: int | None) -> Page:
    c = dict.fromkeys(FIELDS, "") if id is None else state.data[TABLE][id]
    items = [field(state, name, c[name], required=name == "Name") for name in FIELDS]
    values = {name: typed(state, name, c[name]) for name in FIELDS}
    save = partial(_save, id=id, values=values)
    bottom = [button("Save", "contacts.save", save, bool(values["Name"]))]
    return Page("New contact" if id is None else "Edit contact", items, bottom=bottom, submit=save)


def _save(state: State, id: int | None, values: dict[str, str]) -> State:
    if not values["Name"]:
        return state._replace(notice="A contact needs a name.")
    if values["Email"] and "@" not in values["Email"]:
        return state._replace(notice="Email needs an @.")
    data = add(state.data, TABLE, **values) if id is None else put(state.data, TABLE, id, **values)
    return store(state, data, "Contact saved.", ("contacts",) if id is None else state.path[:-1])


def _ask_delete(state: State, id: int, name: str) -> State:
    return ask(state, "Delete", f"Delete {name}?", "Delete", partial(_delete, id=id))


def _delete(state: State, id: int) -> State:
    return store(state, drop(state.data, TABLE, id), "Contact deleted.", ("contacts",))
