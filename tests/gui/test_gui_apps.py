"""The apps: what each page does, what it refuses, what can be taken back."""

from __future__ import annotations

import pytest
from gui_helpers import act, click, named, ok, started

from agentrl.envs.gui.apps import APPS, view
from agentrl.envs.gui.data import difference
from agentrl.envs.gui.machine import Machine
from agentrl.envs.gui.state import HOME, go
from agentrl.envs.gui.widgets import text


def device(level: int = 2) -> Machine:
    """A device with everything on it."""
    _, machine = started("mail_delete", seed=3, level=level)
    return machine


def changes(machine: Machine) -> list[tuple[str, str]]:
    assert machine.goal is not None
    return [(c.what, c.table) for c in difference(machine.goal.start, machine.state.data)]


def test_every_app_opens_by_its_icon_and_by_its_name() -> None:
    machine = device()
    for key in machine.state.world.apps[1:]:
        name = APPS[key].name
        click(machine, name)
        assert machine.state.path == (key,)
        ok(machine, "back")
        assert machine.state.path == HOME
        ok(machine, f"open {name.upper()}")
        assert machine.screen().title.startswith(name)
        ok(machine, "open Home")
    assert not changes(machine)


def test_reading_a_mail_changes_only_that_it_was_read() -> None:
    machine = device()
    ok(machine, "open Mail")
    unread = next(w for w in machine.screen().numbered.values() if "unread" in w.states)
    ok(machine, f"click {unread.id}")
    assert changes(machine) == [("changed", "mail")]
    assert machine.goal is not None
    assert machine.goal.judge(machine.state)[1] == []


def test_a_deleted_mail_lies_in_the_trash_and_undo_brings_it_back() -> None:
    machine = device()
    ok(machine, "open Mail")
    before = text(machine.screen())
    name = next(w.name for w in machine.screen().numbered.values() if w.role == "link")
    click(machine, name)
    assert click(machine, "Delete") == "Mail deleted."
    assert f'"{name}"' not in text(machine.screen())
    assert click(machine, "Undo") == "Undone."
    ok(machine, "back")
    assert text(machine.screen()) == before.replace(f'"{name}" unread', f'"{name}"')
    click(machine, name)
    click(machine, "Delete")
    click(machine, "Trash")  # another action: the offer is gone
    assert "Undo" not in text(machine.screen())
    assert f'"{name}"' in text(machine.screen())


def test_a_mail_is_sent_only_with_a_receiver() -> None:
    machine = device()
    ok(machine, "open Mail")
    click(machine, "Compose")
    send = named(machine, "Send")
    assert "disabled" in send.states
    assert "disabled" in act(machine, f"click {send.id}").note
    ok(machine, f"click {named(machine, 'Subject').id}")
    assert ok(machine, "press Enter") == "Say whom to send it to."
    ok(machine, "type 1 Anna")
    ok(machine, "type @ more")
    assert named(machine, "To").value == "more"
    assert click(machine, "Send") == "Mail sent."
    assert changes(machine) == [("added", "mail")]


def test_searching_shows_what_fits() -> None:
    machine = device()
    ok(machine, "open Contacts")
    name = next(w.name for w in machine.screen().numbered.values() if w.role == "link")
    ok(machine, f"type 1 {name.upper()}")
    assert [w.name for w in machine.screen().numbered.values() if w.role == "link"] == [name]
    ok(machine, "type 1 nobody at all")
    assert "No contacts." in text(machine.screen())


def test_an_event_at_a_taken_time_is_asked_about() -> None:
    machine = device()
    ok(machine, "open Calendar")
    day, time = named(machine, "Mon").name.split(":")[0].split()
    click(machine, "New event")
    ok(machine, "type 1 Nap")
    ok(machine, f"select 2 {day}")
    ok(machine, f"select 3 {time}")
    click(machine, "Save")
    assert machine.screen().title == "Dialog: Conflict"
    assert not act(machine, "open Mail").valid
    assert not act(machine, "scroll down").valid
    click(machine, "Cancel")
    assert not changes(machine)
    assert named(machine, "Title").value == "Nap"  # what was typed is still there
    click(machine, "Save")
    click(machine, "Save anyway")
    assert changes(machine) == [("added", "events")]


