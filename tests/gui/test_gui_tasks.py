"""Tasks: experts win them, goals look at everything, splits have nothing in common."""

from __future__ import annotations

import pytest
from gui_helpers import PAIRS, act, click, named, ok, solve, started

from agentrl.envs.gui.data import add, difference, drop, put, where
from agentrl.envs.gui.expert import oracle
from agentrl.envs.gui.goals import Goal, Want
from agentrl.envs.gui.levels import LEVELS
from agentrl.envs.gui.state import State, World
from agentrl.envs.gui.tasks.templates import ALIKE, ALL, GROUPS, chosen, draw, held_out
from agentrl.envs.gui.tasks.wordings import WORDINGS
from agentrl.errors import ConfigError, UnknownName


@pytest.mark.parametrize(("level", "name"), PAIRS)
def test_the_expert_does_every_task_without_a_mistake(level: int, name: str) -> None:
    for seed in range(5):
        task, machine = started(name, seed, level)
        assert not machine.reached()
        done = solve(task, machine, LEVELS[level].max_turns)
        assert machine.reached(), (task.text, done)


@pytest.mark.slow
@pytest.mark.parametrize(("level", "name"), PAIRS)
def test_the_expert_does_hundreds_of_each(level: int, name: str) -> None:
    for seed in range(300):
        task, machine = started(name, seed, level)
        solve(task, machine, LEVELS[level].max_turns)
        assert machine.reached(), (seed, task.text)


@pytest.mark.parametrize("name", [name for name in ALL if name not in GROUPS["small"]])
def test_a_goal_is_not_reached_where_something_else_changed_too(name: str) -> None:
    """Each kind of damage, done in the beginning: the expert's work alone no longer suffices."""
    damages = (
        lambda data: put(data, "mail", max(data["mail"]), folder="Archive"),
        lambda data: add(data, "contacts", Name="Eve", Phone="1", Email=""),
        lambda data: drop(data, "notes", max(data["notes"])),
        lambda data: put(data, "events", max(data["events"]), title="Nothing"),
        lambda data: add(data, "orders", items="1 red hat", delivery="express"),
        lambda data: add(data, "system", agreed="cookies"),
    )
    for seed, damage in enumerate(damages):
        task, machine = started(name, seed, level=2)
        if damage(task.state.data)["notes"] is not task.state.data["notes"] and "note" in name:
            continue  # the note may be the one that the task is about
        machine.state = machine.state._replace(data=damage(machine.state.data))
        for _ in range(30):
            action = oracle(task, machine.state)
            if action is None or machine.state.over:
                break
            machine.act(action)
        assert not machine.reached(), (seed, task.text)
        assert machine.goal is not None
        assert machine.goal.judge(machine.state)[1]


def test_deleting_a_mail_too_many_is_not_what_was_asked_for_until_it_is_taken_back() -> None:
    task, machine = started("mail_delete", 1)
    assert task.text.startswith("Delete the mail")
    right = f"{task.text.split()[-1].rstrip('.')}: {task.text.split()[3]}"
    wrong = next(w.name for w in machine.screen().numbered.values() if w.role == "link" and w.name != right)
    click(machine, wrong)
    click(machine, "Delete")
    click(machine, right)
    click(machine, "Delete")
    assert machine.goal is not None
    assert machine.goal.judge(machine.state)[0] == [True]
    assert not machine.reached()

    _, machine = started("mail_delete", 1)
    click(machine, wrong)
    click(machine, "Delete")
    click(machine, "Undo")
    ok(machine, "back")
    click(machine, right)
    click(machine, "Delete")
    assert machine.reached()


def test_a_small_page_is_over_with_its_first_result() -> None:
    task, machine = started("click_button", 0)
    right = task.text.removeprefix("Click the button ").rstrip(".")
    wrong = next(w for w in machine.screen().numbered.values() if w.name != right)
    ok(machine, f"click {wrong.id}")
    assert machine.state.over and not machine.reached()
    assert act(machine, f"click {wrong.id}").note == "It is over."


def test_more_than_was_asked_for_is_not_submitted_right() -> None:
    task, machine = started("click_checkboxes", 0)
    for w in machine.screen().numbered.values():
        if w.role == "checkbox":
            ok(machine, f"click {w.id}")
    click(machine, "Submit")
    assert machine.state.over and not machine.reached(), task.text


def test_what_can_be_done_in_two_ways_is_done_either_way() -> None:
    task, machine = started("mail_archive", 0, level=2)
    sender_and_subject = task.text.removeprefix("Move the mail ").removesuffix(" to Archive.")
    subject, _, sender = sender_and_subject.partition(" from ")
    ok(machine, "open Mail")
    ok(machine, f"type {named(machine, 'Search').id} {subject}")
    click(machine, f"{sender}: {subject}")
    ok(machine, f"select {named(machine, 'Move to').id} archive")
    assert machine.reached()


