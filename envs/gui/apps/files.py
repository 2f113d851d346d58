"""Files: folders, reading, renaming, moving, a trash to restore from."""

from __future__ import annotations

from functools import partial

from agentrl.envs.gui.data import drop, put, where
from agentrl.envs.gui.parts import Page, button, field, link, typed, words
from agentrl.envs.gui.state import State, ask, offer_undo, store
from agentrl.envs.gui.widgets import Widget

TABLE = "files"
TRASH = "Trash"


def folders(state: State) -> list[str]:
    """All folders but the trash, which exist as long as the device does."""
    return sorted(f["name"] for f in state.data["folders"].values())


def view(state: State) -> Page:
    """``files``, ``files/FOLDER``, ``files/FOLDER/ID``, ``files/FOLDER/ID/rename``."""
    if len(state.path) == 1:
        return Page("Files", [link(name, ("files", name)) for name in (*folders(state), TRASH)])
    if len(state.path) == 2:
        folder = state.path[1]
        found = sorted(where(state.data, TABLE, folder=folder), key=lambda f: (f[1]["name"], f[0]))
        items = [link(f["name"], (*state.path, str(id))) for id, f in found]
        return Page(f"Files: {folder}", items or [words("Empty.")])
    return _rename(state, int(state.path[2])) if state.path[-1] == "rename" else _file(state, int(state.path[2]))


def _file(state: State, id: int) -> Page:
    f = state.data[TABLE][id]
    items = [words(f["name"]), words(f["text"])]
    if f["folder"] == TRASH:
        purge = partial(_ask_purge, id=id, name=f["name"])
        acts = [
            button("Restore", "files.restore", partial(_move, to=f["home"], id=id)),
            button("Delete forever", "files.purge", purge),
        ]
        return Page("File in Trash", items, bottom=acts)
    others = tuple(name for name in folders(state) if name != f["folder"])
    acts = [
        link("Rename", (*state.path, "rename"), role="button"),
        button("Delete", "files.delete", partial(_move, to=TRASH, id=id)),
        Widget("combobox", "Move to", options=others, key="files.move", do=partial(_move, id=id)),
    ]
    return Page("File", items, bottom=acts)


def _rename(state: State, id: int) -> Page:
    name = typed(state, "Name", state.data[TABLE][id]["name"])
    save = partial(_save_name, id=id, name=name)
    items = [field(state, "Name", state.data[TABLE][id]["name"], required=True)]
    return Page("Rename file", items, bottom=[button("Save", "files.save", save, bool(name))], submit=save)


def _save_name(state: State, id: int, name: str) -> State:
    folder = state.data[TABLE][id]["folder"]
    if not name or any(other != id for other, _ in where(state.data, TABLE, folder=folder, name=name)):
        return state._replace(notice="This name is taken." if name else "A file needs a name.")
    return store(state, put(state.data, TABLE, id, name=name), "File renamed.", state.path[:-1])


def _move(state: State, to: str, id: int) -> State:
    f = state.data[TABLE][id]
    data = put(state.data, TABLE, id, folder=to, home=f["folder"] if to == TRASH else to)
    return offer_undo(state, store(state, data, f"Moved to {to}.", state.path[:2]))


def _ask_purge(state: State, id: int, name: str) -> State:
    return ask(state, "Delete forever", f"{name} cannot be restored then.", "Delete", partial(_purge, id=id))


def _purge(state: State, id: int) -> State:
    return store(state, drop(state.data, TABLE, id), "File deleted.", state.path[:2])