def test_contacts_need_a_name_and_an_email_an_at_sign() -> None:
    machine = device()
    ok(machine, "open Contacts")
    click(machine, "New contact")
    assert "disabled" in named(machine, "Save").states
    ok(machine, "type 1 Zoe")
    ok(machine, "type 3 zoe")
    assert click(machine, "Save") == "Email needs an @."
    ok(machine, "type 3 zoe@mail.com")
    assert click(machine, "Save") == "Contact saved."
    assert changes(machine) == [("added", "contacts")]


@pytest.mark.parametrize("way", ["click", "press Escape", "back"])
def test_a_deletion_that_is_not_confirmed_does_not_happen(way: str) -> None:
    machine = device()
    ok(machine, "open Contacts")
    ok(machine, f"click {next(w.id for w in machine.screen().numbered.values() if w.role == 'link')}")
    click(machine, "Delete")
    click(machine, "Cancel") if way == "click" else ok(machine, way)
    assert not changes(machine)
    assert machine.screen().title == "Contact"
    click(machine, "Delete")
    click(machine, "Delete")
    assert changes(machine) == [("removed", "contacts")]


def test_files_keep_their_names_apart_and_come_back_from_the_trash() -> None:
    machine = device()
    ok(machine, "open Files")
    folder = machine.screen().numbered[1].name
    click(machine, folder)
    one, two = (w.name for w in list(machine.screen().numbered.values())[:2])
    click(machine, one)
    click(machine, "Rename")
    ok(machine, f"type 1 {two}")
    assert click(machine, "Save") == "This name is taken."
    ok(machine, "type 1 fresh")
    assert ok(machine, "press Enter") == "File renamed."
    assert click(machine, "Delete") == "Moved to Trash."
    ok(machine, "back")
    click(machine, "Trash")
    click(machine, "fresh")
    assert click(machine, "Restore") == f"Moved to {folder}."
    ok(machine, "back")
    click(machine, folder)
    assert named(machine, "fresh")
    assert changes(machine) == [("changed", "files")]


def test_settings_act_at_once() -> None:
    machine = device()
    ok(machine, "open Settings")
    click(machine, "Sound")
    switch = named(machine, "Vibration")
    note = click(machine, "Vibration")
    assert note == ("Vibration: off." if "checked" in switch.states else "Vibration: on.")
    ok(machine, f"double_click {switch.id}")
    assert ("checked" in named(machine, "Vibration").states) != ("checked" in switch.states)
    volume = named(machine, "Volume")
    assert volume.role == "slider"
    assert not act(machine, f"select {volume.id} 55").valid
    other = next(o for o in volume.options if o != volume.value)
    ok(machine, f"select {volume.id} {other}")
    assert named(machine, "Volume").value == other


def test_a_cart_is_filled_emptied_and_paid_once() -> None:
    machine = device()
    ok(machine, "open Shop")
    product = next(w for w in machine.screen().numbered.values() if w.role == "link")
    price = int(product.name.rpartition("$")[2])
    click(machine, product.name)
    ok(machine, f"select {named(machine, 'Quantity').id} 2")
    click(machine, "Add to cart")
    click(machine, "Cart (2)")
    assert f"Total ${2 * price}" in text(machine.screen())
    click(machine, "Remove")
    assert "The cart is empty." in text(machine.screen())
    ok(machine, "back")
    click(machine, product.name)
    click(machine, "Add to cart")
    click(machine, "Add to cart")
    click(machine, "Cart (2)")
    click(machine, "Checkout")
    assert "disabled" in named(machine, "Place order").states
    ok(machine, f"select {named(machine, 'Delivery').id} express")
    click(machine, "Place order")
    click(machine, "Cancel")
    assert not machine.state.data["orders"]
    click(machine, "Place order")
    click(machine, "Pay")
    name = product.name.rpartition(" $")[0]
    assert list(machine.state.data["orders"].values()) == [{"items": f"2 {name}", "delivery": "express"}]
    assert not machine.state.data["cart"]


def test_notes_are_made_filled_checked_and_deleted() -> None:
    machine = device()
    ok(machine, "open Notes")
    click(machine, "New note")
    ok(machine, "type 1 Zoo")
    click(machine, "Save")
    click(machine, "Zoo")
    field = named(machine, "New item")
    ok(machine, f"type {field.id} lions")
    assert ok(machine, "press Enter") == "Added."
    assert named(machine, "New item").value == ""
    click(machine, "lions")
    assert "checked" in named(machine, "lions").states
    assert sorted(changes(machine)) == [("added", "items"), ("added", "notes")]
    click(machine, "Delete note")
    click(machine, "Delete")
    assert not changes(machine)