def goal(*wants: Want, answer: str | None = None) -> Goal:
    return Goal({"a": {1: {"x": 1, "y": "b"}, 2: {"x": 2, "y": "c"}}, "mail": {1: {"unread": True}}}, wants, answer)


def judged(aim: Goal, data: object, answer: str | None = None) -> bool:
    return aim.reached(State(data, World(()), answer=answer))  # type: ignore[arg-type]


def test_goals_compare_rows() -> None:
    changed = goal(Want("changed", "a", 1, {"y": "New Text"}))
    data = changed.start
    assert not judged(changed, data)
    assert judged(changed, put(data, "a", 1, y="new  text."))  # case, spaces and a final stop do not count
    assert not judged(changed, put(data, "a", 2, y="New Text"))
    assert not judged(changed, put(data, "a", 1, y="New Text", x=5))
    assert not judged(changed, drop(put(data, "a", 1, y="New Text"), "a", 2))
    assert judged(changed, put(put(data, "a", 1, y="New Text"), "mail", 1, unread=False))  # reading changes nothing
    added = goal(Want("added", "a", 0, {"x": 3}))
    assert judged(added, add(data, "a", x=3, y="whatever"))
    assert not judged(added, add(add(data, "a", x=3), "a", x=3))  # once too often
    assert not judged(added, data)
    removed = goal(Want("removed", "a", 2), Want("removed", "a", 1))
    assert not judged(removed, drop(data, "a", 1))
    assert judged(removed, drop(drop(data, "a", 1), "a", 2))
    asked = goal(answer="3pm")
    assert judged(asked, data, " 3PM. ")
    assert not judged(asked, data, "3 or 4pm")
    assert not judged(asked, data)
    assert not judged(asked, drop(data, "a", 1), "3pm")


def test_differences_are_found_and_tables_shared() -> None:
    data = goal().start
    assert difference(data, data) == []
    assert difference(data, put(data, "a", 1, x=1)) == []
    after = put(add(drop(data, "a", 1), "b", z=0), "a", 2, x=0)
    assert {(c.what, c.table, c.id) for c in difference(data, after)} == {
        ("changed", "a", 2),
        ("removed", "a", 1),
        ("added", "b", 1),
    }
    assert after["mail"] is data["mail"]
    assert [id for id, _ in where(data, "a", y="c")] == [2]


@pytest.mark.parametrize("level", LEVELS)
def test_splits_have_no_task_in_common_and_cover_the_templates(level: int) -> None:
    row = LEVELS[level]
    names = chosen("all", row)
    tasks = {split: [draw(seed, row, names, split) for seed in range(150)] for split in ("train", "eval")}
    assert all(held_out(task) == (split == "eval") for split in tasks for task in tasks[split])
    texts = {split: {t.text for t in tasks[split] if t.kind not in ALIKE} for split in tasks}
    assert not texts["train"] & texts["eval"]
    kinds = {split: {task.kind for task in tasks[split]} for split in tasks}
    assert len(kinds["eval"]) >= 0.6 * len(names)


def test_the_same_seed_is_the_same_task_and_another_another() -> None:
    row = LEVELS[3]
    names = chosen("all", row)
    one, two, three = draw(7, row, names, "train"), draw(7, row, names, "train"), draw(8, row, names, "train")
    assert one.text == two.text and one.state.data == two.state.data
    assert one.text != three.text


def test_tasks_are_chosen_by_name_and_by_group() -> None:
    row = LEVELS[1]
    assert chosen("mail_reply", row) == [("mail_reply", 1)]
    assert {n for n, _ in chosen("small, mail_reply", row)} == {*GROUPS["small"], "mail_reply"}
    with pytest.raises(UnknownName, match="Did you mean 'mail_reply'"):
        chosen("mail_replay", row)
    with pytest.raises(ConfigError, match="names no task"):
        chosen(" , ", row)


def test_there_are_many_templates_each_with_wordings() -> None:
    assert len(ALL) >= 60
    assert set(WORDINGS) == set(ALL) - set(GROUPS["small"])
    assert all(len(set(said)) == 3 for said in WORDINGS.values())


def test_pop_ups_and_slow_pages_come_at_the_high_levels_alone() -> None:
    row = LEVELS[4]
    tasks = [draw(seed, row, chosen("all", row), "train") for seed in range(40)]
    assert any(t.state.popups for t in tasks) and all(t.state.world.slow for t in tasks)
    row = LEVELS[1]
    tasks = [draw(seed, row, chosen("all", row), "train") for seed in range(40)]
    assert not any(t.state.popups or t.state.world.slow for t in tasks)
