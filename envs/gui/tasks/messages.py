"""Tasks of one app: mail, calendar, contacts."""

from __future__ import annotations

from agentrl.envs.gui.goals import Want
from agentrl.envs.gui.tasks.builder import Builder, email
from agentrl.envs.gui.tasks.task import Aim, Task


def _inbox(b: Builder, **fields: str) -> tuple[int, str, str]:
    """An inbox; number, sender and subject of the mail that it is about."""
    mail = b.mail(**fields)
    return b.mails([mail])[0], mail["sender"], mail["subject"]


def sent(to: str, subject: str, body: str) -> Want:
    """A mail that is to be sent."""
    return Want("added", "mail", 0, {"folder": "Sent", "to": to, "subject": subject, "body": body})


def mail_delete(b: Builder) -> Task:
    """Put a mail into the trash."""
    id, sender, subject = _inbox(b)
    text = b.say(
        "mail_delete",
        s=subject,
        p=sender,
    )
    want = Want("changed", "mail", id, {"folder": "Trash"})
    return b.task("mail_delete", text, "mail", [Aim(("mail", str(id)), press="mail.delete", want=0)], [want])


def mail_flag(b: Builder) -> Task:
    """Flag a mail."""
    id, sender, subject = _inbox(b)
    text = b.say(
        "mail_flag",
        s=subject,
        p=sender,
    )
    want = Want("changed", "mail", id, {"flagged": True})
    return b.task("mail_flag", text, "mail", [Aim(("mail", str(id)), press="mail.flag", want=0)], [want])


def mail_archive(b: Builder) -> Task:
    """Move a mail to another folder."""
    id, sender, subject = _inbox(b)
    text = b.say(
        "mail_archive",
        s=subject,
        p=sender,
    )
    aim = Aim(("mail", str(id)), (("mail.move", "Archive"),), want=0)
    return b.task("mail_archive", text, "mail", [aim], [Want("changed", "mail", id, {"folder": "Archive"})])


def mail_reply(b: Builder) -> Task:
    """Answer a mail."""
    id, sender, subject = _inbox(b)
    body = b.one(b.words.REPLIES)
    text = b.say(
        "mail_reply",
        m=body,
        s=subject,
        p=sender,
    )
    aim = Aim(("mail", str(id), "reply"), (("field.Message", body),), "mail.send", 0)
    return b.task("mail_reply", text, "mail", [aim], [sent(sender, f"Re: {subject}", body)])


def mail_forward(b: Builder) -> Task:
    """Send a mail on to somebody."""
    body, to = b.one(b.words.BODIES), b.person()
    id, sender, subject = _inbox(b, body=body)
    text = b.say(
        "mail_forward",
        s=subject,
        p=sender,
        to=to,
    )
    aim = Aim(("mail", str(id), "forward"), (("field.To", to),), "mail.send", 0)
    return b.task("mail_forward", text, "mail", [aim], [sent(to, f"Fwd: {subject}", body)])


def mail_compose(b: Builder) -> Task:
    """Write a mail."""
    to, subject, body = b.person(), b.one(b.words.SUBJECTS), b.one(b.words.REPLIES)
    b.mails()
    text = b.say(
        "mail_compose",
        p=to,
        s=subject,
        m=body,
    )
    fields = (("field.To", to), ("field.Subject", subject), ("field.Message", body))
    aim = Aim(("mail", "compose"), fields, "mail.send", 0)
    return b.task("mail_compose", text, "mail", [aim], [sent(to, subject, body)])


def mail_question(b: Builder) -> Task:
    """Answer with what a mail says."""
    city = b.one(b.words.CITIES)
    id, sender, subject = _inbox(b, body=f"We meet in {city}.")
    text = b.say(
        "mail_question",
        s=subject,
        p=sender,
    )
    return b.task("mail_question", text, "mail", [Aim(("mail", str(id)))], answer=city)


def event_add(b: Builder) -> Task:
    """Put an event into the calendar."""
    b.events()
    titles = {e["title"] for e in b.rows("events").values()}
    title = b.one([t for t in b.words.EVENTS if t not in titles])
    day, time = b.free()
    text = b.say(
        "event_add",
        t=title,
        d=day,
        h=time,
    )
    aim = Aim(
        ("calendar", "new"), (("field.Title", title), ("field.Day", day), ("field.Time", time)), "calendar.save", 0
    )
    want = Want("added", "events", 0, {"title": title, "day": day, "time": time})
    return b.task("event_add", text, "calendar", [aim], [want])


