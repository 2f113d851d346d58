"""Experts: one that knows what to do and where, and a fallible one for demonstrations.

Both read the state and the task's aims (`agentrl.envs.gui.tasks.task`), so they can take over after anybody's moves:
the first aim that is not reached is headed for, page by page, field by field. What a task does not say but the device
does (a phone number in a mail) has to be looked at first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentrl.envs.gui.actions import Action, Spot
from agentrl.envs.gui.apps import APPS, view
from agentrl.envs.gui.machine import render
from agentrl.envs.gui.parts import to
from agentrl.envs.gui.state import HOME, Path, State
from agentrl.envs.gui.tasks.task import Aim, Offer, Task
from agentrl.envs.gui.widgets import CLICKABLE, Screen, Widget

FIRST = 0.7
"""Of the wrong elements and options, how often it is the first."""


@dataclass(frozen=True)
class Slips:
    """How often the fallible demonstrator errs, per action."""

    click: float = 0.2
    """It clicks something else of the same kind."""
    text: float = 0.25
    """It types, selects or answers something else."""
    skip: float = 0.15
    """It leaves a field as it is, or a page unread."""
    lost: float = 0.02
    """It goes back, scrolls or waits without need."""
    blind: float = 0.9
    """It does not see what it did wrong: that it is on a page of another name, that a field holds something else."""


def oracle(task: Task, state: State) -> Action | None:
    """What to do now; None where it is over."""
    if state.over:
        return None
    screen = render(state)
    if (closing := _dialog(task, state, screen)) is not None:
        return closing
    if state.tick < state.ready:
        return Action("wait")
    met, others = task.goal.judge(state)
    if others and state.undo is not None and (undo := _seen(screen, "undo")) is not None:
        return _click(undo)
    for aim in task.aims:
        if not _done(aim, state, met):
            return _towards(aim, state, screen)
    return Action("answer", text=task.goal.answer or "done")


def fallible(task: Task, state: State, rng: np.random.Generator, slips: Slips) -> Action | None:
    """As `oracle`, with slips; what they lead to is not taken back unless that is easy."""
    if rng.random() < slips.blind:
        task, state = _contented(task, state), state._replace(undo=None)
    if rng.random() < slips.skip:
        task = _shortened(task, state, rng)
    action = oracle(task, state)
    if action is None:
        return None
    if rng.random() < slips.lost:
        return Action(("back", "wait", "scroll")[int(rng.integers(3))], text="down")
    if action.kind == "click" and rng.random() < slips.click:
        return _elsewhere(action, render(state), rng)
    if action.kind in ("type", "select", "answer") and rng.random() < slips.text:
        return _otherwise(action, render(state), rng)
    return action


def _done(aim: Aim, state: State, met: Sequence[bool]) -> bool:
    if aim.done is not None:
        return aim.done(state)
    return met[aim.want] if aim.want >= 0 else aim.path in state.seen


def _dialog(task: Task, state: State, screen: Screen) -> Action | None:
    """What to say to an open dialog: yes to what was meant, what does no harm to all else."""
    if state.dialog is None:
        return None
    keys = {w.key: w for w in screen.numbered.values()}
    meant = next((keys[aim.press] for aim in task.aims if aim.press in keys), None)
    if meant is not None:
        return _click(meant)
    if "dialog.yes" in keys:
        met, _ = task.goal.judge(state)
        aim = next((aim for aim in task.aims if not _done(aim, state, met)), None)
        return _click(keys["dialog.yes" if aim is not None and _filled(aim, state) else "dialog.no"])
    return _click(keys[state.dialog.buttons[-1][1]])


def _filled(aim: Aim, state: State) -> bool:
    """Whether one is where an aim leads, and has filled what it fills."""
    page = render(state._replace(dialog=None, world=state.world._replace(rows=10**6)))
    shown = {w.key: w for w in page.numbered.values()}
    return state.path == aim.path and all(key in shown and _holds(shown[key], v) for key, v in aim.fields)


def _towards(aim: Aim, state: State, screen: Screen) -> Action:
    """The next action to an aim."""
    if state.path != aim.path:
        return _navigate(aim.path, state, screen)
    for key, value in aim.fields:
        widget = _seen(screen, key)
        if widget is None:
            return _find(key, state) or Action("back")
        if not _holds(widget, value):
            return _fill(widget, value, screen)
    if not aim.press:
        return Action("wait")
    pressed = _seen(screen, aim.press)
    return _click(pressed) if pressed is not None else _find(aim.press, state) or Action("back")


def _navigate(path: Path, state: State, screen: Screen) -> Action:
    """The next action to a page: the link that leads nearest, else towards it, else back, else to its app."""
    here = state.path
    common = next((i for i, (a, b) in enumerate(zip(here, path, strict=False)) if a != b), min(len(here), len(path)))
    for n in range(len(path), common, -1):
        widget = _seen(screen, to(path[:n]))
        if widget is not None and "selected" not in widget.states and here != HOME:
            return _click(widget)
    if common == len(here) and (found := _find(to(path[: common + 1]), state)) is not None:
        return found
    if common and common == len(here) - 1:
        return Action("back")
    return Action("open", text=APPS[path[0]].name)


def _find(key: str, state: State) -> Action | None:
    """How to scroll to a widget that is not shown; None where the page has none, and a search is not in the way."""
    items = view(state).items
    place = next((i for i, item in enumerate(items) if key in _keys(item)), None)
    if place is None:
        return None
    return Action("scroll", text="down" if place >= min(state.scroll, len(items)) else "up")


def _keys(widget: Widget) -> list[str]:
    return [widget.key, *(key for child in widget.children for key in _keys(child))]


def _holds(widget: Widget, value: str | Offer) -> bool:
    if isinstance(value, Offer):
        return widget.value == value.taken
    if widget.role in CLICKABLE:
        return ("checked" in widget.states or "expanded" in widget.states) == (value == "on")
    return widget.value == value


def _fill(widget: Widget, value: str | Offer, screen: Screen) -> Action:
    if isinstance(value, Offer):
        offer = _seen(screen, f"offer.{value.taken}")
        return _click(offer) if offer is not None else Action("type", Spot(widget.id), value.typed)
    if widget.role in CLICKABLE:
        return _click(widget)
    return Action("type" if widget.role == "textbox" else "select", Spot(widget.id), value)


def _seen(screen: Screen, key: str) -> Widget | None:
    return next((w for w in screen.numbered.values() if w.key == key), None)


def _click(widget: Widget) -> Action:
    return Action("click", Spot(widget.id))


def _contented(task: Task, state: State) -> Task:
    """The task as one takes it who is content with the page and the fields as they are."""
    met, _ = task.goal.judge(state)
    at = next((i for i, aim in enumerate(task.aims) if not _done(aim, state, met)), None)
    if at is None:
        return task
    aim = task.aims[at]
    path = state.path if _alike(state.path, aim.path) else aim.path
    fields = tuple(f for f in aim.fields if isinstance(f[1], Offer) or not _touched(f[0], state))
    return task._replace(aims=(*task.aims[:at], aim._replace(path=path, fields=fields), *task.aims[at + 1 :]))


def _alike(here: Path, path: Path) -> bool:
    """Whether two pages differ in what they show alone, as those of two mails do."""
    pairs = list(zip(here, path, strict=False))
    return len(here) == len(path) and here[0] == path[0] and all(a == b or a.isdigit() == b.isdigit() for a, b in pairs)


def _touched(key: str, state: State) -> bool:
    """Whether a field was filled since the page was opened; of what has options in the page, whether one was chosen."""
    kind, _, name = key.partition(".")
    return name.split(".")[0] in state.draft if kind in ("field", "radio") else False


def _shortened(task: Task, state: State, rng: np.random.Generator) -> Task:
    """The task with something left out: a page that is to be read, or a field that is to be filled."""
    met, _ = task.goal.judge(state)
    at = next((i for i, aim in enumerate(task.aims) if not _done(aim, state, met)), None)
    if at is None:
        return task
    aim, rest = task.aims[at], (*task.aims[:at], *task.aims[at + 1 :])
    if aim.want < 0 and aim.done is None:
        return task._replace(aims=rest) if rest else task
    if len(aim.fields) < 2:
        return task
    left = int(rng.integers(len(aim.fields)))
    shorter = aim._replace(fields=aim.fields[:left] + aim.fields[left + 1 :])
    return task._replace(aims=(*task.aims[:at], shorter, *task.aims[at + 1 :]))


def _elsewhere(action: Action, screen: Screen, rng: np.random.Generator) -> Action:
    """Another widget of the same kind, mostly the first."""
    meant = screen.numbered[action.spot.id or 0]
    like = [w.id for w in screen.numbered.values() if w.role == meant.role and w.id != meant.id]
    like = like or [w.id for w in screen.numbered.values() if w.role in CLICKABLE and w.id != meant.id]
    if not like:
        return action
    return Action("click", Spot(like[0] if rng.random() < FIRST else int(rng.choice(like))))


def _otherwise(action: Action, screen: Screen, rng: np.random.Generator) -> Action:
    """Another field or option, mostly the first; or as an answer a word of the screen."""
    meant = screen.find(action.spot.id or 0)
    if action.kind == "type":
        fields = [w for w in screen.numbered.values() if w.role == "textbox" and w.id != action.spot.id]
        return Action("type", Spot(fields[0].id), action.text) if fields else action
    options = [o for o in (meant.options if meant else ()) if o != action.text]
    if action.kind == "select" and options:
        chosen = options[0] if rng.random() < FIRST else options[int(rng.integers(len(options)))]
        return Action("select", action.spot, chosen)
    names = [word for w in screen.root.children for word in w.name.replace(":", " ").split()]
    return Action(action.kind, action.spot, names[int(rng.integers(len(names)))] if names else action.text)


def remember(task: Task, state: State) -> str:
    """What the pages say that had to be read, as far as they were."""
    read = (aim.path for aim in task.aims if aim.want < 0 and aim.done is None and aim.path in state.seen)
    told = []
    for path in read:
        page = view(state._replace(path=path, draft={}, dialog=None))
        told += [w.name for w in page.items]
    return " ".join(told)
