"""Calendar: an agenda, events to add, change and delete, conflicts."""

from __future__ import annotations

from functools import partial

from agentrl.envs.gui.data import add, drop, put, where
from agentrl.envs.gui.parts import Page, button, choice, field, link, typed, words
from agentrl.envs.gui.state import State, ask, offer_undo, store

TABLE = "events"


def view(state: State) -> Page:
    """``calendar``, ``calendar/ID``, ``calendar/new``."""
    last = state.path[-1]
    if last == "new":
        return _form(state, None)
    return _form(state, int(last)) if last.isdigit() else _agenda(state)


def _agenda(state: State) -> Page:
    world = state.world
    day = typed(state, "Day", "all")
    events = sorted(
        state.data[TABLE].items(), key=lambda e: (world.days.index(e[1]["day"]), world.times.index(e[1]["time"]), e[0])
    )
    items = [
        link(f"{e['day']} {e['time']}: {e['title']}", ("calendar", str(id)))
        for id, e in events
        if day in ("all", e["day"])
    ]
    top = [choice(state, "Day", ("all", *world.days), "all")] if world.rich else []
    bottom = [link("New event", ("calendar", "new"), role="button")]
    return Page("Calendar", items or [words("No events.")], top, bottom)


def _form(state: State, id: int | None) -> Page:
    e = {"title": "", "day": "", "time": ""} if id is None else state.data[TABLE][id]
    title, day, time = typed(state, "Title", e["title"]), typed(state, "Day", e["day"]), typed(state, "Time", e["time"])
    items = [
        field(state, "Title", e["title"], required=True),
        choice(state, "Day", state.world.days, e["day"]),
        choice(state, "Time", state.world.times, e["time"]),
    ]
    save = partial(_save, id=id, title=title, day=day, time=time)
    bottom = [button("Save", "calendar.save", save, bool(title and day and time))]
    if id is not None:
        bottom.append(button("Delete", "calendar.delete", partial(_delete, id=id)))
    return Page("Calendar: new event" if id is None else "Calendar: event", items, bottom=bottom)


def _save(state: State, id: int | None, title: str, day: str, time: str) -> State:
    keep = partial(_keep, id=id, title=title, day=day, time=time)
    taken = next((e["title"] for other, e in where(state.data, TABLE, day=day, time=time) if other != id), None)
    if taken is not None:
        return ask(state, "Conflict", f"{taken} is on {day} at {time}.", "Save anyway", keep)
    return keep(state)


def _keep(state: State, id: int | None, title: str, day: str, time: str) -> State:
    if id is None:
        data = add(state.data, TABLE, title=title, day=day, time=time)
    else:
        data = put(state.data, TABLE, id, title=title, day=day, time=time)
    return store(state, data, "Event saved.", ("calendar",))


def _delete(state: State, id: int) -> State:
    return offer_undo(state, store(state, drop(state.data, TABLE, id), "Event deleted.", ("calendar",)))