def event_delete(b: Builder) -> Task:
    """Take an event out of the calendar."""
    id = b.one(list(map(str, b.events())))
    e = b.rows("events")[int(id)]
    text = b.say(
        "event_delete",
        t=e["title"],
    )
    aim = Aim(("calendar", id), press="calendar.delete", want=0)
    return b.task("event_delete", text, "calendar", [aim], [Want("removed", "events", int(id))])


def event_move(b: Builder) -> Task:
    """Change an event's time."""
    id = b.one(list(map(str, b.events())))
    e = b.rows("events")[int(id)]
    taken = {other["time"] for other in b.rows("events").values() if other["day"] == e["day"]}
    time = b.one([t for t in b.times if t not in taken] or [t for t in b.times if t != e["time"]])
    text = b.say(
        "event_move",
        t=e["title"],
        h=time,
    )
    aim = Aim(("calendar", id), (("field.Time", time),), "calendar.save", 0)
    return b.task("event_move", text, "calendar", [aim], [Want("changed", "events", int(id), {"time": time})])


def event_question(b: Builder) -> Task:
    """Answer with an event's time."""
    e = b.rows("events")[b.rng.choice(b.events())]
    text = b.say(
        "event_question",
        t=e["title"],
    )
    return b.task("event_question", text, "calendar", [Aim(("calendar",))], answer=e["time"])


def contact_add(b: Builder) -> Task:
    """Save a contact."""
    b.contacts()
    name, phone = b.person(), b.phone()
    text = b.say(
        "contact_add",
        p=name,
        n=phone,
    )
    aim = Aim(("contacts", "new"), (("field.Name", name), ("field.Phone", phone)), "contacts.save", 0)
    want = Want("added", "contacts", 0, {"Name": name, "Phone": phone, "Email": ""})
    return b.task("contact_add", text, "contacts", [aim], [want])


def contact_phone(b: Builder) -> Task:
    """Change somebody's phone."""
    id = b.rng.choice(b.contacts())
    phone = b.phone()
    text = b.say(
        "contact_phone",
        p=b.rows("contacts")[id]["Name"],
        n=phone,
    )
    aim = Aim(("contacts", str(id), "edit"), (("field.Phone", phone),), "contacts.save", 0)
    return b.task("contact_phone", text, "contacts", [aim], [Want("changed", "contacts", id, {"Phone": phone})])


def contact_delete(b: Builder) -> Task:
    """Delete a contact, which has to be confirmed."""
    id = b.rng.choice(b.contacts())
    text = b.say(
        "contact_delete",
        p=b.rows("contacts")[id]["Name"],
    )
    aim = Aim(("contacts", str(id)), press="contacts.delete", want=0)
    return b.task("contact_delete", text, "contacts", [aim], [Want("removed", "contacts", id)])


def contact_question(b: Builder) -> Task:
    """Answer with somebody's phone."""
    id = b.rng.choice(b.contacts())
    c = b.rows("contacts")[id]
    text = b.say(
        "contact_question",
        p=c["Name"],
    )
    return b.task("contact_question", text, "contacts", [Aim(("contacts", str(id)))], answer=c["Phone"])


def contact_email(b: Builder) -> Task:
    """Change somebody's email."""
    id = b.rng.choice(b.contacts())
    c = b.rows("contacts")[id]
    name = b.one(b.words.LOGINS)
    new = email(name)
    text = b.say(
        "contact_email",
        p=c["Name"],
        e=new,
    )
    aim = Aim(("contacts", str(id), "edit"), (("field.Email", new),), "contacts.save", 0)
    return b.task("contact_email", text, "contacts", [aim], [Want("changed", "contacts", id, {"Email": new})])


TEMPLATES = (
    *(mail_delete, mail_flag, mail_archive, mail_reply, mail_forward, mail_compose, mail_question),
    *(event_add, event_delete, event_move, event_question),
    *(contact_add, contact_phone, contact_email, contact_delete, contact_question),
)
