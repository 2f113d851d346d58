"""Tasks over two and three apps: what one app says is to be done in another."""

from __future__ import annotations

from agentrl.envs.gui.apps.forms import FORMS
from agentrl.envs.gui.goals import Want
from agentrl.envs.gui.tasks.builder import Builder
from agentrl.envs.gui.tasks.messages import sent
from agentrl.envs.gui.tasks.task import Aim, Task
from agentrl.envs.gui.tasks.things import form_aim, ordered, shop_aims


def _mailed(b: Builder, body: str) -> tuple[Aim, str, str]:
    """A mail in an inbox: how to read it, who sent it, its subject."""
    mail = b.mail(body=body)
    id = b.mails([mail])[0]
    return Aim(("mail", str(id))), mail["sender"], mail["subject"]


def _added_contact(name: str, phone: str, want: int) -> tuple[Aim, Want]:
    aim = Aim(("contacts", "new"), (("field.Name", name), ("field.Phone", phone)), "contacts.save", want)
    return aim, Want("added", "contacts", 0, {"Name": name, "Phone": phone, "Email": ""})


def _added_event(title: str, day: str, time: str, want: int) -> tuple[Aim, Want]:
    fields = (("field.Title", title), ("field.Day", day), ("field.Time", time))
    wanted = Want("added", "events", 0, {"title": title, "day": day, "time": time})
    return Aim(("calendar", "new"), fields, "calendar.save", want), wanted


def _written(to: str, subject: str, body: str, want: int) -> tuple[Aim, Want]:
    fields = (("field.To", to), ("field.Subject", subject), ("field.Message", body))
    return Aim(("mail", "compose"), fields, "mail.send", want), sent(to, subject, body)


def mail_to_contact(b: Builder) -> Task:
    """Save the person whose phone a mail tells."""
    b.contacts()
    name, phone = b.person(), b.phone()
    read, sender, subject = _mailed(b, f"The phone of {name} is {phone}.")
    text = b.say(
        "mail_to_contact",
        s=subject,
        p=sender,
    )
    aim, want = _added_contact(name, phone, 0)
    return b.task("mail_to_contact", text, "mail", [read, aim], [want])


def mail_to_event(b: Builder) -> Task:
    """Enter the event that a mail announces."""
    b.events()
    title, (day, time) = b.one(b.words.EVENTS), b.free()
    read, sender, subject = _mailed(b, f"{title} is on {day} at {time}.")
    text = b.say(
        "mail_to_event",
        s=subject,
        p=sender,
    )
    aim, want = _added_event(title, day, time, 0)
    return b.task("mail_to_event", text, "mail", [read, aim], [want])


def mail_to_setting(b: Builder) -> Task:
    """Set what a mail asks to be set."""
    id = b.rng.choice([id for id in b.settings() if b.rows("settings")[id]["options"]])
    s = b.rows("settings")[id]
    value = b.one([o for o in s["options"] if o != s["value"]])
    read, sender, subject = _mailed(b, f"Please set {s['name']} in {s['section']} to {value}.")
    text = b.say(
        "mail_to_setting",
        s=subject,
        p=sender,
    )
    aim = Aim(("settings", s["section"]), ((f"setting.{id}", value),), want=0)
    return b.task("mail_to_setting", text, "mail", [read, aim], [Want("changed", "settings", id, {"value": value})])


def mail_to_file(b: Builder) -> Task:
    """Rename the file that a mail wants renamed."""
    id = b.rng.choice(b.files())
    f = b.rows("files")[id]
    new = b.one([n for n in b.words.FILES if n not in {other["name"] for other in b.rows("files").values()}])
    read, sender, subject = _mailed(b, f"Please call {f['name']} in {f['folder']} {new} instead.")
    text = b.say(
        "mail_to_file",
        s=subject,
        p=sender,
    )
    aim = Aim(("files", f["folder"], str(id), "rename"), (("field.Name", new),), "files.save", 0)
    return b.task("mail_to_file", text, "mail", [read, aim], [Want("changed", "files", id, {"name": new})])


def note_to_shop(b: Builder) -> Task:
    """Order what a note lists."""
    ids = b.products()
    name = b.rows("products")[(id := b.rng.choice(ids))]["name"]
    note = b.notes([name])[0]
    title = b.rows("notes")[note]["title"]
    text = b.say(
        "note_to_shop",
        t=title,
    )
    aims = [Aim(("notes", str(note))), *shop_aims([id], "1", "express", 0)]
    return b.task("note_to_shop", text, "notes", aims, [ordered("express", (name, 1))])


def note_within_budget(b: Builder) -> Task:
    """Order what a note lists and the money suffices for."""
    ids = b.rng.sample(b.products(), 3)
    products = b.rows("products")
    ids.sort(key=lambda id: products[id]["price"])
    budget = products[ids[0]]["price"] + b.rng.randint(0, products[ids[1]]["price"] - products[ids[0]]["price"] - 1)
    names = [products[id]["name"] for id in ids]
    note = b.notes(b.rng.sample(names, 3))[0]
    title = b.rows("notes")[note]["title"]
    text = b.say(
        "note_within_budget",
        t=title,
        m=str(budget),
    )
    aims = [Aim(("notes", str(note))), Aim(("shop",)), *shop_aims([ids[0]], "1", "standard", 0)]
    return b.task("note_within_budget", text, "notes", aims, [ordered("standard", (names[0], 1))])


