"""Notes: lists with boxes to check."""

from __future__ import annotations

from functools import partial

from agentrl.envs.gui.data import add, drop, put, where
from agentrl.envs.gui.parts import Page, button, field, link, row, typed, words
from agentrl.envs.gui.state import State, ask, store
from agentrl.envs.gui.widgets import Widget

NOTES, ITEMS = "notes", "items"


def view(state: State) -> Page:
    """``notes``, ``notes/ID``, ``notes/new``."""
    last = state.path[-1]
    if last == "new":
        title = typed(state, "Title")
        save = partial(_save, title=title)
        save_button = button("Save", "notes.save", save, bool(title))
        return Page("New note", [field(state, "Title", required=True)], bottom=[save_button], submit=save)
    if last.isdigit():
        return _note(state, int(last))
    items = [link(n["title"], ("notes", str(id))) for id, n in state.data[NOTES].items()]
    return Page("Notes", items or [words("No notes.")], bottom=[link("New note", ("notes", "new"), role="button")])


def _note(state: State, note: int) -> Page:
    items = [
        Widget(
            "checkbox",
            i["text"],
            states=("checked",) if i["done"] else (),
            key=f"item.{id}",
            do=partial(_check, item=id, done=not i["done"]),
        )
        for id, i in where(state.data, ITEMS, note=note)
    ]
    title, new = state.data[NOTES][note]["title"], typed(state, "New item")
    more = partial(_add, note=note, text=new)
    acts = [
        row(field(state, "New item"), button("Add", "notes.add", more, bool(new))),
        button("Delete note", "notes.delete", partial(_ask_delete, note=note, title=title)),
    ]
    return Page(f"Note: {title}", items or [words("Nothing in it.")], bottom=acts, submit=more)


def _check(state: State, item: int, done: bool) -> State:
    return store(state, put(state.data, ITEMS, item, done=done))


def _add(state: State, note: int, text: str) -> State:
    if not text:
        return state._replace(notice="Say what to add.")
    added = store(state, add(state.data, ITEMS, note=note, text=text, done=False), "Added.")
    return added._replace(draft={})


def _save(state: State, title: str) -> State:
    if not title:
        return state._replace(notice="A note needs a title.")
    return store(state, add(state.data, NOTES, title=title), "Note saved.", ("notes",))


def _ask_delete(state: State, note: int, title: str) -> State:
    return ask(state, "Delete", f"Delete the note {title}?", "Delete", partial(_delete, note=note))


def _delete(state: State, note: int) -> State:
    data = drop(state.data, NOTES, note)
    for item, _ in where(state.data, ITEMS, note=note):
        data = drop(data, ITEMS, item)
    return store(state, data, "Note deleted.", ("notes",))
