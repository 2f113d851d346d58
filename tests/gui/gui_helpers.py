"""What several tests of the simulator share."""

from __future__ import annotations

from agentrl.envs.gui.actions import Action, parse, write
from agentrl.envs.gui.expert import oracle
from agentrl.envs.gui.levels import LEVELS
from agentrl.envs.gui.machine import Machine, Outcome
from agentrl.envs.gui.tasks.task import Task
from agentrl.envs.gui.tasks.templates import GROUPS, draw
from agentrl.envs.gui.widgets import Widget

PAIRS = [(level, name) for level, row in LEVELS.items() for group, _ in row.groups for name in GROUPS[group]]
"""Every level with every template that it draws."""


def started(name: str, seed: int = 0, level: int = 1) -> tuple[Task, Machine]:
    """A task of a template, and the device to do it on."""
    task = draw(seed, LEVELS[level], [(name, 1)], "all")
    return task, Machine(task.state, task.goal)


def act(machine: Machine, said: str) -> Outcome:
    """Carry out one line."""
    return machine.act(parse(said))


def ok(machine: Machine, said: str) -> str:
    """Carry out one line that has to be possible; what was answered."""
    outcome = act(machine, said)
    assert outcome.valid, outcome.note
    return outcome.note


def named(machine: Machine, name: str) -> Widget:
    """The numbered widget on the screen whose name begins so."""
    return next(w for w in machine.screen().numbered.values() if w.name.startswith(name))


def click(machine: Machine, name: str) -> str:
    """Click the widget whose name begins so."""
    return ok(machine, f"click {named(machine, name).id}")


def solve(task: Task, machine: Machine, most: int = 60) -> list[str]:
    """Let the expert do the rest; what it did."""
    done: list[str] = []
    while not machine.reached() and not machine.state.over and len(done) < most:
        action = oracle(task, machine.state)
        assert isinstance(action, Action)
        said = write(action)
        outcome = act(machine, said)
        done.append(said)
        assert outcome.valid, (task.text, done, outcome.note)
    return done
