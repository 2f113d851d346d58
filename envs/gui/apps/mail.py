"""Mail: folders, reading, replying, forwarding, composing, flags."""

from __future__ import annotations

from functools import partial

from agentrl.envs.gui.data import Row, add, put
from agentrl.envs.gui.parts import Page, button, field, link, row, typed, words
from agentrl.envs.gui.state import Path, State, go, offer_undo, store
from agentrl.envs.gui.widgets import Widget

FOLDERS = ("Inbox", "Archive", "Sent", "Trash")
TABLE = "mail"


def view(state: State) -> Page:
    """``mail``, ``mail/FOLDER``, ``.../ID``, ``.../ID/reply``, ``.../ID/forward``, ``mail/compose``."""
    last = state.path[-1]
    if last == "compose":
        return _compose(state)
    if last in ("reply", "forward"):
        return _reply(state, int(state.path[-2])) if last == "reply" else _forward(state, int(state.path[-2]))
    return _message(state, int(last)) if last.isdigit() else _folder(state)


def _folder(state: State) -> Page:
    folder = state.path[1] if len(state.path) > 1 else "Inbox"
    sought = typed(state, "Search").casefold()
    found = [
        _line(state.path, id, m)
        for id, m in state.data[TABLE].items()
        if m["folder"] == folder and sought in f"{m['sender']} {m['subject']}".casefold()
    ]
    found.reverse()
    top: list[Widget] = []
    if state.world.rich:
        tabs = (link(f, ("mail",) if f == "Inbox" else ("mail", f), role="tab") for f in FOLDERS if f != folder)
        top = [row(*tabs), field(state, "Search")]
    bottom = [link("Compose", ("mail", "compose"), role="button")]
    return Page(f"Mail: {folder}", found or [words("No mail.")], top, bottom)


def _line(path: Path, id: int, m: Row) -> Widget:
    states = (*(["unread"] if m["unread"] else []), *(["flagged"] if m["flagged"] else []))
    who = f"To {m['to']}" if m["folder"] == "Sent" else m["sender"]
    made = link(f"{who}: {m['subject']}", (*path, str(id)), states)
    return made._replace(do=partial(_read, id=id, path=(*path, str(id))))


def _read(state: State, id: int, path: Path) -> State:
    opened = go(state, path)
    return opened._replace(data=put(state.data, TABLE, id, unread=False))


def _message(state: State, id: int) -> Page:
    m, here = state.data[TABLE][id], state.path
    folders = tuple(f for f in FOLDERS if f not in ("Sent", m["folder"]))
    lines = [words(f"From {m['sender']}: {m['subject']}"), words(m["body"])]
    acts = [
        row(link("Reply", (*here, "reply"), role="button"), link("Forward", (*here, "forward"), role="button")),
        row(
            button("Delete", "mail.delete", partial(_move, to="Trash", id=id)),
            button("Remove flag" if m["flagged"] else "Flag", "mail.flag", partial(_flag, id=id)),
        ),
        Widget("combobox", "Move to", options=folders, key="mail.move", do=partial(_move, id=id)),
    ]
    return Page("Mail: message", lines, bottom=acts)


def _move(state: State, to: str, id: int) -> State:
    data = put(state.data, TABLE, id, folder=to)
    notice = "Mail deleted." if to == "Trash" else f"Moved to {to}."
    return offer_undo(state, store(state, data, notice, state.path[:-1]))


def _flag(state: State, id: int) -> State:
    flagged = not state.data[TABLE][id]["flagged"]
    return store(state, put(state.data, TABLE, id, flagged=flagged), "Flag set." if flagged else "Flag removed.")


def _send(state: State, to: str, subject: str, body: str, path: Path) -> State:
    if not to:
        return state._replace(notice="Say whom to send it to.")
    data = add(
        state.data, TABLE, folder="Sent", sender="me", to=to, subject=subject, body=body, unread=False, flagged=False
    )
    return store(state, data, "Mail sent.", path)


def _compose(state: State) -> Page:
    to = typed(state, "To")
    send = partial(_send, to=to, subject=typed(state, "Subject"), body=typed(state, "Message"), path=("mail",))
    items = [field(state, "To", required=True), field(state, "Subject"), field(state, "Message")]
    return Page("Mail: new", items, bottom=[button("Send", "mail.send", send, bool(to))], submit=send)


def _reply(state: State, id: int) -> Page:
    m, body = state.data[TABLE][id], typed(state, "Message")
    send = partial(_send, to=m["sender"], subject=f"Re: {m['subject']}", body=body, path=state.path[:-1])
    items = [words(f"To {m['sender']}"), field(state, "Message", required=True)]
    return Page("Mail: reply", items, bottom=[button("Send", "mail.send", send, bool(body))])


def _forward(state: State, id: int) -> Page:
    m, to = state.data[TABLE][id], typed(state, "To")
    send = partial(_send, to=to, subject=f"Fwd: {m['subject']}", body=m["body"], path=state.path[:-1])
    items = [words(m["body"]), field(state, "To", required=True)]
    return Page("Mail: forward", items, bottom=[button("Send", "mail.send", send, bool(to))], submit=send)
