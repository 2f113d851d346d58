"""Tasks of one app: files, settings, shop, notes, forms."""

from __future__ import annotations

from functools import partial

from agentrl.envs.gui.apps.forms import FORMS
from agentrl.envs.gui.apps.shop import listed
from agentrl.envs.gui.data import where
from agentrl.envs.gui.goals import Want
from agentrl.envs.gui.state import State
from agentrl.envs.gui.tasks.builder import Builder, email
from agentrl.envs.gui.tasks.task import Aim, Task


def _file(b: Builder) -> tuple[int, str, str]:
    """Number, name and folder of a file."""
    id = b.rng.choice(b.files())
    f = b.rows("files")[id]
    return id, f["name"], f["folder"]


def file_delete(b: Builder) -> Task:
    """Put a file into the trash."""
    id, name, folder = _file(b)
    text = b.say(
        "file_delete",
        n=name,
        f=folder,
    )
    aim = Aim(("files", folder, str(id)), press="files.delete", want=0)
    want = Want("changed", "files", id, {"folder": "Trash"})
    return b.task("file_delete", text, "files", [aim], [want])


def file_rename(b: Builder) -> Task:
    """Give a file another name."""
    id, name, folder = _file(b)
    new = b.one([n for n in b.words.FILES if n not in {f["name"] for f in b.rows("files").values()}])
    text = b.say(
        "file_rename",
        n=name,
        f=folder,
        m=new,
    )
    aim = Aim(("files", folder, str(id), "rename"), (("field.Name", new),), "files.save", 0)
    return b.task("file_rename", text, "files", [aim], [Want("changed", "files", id, {"name": new})])


def file_move(b: Builder) -> Task:
    """Move a file to another folder."""
    id, name, folder = _file(b)
    to = b.one([f["name"] for f in b.rows("folders").values() if f["name"] != folder])
    text = b.say(
        "file_move",
        n=name,
        f=folder,
        t=to,
    )
    aim = Aim(("files", folder, str(id)), (("files.move", to),), want=0)
    return b.task("file_move", text, "files", [aim], [Want("changed", "files", id, {"folder": to, "home": to})])


def file_restore(b: Builder) -> Task:
    """Take a file out of the trash."""
    b.files(trashed=True)
    id, f = b.rng.choice(list(where(b.data, "files", folder="Trash")))
    text = b.say(
        "file_restore",
        n=f["name"],
    )
    aim = Aim(("files", "Trash", str(id)), press="files.restore", want=0)
    return b.task("file_restore", text, "files", [aim], [Want("changed", "files", id, {"folder": f["home"]})])


def setting_switch(b: Builder) -> Task:
    """Turn a setting on or off."""
    id = b.rng.choice([id for id in b.settings() if not b.rows("settings")[id]["options"]])
    s = b.rows("settings")[id]
    new = "off" if s["value"] == "on" else "on"
    text = b.say(
        "setting_switch",
        n=s["name"],
        s=s["section"],
        v=new,
    )
    aim = Aim(("settings", s["section"]), ((f"setting.{id}", new),), want=0)
    return b.task("setting_switch", text, "settings", [aim], [Want("changed", "settings", id, {"value": new})])


def setting_select(b: Builder) -> Task:
    """Set a setting to an option."""
    id = b.rng.choice([id for id in b.settings() if b.rows("settings")[id]["options"]])
    s = b.rows("settings")[id]
    new = b.one([o for o in s["options"] if o != s["value"]])
    text = b.say(
        "setting_select",
        n=s["name"],
        s=s["section"],
        v=new,
    )
    aim = Aim(("settings", s["section"]), ((f"setting.{id}", new),), want=0)
    return b.task("setting_select", text, "settings", [aim], [Want("changed", "settings", id, {"value": new})])


def ordered(delivery: str, *lines: tuple[str, int]) -> Want:
    """An order that is to be placed."""
    return Want("added", "orders", 0, {"items": listed(list(lines)), "delivery": delivery})


def _in_cart(state: State, product: int) -> bool:
    return bool(state.data["orders"]) or any(True for _ in where(state.data, "cart", product=product))


def shop_aims(products: list[int], quantity: str, delivery: str, want: int) -> list[Aim]:
    """Products into the cart, then to order."""
    fields = (("field.Quantity", quantity),) if quantity != "1" else ()
    aims = [Aim(("shop", str(p)), fields, "shop.add", done=partial(_in_cart, product=p)) for p in products]
    return [*aims, Aim(("shop", "cart", "checkout"), (("field.Delivery", delivery),), "shop.order", want)]


def shop_buy(b: Builder) -> Task:
    """Order so many of a product."""
    id = b.rng.choice(b.products())
    name = b.rows("products")[id]["name"]
    quantity, delivery = b.one(["1", "2", "3"]), b.one(["standard", "express"])
    text = b.say(
        "shop_buy",
        q=quantity,
        n=name,
        d=delivery,
    )
    return b.task(
        "shop_buy", text, "shop", shop_aims([id], quantity, delivery, 0), [ordered(delivery, (name, int(quantity)))]
    )