def event_to_mail(b: Builder) -> Task:
    """Mail the time of an event."""
    e = b.rows("events")[b.rng.choice(b.events())]
    b.mails()
    to = b.person()
    text = b.say(
        "event_to_mail",
        p=to,
        t=e["title"],
    )
    aim, want = _written(to, e["title"], e["time"], 0)
    return b.task("event_to_mail", text, "calendar", [Aim(("calendar",)), aim], [want])


def contact_to_mail(b: Builder) -> Task:
    """Mail somebody's phone."""
    id = b.rng.choice(b.contacts())
    c = b.rows("contacts")[id]
    b.mails()
    to = b.person()
    text = b.say(
        "contact_to_mail",
        p=to,
        q=c["Name"],
    )
    aim, want = _written(to, "Phone", c["Phone"], 0)
    return b.task("contact_to_mail", text, "contacts", [Aim(("contacts", str(id))), aim], [want])


def event_to_booking(b: Builder) -> Task:
    """Book a room for the day of an event."""
    e = b.rows("events")[b.rng.choice(b.events())]
    city, guest = b.one(FORMS["Booking"][0].options), b.person()
    aim, want = form_aim("Booking", {"City": city, "Day": e["day"], "Guest": guest}, 0)
    text = b.say(
        "event_to_booking",
        c=city,
        p=guest,
        t=e["title"],
    )
    return b.task("event_to_booking", text, "calendar", [Aim(("calendar",)), aim], [want])


def contact_to_form(b: Builder) -> Task:
    """Register somebody with the email that the contacts have."""
    c = b.rows("contacts")[(id := b.rng.choice(b.contacts()))]
    held = {"Name": c["Name"], "Email": c["Email"], "I agree": "yes"}
    aim, want = form_aim("Registration", held, 0)
    text = b.say(
        "contact_to_form",
        p=c["Name"],
    )
    return b.task("contact_to_form", text, "contacts", [Aim(("contacts", str(id))), aim], [want])


def announce(b: Builder) -> Task:
    """An event, a contact and a reply, all from one mail."""
    b.events()
    b.contacts()
    title, (day, time) = b.one(b.words.EVENTS), b.free()
    name, phone = b.person(), b.phone()
    read, sender, subject = _mailed(b, f"{title} is on {day} at {time}. Questions: {name}, {phone}.")
    text = b.say(
        "announce",
        s=subject,
        p=sender,
    )
    event, one = _added_event(title, day, time, 0)
    contact, two = _added_contact(name, phone, 1)
    reply = Aim((*read.path, "reply"), (("field.Message", "noted"),), "mail.send", 2)
    return b.task(
        "announce", text, "mail", [read, event, contact, reply], [one, two, sent(sender, f"Re: {subject}", "noted")]
    )


def errand(b: Builder) -> Task:
    """Shop by a note, check it off, and report by mail."""
    products = b.rows("products") if b.products() else {}
    name = products[(id := b.rng.choice(list(products)))]["name"]
    note = b.notes([name])[0]
    title, to = b.rows("notes")[note]["title"], b.person()
    item = next(i for i, row in b.rows("items").items() if row["note"] == note)
    b.mails()
    text = b.say(
        "errand",
        t=title,
        p=to,
    )
    mail, three = _written(to, title, "ordered", 2)
    check = Aim(("notes", str(note)), ((f"item.{item}", "on"),), want=1)
    aims = [Aim(("notes", str(note))), *shop_aims([id], "1", "standard", 0), check, mail]
    return b.task(
        "errand",
        text,
        "notes",
        aims,
        [ordered("standard", (name, 1)), Want("changed", "items", item, {"done": True}), three],
    )


def travel(b: Builder) -> Task:
    """Book what a mail needs on the day that the calendar has, and reply."""
    e = b.rows("events")[b.rng.choice(b.events())]
    city, guest = b.one(FORMS["Booking"][0].options), b.person()
    read, sender, subject = _mailed(b, f"I come to {city} for {e['title']}. The guest is {guest}.")
    booking, one = form_aim("Booking", {"City": city, "Day": e["day"], "Guest": guest}, 0)
    reply = Aim((*read.path, "reply"), (("field.Message", e["day"]),), "mail.send", 1)
    text = b.say(
        "travel",
        s=subject,
        p=sender,
    )
    aims = [read, Aim(("calendar",)), booking, reply]
    return b.task("travel", text, "mail", aims, [one, sent(sender, f"Re: {subject}", e["day"])])


def introduce(b: Builder) -> Task:
    """Move a file, then mail somebody's phone."""
    c = b.rows("contacts")[(id := b.rng.choice(b.contacts()))]
    file = b.rng.choice(b.files())
    f = b.rows("files")[file]
    b.mails()
    to = b.one([o["name"] for o in b.rows("folders").values() if o["name"] != f["folder"]])
    text = b.say(
        "introduce",
        n=f["name"],
        f=f["folder"],
        t=to,
        p=c["Name"],
    )
    move = Aim(("files", f["folder"], str(file)), (("files.move", to),), want=0)
    mail, two = _written(c["Name"], f["name"], c["Phone"], 1)
    one = Want("changed", "files", file, {"folder": to, "home": to})
    return b.task("introduce", text, "files", [move, Aim(("contacts", str(id))), mail], [one, two])


DOUBLE = (
    *(mail_to_contact, mail_to_event, mail_to_setting, mail_to_file, note_to_shop, note_within_budget),
    *(event_to_mail, contact_to_mail, event_to_booking, contact_to_form),
)
TRIPLE = (announce, errand, travel, introduce)