def test_a_form_is_sent_once_all_that_is_required_is_there() -> None:
    machine = device()
    ok(machine, "open Forms")
    click(machine, "Registration")
    for said in ("type 1 Zoe", "type 2 zoe"):
        assert "disabled" in named(machine, "Submit").states
        ok(machine, said)
    click(machine, "I agree")
    assert click(machine, "Submit") == "Email needs an @."
    ok(machine, "type 2 zoe@mail.com")
    assert click(machine, "Submit") == "Form sent."
    row = next(iter(machine.state.data["submissions"].values()))
    assert row["form"] == "Registration" and row["Newsletter"] == "no" and row["Email"] == "zoe@mail.com"


def test_keys_move_type_and_scroll() -> None:
    machine = device()
    ok(machine, "open Mail")
    ok(machine, "press PageDown")
    assert machine.screen().above
    ok(machine, "press PageUp")
    assert not machine.screen().above
    assert not act(machine, "scroll up").valid
    assert not act(machine, "scroll left").valid
    assert not act(machine, "press a").valid  # nothing is focused
    click(machine, "Compose")
    for said in ("press Tab", "press H", "press i", "press Space", "press Backspace", "press Tab", "press Tab"):
        ok(machine, said)
    assert named(machine, "To").value == "Hi"
    assert "focused" in named(machine, "Message").states
    ok(machine, "press Tab")
    ok(machine, "press Delete")
    assert named(machine, "To").value == ""
    assert not act(machine, "press F").note
    ok(machine, "press Escape")
    assert machine.screen().title == "Mail: Inbox"


def test_what_is_typed_is_lost_with_the_page() -> None:
    machine = device()
    ok(machine, "open Mail")
    click(machine, "Compose")
    ok(machine, "type 1 Anna")
    ok(machine, "back")
    click(machine, "Compose")
    assert named(machine, "To").value == ""


def test_a_slow_page_shows_after_a_while() -> None:
    machine = device()
    world = machine.state.world._replace(slow={"mail": 2})
    machine.state = machine.state._replace(world=world)
    ok(machine, "open Mail")
    assert "Loading..." in text(machine.screen())
    assert ("mail",) not in machine.state.seen
    ok(machine, "wait")
    assert "Loading..." in text(machine.screen())
    ok(machine, "wait")
    assert "Compose" in text(machine.screen())
    assert ("mail",) in machine.state.seen


def test_pop_ups_come_when_due_and_some_do_harm() -> None:
    machine = device()
    machine.state = machine.state._replace(popups=((2, "update"), (3, "battery")))
    ok(machine, "open Mail")
    ok(machine, "wait")
    assert machine.screen().title == "Dialog: Update"
    assert machine.state.path == ("mail",)
    click(machine, "Install")
    assert changes(machine) == [("added", "system")]
    assert machine.screen().title == "Dialog: Battery"
    click(machine, "OK")
    assert machine.screen().title == "Mail: Inbox"


@pytest.mark.parametrize("key", list(APPS)[1:-1])
def test_every_page_of_every_app_can_be_left_again(key: str) -> None:
    """Whatever is linked to is there: a walk over all pages, as far as links lead."""
    machine = device(level=4)
    world = machine.state.world._replace(slow={}, rows=10**6)
    start = go(machine.state._replace(world=world, popups=()), (key,))
    waiting, met = [start], {start.path}
    while waiting:
        state = waiting.pop()
        machine.state = state
        assert view(state).title
        for w in machine.screen().numbered.values():
            if w.key.startswith(f"{key}/") and len(met) < 80:
                machine.restore(state)
                ok(machine, f"click {w.id}")
                if machine.state.path not in met:
                    met.add(machine.state.path)
                    waiting.append(machine.state)
    assert len(met) >= (1 if key == "settings" else 3)
    for _ in range(6):
        machine.state = machine.state._replace(dialog=None)
        if not act(machine, "back").valid:
            break
    assert machine.state.path == HOME
