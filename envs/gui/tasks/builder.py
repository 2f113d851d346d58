"""Fills a device from a random generator: mails, events, contacts, files, settings, products, notes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from agentrl.envs.gui.data import Row
from agentrl.envs.gui.goals import Goal, Want
from agentrl.envs.gui.levels import Level
from agentrl.envs.gui.state import HOME, State, World, go
from agentrl.envs.gui.tasks.task import Aim, Task
from agentrl.envs.gui.tasks.wordings import WORDINGS
from agentrl.envs.gui.tasks.words import ALL_WORDS, FEW_WORDS

ALL_APPS = ("home", "mail", "calendar", "contacts", "files", "settings", "shop", "notes", "forms")
POPUPS = ("consent", "update", "battery", "rate")


class Builder:
    """Makes the contents of one task's device.

    Args:
        rng: What everything is drawn from.
        level: How much there is.
    """

    def __init__(self, rng: random.Random, level: Level) -> None:
        self.rng, self.level = rng, level
        self.words = ALL_WORDS if level.rich else FEW_WORDS
        """What names are made of."""
        self.data: dict[str, dict[int, dict[str, Any]]] = {}
        self.days = self.words.WEEK
        self.times = self.words.HOURS if level.rich else self.words.HOURS[::3]
        names = (
            [f"{first} {last}" for first in self.words.FIRST for last in self.words.LAST]
            if level.rich
            else self.words.FIRST
        )
        self._people = rng.sample(names, min(len(names), 150))

    def pick(self, options: Sequence[str], n: int | None = None) -> list[str]:
        """Several different ones; as many as the level's small pages have, unless given."""
        low, high = self.level.items
        return self.rng.sample(options, min(len(options), n or self.rng.randint(low, high)))

    def one(self, options: Sequence[str]) -> str:
        """One of them."""
        return self.rng.choice(options)

    def say(self, kind: str, **values: str) -> str:
        """One of the wordings of a template, as far as the level has them."""
        return self.rng.choice(WORDINGS[kind][: self.level.wordings]).format(**values)

    def person(self) -> str:
        """Somebody whose name nobody else here has."""
        return str(self._people.pop())

    def count(self, least: int = 2) -> int:
        """How many of something."""
        size = self.level.size
        return max(least, size + self.rng.randint(-(size // 4), size // 4))

    def rows(self, table: str) -> dict[int, dict[str, Any]]:
        """A table, to be filled."""
        return self.data.setdefault(table, {})

    def new(self, table: str, **fields: Any) -> int:
        """Another row; its number."""
        rows = self.rows(table)
        id = len(rows) + 1
        rows[id] = fields
        return id

    def mails(self, special: Sequence[dict[str, Any]] = ()) -> list[int]:
        """An inbox, with special mails at random places; their numbers. Senders and subjects differ."""
        n = self.count(len(special) + 2)
        subjects = self.rng.sample([s for s in self.words.SUBJECTS if s not in {m.get("subject") for m in special}], n)
        plain: list[dict[str, Any]] = [
            {"sender": self.person(), "subject": subject, "body": self.one(self.words.BODIES)}
            for subject in subjects[: n - len(special)]
        ]
        places = sorted(self.rng.sample(range(n), len(special)))
        for place, mail in zip(places, special, strict=True):
            plain.insert(place, mail)
        ids = []
        for i, mail in enumerate(plain):
            fields = {"folder": "Inbox", "to": "me", "unread": self.rng.random() < 0.3, "flagged": False, **mail}
            id = self.new("mail", **fields)
            if i in places:
                ids.append(id)
        if self.level.rich:
            for folder in ("Archive", "Trash"):
                for subject in self.rng.sample(self.words.SUBJECTS, 3):
                    old = {
                        "sender": self.one(self.words.LAST),
                        "subject": f"Old {subject}",
                        "body": self.one(self.words.BODIES),
                    }
                    self.new("mail", folder=folder, to="me", unread=False, flagged=False, **old)
        return ids

    def mail(self, **fields: Any) -> dict[str, Any]:
        """A special mail, to be given to `mails`."""
        subject = self.one(self.words.SUBJECTS)
        return {"sender": self.person(), "subject": subject, "body": self.one(self.words.BODIES), **fields}

    def events(self, n: int | None = None) -> list[int]:
        """A week; titles and times differ."""
        n = min(n or self.count(3), len(self.days) * len(self.times) - 2)
        slots = self.rng.sample([(day, time) for day in self.days for time in self.times], n)
        titles = self.rng.sample(self.words.EVENTS, min(n, len(self.words.EVENTS)))
        return [
            self.new("events", title=title, day=day, time=time)
            for title, (day, time) in zip(titles, slots, strict=False)
        ]

    def free(self) -> tuple[str, str]:
        """A day and a time at which nothing is."""
        taken = {(e["day"], e["time"]) for e in self.rows("events").values()}
        return self.rng.choice([(d, t) for d in self.days for t in self.times if (d, t) not in taken])

    def contacts(self, named: Sequence[str] = ()) -> list[int]:
        """People, those who are named first; phones differ."""
        n = self.count(len(named) + 2)
        n = min(n, len(named) + len(self._people))
        people = [*named, *(self.person() for _ in range(n - len(named)))]
        phones = self.rng.sample(self.words.PHONES, n)
        return [
            self.new("contacts", Name=name, Phone=phone, Email=email(name))
            for name, phone in zip(people, phones, strict=True)
        ]

    def phone(self) -> str:
        """A number that no contact has."""
        taken = {c["Phone"] for c in self.rows("contacts").values()}
        return self.one([p for p in self.words.PHONES if p not in taken])

    def files(self, trashed: bool = False) -> list[int]:
        """Folders with files whose names differ; with ``trashed`` the trash holds some."""
        folders = self.rng.sample(self.words.FOLDERS, 5 if self.level.rich else 3)
        for name in folders:
            self.new("folders", name=name)
        per_folder = max(2, self.level.size // 3)
        names = self.rng.sample(self.words.FILES, min(len(self.words.FILES) - 8, per_folder * len(folders)))
        ids = []
        for i, name in enumerate(names):
            folder, text = folders[i % len(folders)], self.one(self.words.FILE_TEXTS)
            gone = trashed and i < max(2, len(names) // 4)
            ids.append(self.new("files", name=name, text=text, folder="Trash" if gone else folder, home=folder))
        return ids

    def settings(self) -> list[int]:
        """All settings, set at random; of a few sections where the device is a small one."""
        sections = list(self.words.SETTINGS) if self.level.rich else self.rng.sample(list(self.words.SETTINGS), 3)
        ids = []
        for section in sections:
            for name, options in self.words.SETTINGS[section].items():
                value = self.one(options or ("on", "off"))
                ids.append(self.new("settings", section=section, name=name, value=value, options=options))
        return ids

    def products(self) -> list[int]:
        """A shop's products, of different names and prices."""
        kinds = list(self.words.GOODS) if self.level.rich else self.rng.sample(list(self.words.GOODS), 2)
        pairs = [
            (colour, noun, kind) for kind in kinds for noun in self.words.GOODS[kind] for colour in self.words.COLOURS
        ]
        n = self.count(4)
        prices = self.rng.sample(range(5, 99), n)
        chosen = self.rng.sample(pairs, n)
        ids = []
        for (colour, noun, kind), price in zip(chosen, prices, strict=True):
            stars = self.rng.randint(1, 5)
            ids.append(self.new("products", name=f"{colour} {noun}", category=kind, price=price, stars=stars))
        self.data |= {"cart": {}, "orders": {}}
        return ids

    def notes(self, special: Sequence[str] = ()) -> list[int]:
        """Lists with items; of ``special`` items another list is made, which is the first one returned."""
        n = max(2, self.level.size // 3)
        titles = self.rng.sample(self.words.LISTS, n + 1)
        ids = [self.new("notes", title=title) for title in titles[: n + bool(special)]]
        self.rng.shuffle(ids)
        for k, id in enumerate(ids):
            texts = special if special and k == 0 else self.rng.sample(self.words.ITEMS, self.rng.randint(3, 5))
            for text in texts:
                self.new("items", note=id, text=text, done=not special and self.rng.random() < 0.25)
        return ids

    def everything(self) -> None:
        """What the task did not fill."""
        makers: dict[str, Callable[[], object]] = {
            "mail": self.mails,
            "events": self.events,
            "contacts": self.contacts,
            "files": self.files,
            "settings": self.settings,
            "products": self.products,
            "notes": self.notes,
        }
        for table, make in makers.items():
            if table not in self.data:
                make()

    def task(
        self,
        kind: str,
        text: str,
        app: str,
        aims: Sequence[Aim],
        wants: Sequence[Want] = (),
        answer: str | None = None,
    ) -> Task:
        """The task on this device.

        Args:
            kind: Name of the template.
            text: What is to be done.
            app: Key of the app that is open where there is no home screen.
        """
        level, rng = self.level, self.rng
        if level.home:
            self.everything()
        self.data.setdefault("submissions", {})
        data: dict[str, dict[int, Row]] = {table: dict(rows) for table, rows in self.data.items()}
        start = HOME if level.home else (app,)
        slow = dict.fromkeys(rng.sample(ALL_APPS[1:], 4), level.slow) if level.slow else {}
        world = World(
            apps=ALL_APPS if level.home else (app,),
            start=start,
            rows=level.rows,
            slow=slow,
            status=f"{rng.choice(self.days)} {rng.choice(self.times)}" if level.rich else "",
            rich=level.rich,
            days=self.days,
            times=self.times,
        )
        popups = sorted((rng.randint(1, 8), kind) for kind in rng.sample(POPUPS, rng.randint(0, level.popups)))
        state = go(State(data, world, popups=tuple(popups)), start)
        return Task(kind, text, state, Goal(data, tuple(wants), answer), tuple(aims))


def email(name: str) -> str:
    """Somebody's address."""
    return f"{name.lower().replace(' ', '.')}@mail.com"