def shop_cheapest(b: Builder) -> Task:
    """Order what costs least."""
    ids = b.products()
    id = min(ids, key=lambda i: b.rows("products")[i]["price"])
    text = b.say(
        "shop_cheapest",
    )
    want = ordered("standard", (b.rows("products")[id]["name"], 1))
    return b.task("shop_cheapest", text, "shop", [Aim(("shop",)), *shop_aims([id], "1", "standard", 0)], [want])


def shop_question(b: Builder) -> Task:
    """Answer with a price."""
    p = b.rows("products")[b.rng.choice(b.products())]
    text = b.say(
        "shop_question",
        n=p["name"],
    )
    return b.task("shop_question", text, "shop", [Aim(("shop",))], answer=f"${p['price']}")


def note_check(b: Builder) -> Task:
    """Check an item of a note, or uncheck it."""
    b.notes()
    id, item = b.rng.choice(list(where(b.data, "items", done=False)) or list(b.rows("items").items()))
    new = not item["done"]
    title = b.rows("notes")[item["note"]]["title"]
    verb = "Check" if new else "Uncheck"
    text = b.say(
        "note_check",
        v=verb,
        w=verb.lower(),
        i=item["text"],
        t=title,
    )
    aim = Aim(("notes", str(item["note"])), ((f"item.{id}", "on" if new else "off"),), want=0)
    return b.task("note_check", text, "notes", [aim], [Want("changed", "items", id, {"done": new})])


def note_add(b: Builder) -> Task:
    """Add an item to a note."""
    note = b.rng.choice(b.notes())
    there = {i["text"] for i in b.rows("items").values()}
    item = b.one([i for i in b.words.ITEMS if i not in there] or b.words.LOGINS)
    text = b.say(
        "note_add",
        i=item,
        t=b.rows("notes")[note]["title"],
    )
    aim = Aim(("notes", str(note)), (("field.New item", item),), "notes.add", 0)
    want = Want("added", "items", 0, {"note": note, "text": item, "done": False})
    return b.task("note_add", text, "notes", [aim], [want])


def note_new(b: Builder) -> Task:
    """Make a note."""
    b.notes()
    title = b.one([t for t in b.words.LISTS if t not in {n["title"] for n in b.rows("notes").values()}])
    text = b.say("note_new", t=title)
    aim = Aim(("notes", "new"), (("field.Title", title),), "notes.save", 0)
    return b.task("note_new", text, "notes", [aim], [Want("added", "notes", 0, {"title": title})])


def note_delete(b: Builder) -> Task:
    """Delete a note, which has to be confirmed."""
    note = b.rng.choice(b.notes())
    text = b.say(
        "note_delete",
        t=b.rows("notes")[note]["title"],
    )
    items = [Want("removed", "items", id) for id, _ in where(b.data, "items", note=note)]
    aim = Aim(("notes", str(note)), press="notes.delete", want=0)
    return b.task("note_delete", text, "notes", [aim], [Want("removed", "notes", note), *items])


def form_aim(title: str, held: dict[str, str], want: int) -> tuple[Aim, Want]:
    """How a form is filled and sent, and what comes of it."""
    fields = []
    for e in FORMS[title]:
        value = held.get(e.name, "")
        if not value:
            continue
        if e.kind == "radio":
            fields.append((f"radio.{e.name}.{value}", "on"))
        else:
            fields.append((f"field.{e.name}", "on" if e.kind == "box" else value))
    empty = {e.name: "no" if e.kind == "box" else "" for e in FORMS[title]}
    wanted = Want("added", "submissions", 0, {"form": title, **empty, **held})
    return Aim(("forms", title), tuple(fields), "forms.submit", want), wanted


def form_register(b: Builder) -> Task:
    """Fill in a registration."""
    name, country = b.person(), b.one(FORMS["Registration"][2].options)
    held = {"Name": name, "Email": email(name), "Country": country, "I agree": "yes"}
    aim, want = form_aim("Registration", held, 0)
    text = b.say(
        "form_register",
        p=name,
        e=email(name),
        c=country,
    )
    return b.task("form_register", text, "forms", [aim], [want])


def form_survey(b: Builder) -> Task:
    """Fill in a survey."""
    service, again = b.one(["good", "fair", "poor"]), b.one(["yes", "no", "maybe"])
    aim, want = form_aim("Survey", {"Service": service, "Again": again}, 0)
    text = b.say(
        "form_survey",
        s=service,
        a=again,
    )
    return b.task("form_survey", text, "forms", [aim], [want])


def form_booking(b: Builder) -> Task:
    """Book a room."""
    city, day, guest = b.one(FORMS["Booking"][0].options), b.one(b.days), b.person()
    held = {"City": city, "Day": day, "Guest": guest}
    extra = ""
    if b.rng.random() < 0.5:
        held["Breakfast"], extra = "yes", " with breakfast"
    aim, want = form_aim("Booking", held, 0)
    text = b.say(
        "form_booking",
        c=city,
        d=day,
        p=guest,
        x=extra,
    )
    return b.task("form_booking", text, "forms", [aim], [want])


TEMPLATES = (
    *(file_delete, file_rename, file_move, file_restore, setting_switch, setting_select),
    *(shop_buy, shop_cheapest, shop_question, note_check, note_add, note_new, note_delete),
    *(form_register, form_survey, form_booking),
)
