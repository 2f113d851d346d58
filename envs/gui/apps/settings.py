"""Settings: sections with switches, choices and sliders, which act at once."""

from __future__ import annotations

from functools import partial

from agentrl.envs.gui.data import Row, put, where
from agentrl.envs.gui.parts import Page, link, switch
from agentrl.envs.gui.state import State, store
from agentrl.envs.gui.widgets import Widget

TABLE = "settings"


def view(state: State) -> Page:
    """``settings``, ``settings/SECTION``."""
    if len(state.path) == 1:
        sections = dict.fromkeys(s["section"] for s in state.data[TABLE].values())
        return Page("Settings", [link(name, ("settings", name)) for name in sections])
    section = state.path[1]
    items = [_one(id, s) for id, s in where(state.data, TABLE, section=section)]
    return Page(f"Settings: {section}", items)


def _one(id: int, s: Row) -> Widget:
    key = f"setting.{id}"
    if not s["options"]:
        on = s["value"] == "on"
        return switch(s["name"], on, key, partial(_set, value="off" if on else "on", id=id))
    role = "slider" if s["options"][0].isdigit() else "combobox"
    return Widget(role, s["name"], s["value"], options=s["options"], key=key, do=partial(_set, id=id))


def _set(state: State, value: str, id: int) -> State:
    s = state.data[TABLE][id]
    return store(state, put(state.data, TABLE, id, value=value), f"{s['name']}: {value}.")
