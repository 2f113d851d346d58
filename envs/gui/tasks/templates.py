"""All templates by name, and the drawing of tasks."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence

from agentrl.envs.gui.levels import Level
from agentrl.envs.gui.tasks import messages, several, small, things
from agentrl.envs.gui.tasks.builder import Builder
from agentrl.envs.gui.tasks.task import Task
from agentrl.errors import ConfigError, UnknownName

Template = Callable[[Builder], Task]
GROUPS: dict[str, dict[str, Template]] = {
    "small": {t.__name__: t for t in small.TEMPLATES},
    "single": {t.__name__: t for t in (*messages.TEMPLATES, *things.TEMPLATES)},
    "double": {t.__name__: t for t in several.DOUBLE},
    "triple": {t.__name__: t for t in several.TRIPLE},
}
"""Group -> name -> template."""
ALL: dict[str, Template] = {name: t for group in GROUPS.values() for name, t in group.items()}
"""Name -> template."""
FIRST = (
    *("click_button", "click_link", "click_option", "choose_list", "enter_text", "login_user", "fill_form"),
    *("click_tab", "post_button", "read_table"),
    *("mail_delete", "mail_flag", "mail_reply", "mail_question", "event_delete", "event_question"),
    *("contact_delete", "contact_question", "note_check", "note_add", "setting_switch", "setting_select"),
)
"""The easiest small pages, and the easiest tasks of one app: what a tiny policy begins with."""
GROUPS["first"] = {name: ALL[name] for name in FIRST}
EVAL_SHARE = 5
"""One task in so many belongs to the split ``eval``."""


ALIKE = {"add_numbers", "copy_text", "shop_cheapest"}
"""Templates with one text for all tasks."""


def chosen(tasks: str, level: Level) -> list[tuple[str, int]]:
    """Names of templates with how often each is drawn, from a setting such as ``all`` or ``mail_reply,note_add``.

    Raises:
        UnknownName: there is no such template or group.
        ConfigError: none is named.
    """
    if tasks.strip().lower() == "all":
        shares = dict(level.groups)
        most = max(len(GROUPS[g]) for g in shares)
        return [(name, share * most * 10 // len(GROUPS[g])) for g, share in shares.items() for name in GROUPS[g]]
    names: dict[str, int] = {}
    for part in (p.strip() for p in tasks.split(",")):
        if part in GROUPS:
            names |= dict.fromkeys(GROUPS[part], 1)
        elif part in ALL:
            names[part] = 1
        elif part:
            raise UnknownName("task", part, [*GROUPS, *ALL])
    if not names:
        raise ConfigError("env.tasks names no task; write all, or names with commas.")
    return list(names.items())


def draw(seed: int, level: Level, names: Sequence[tuple[str, int]], split: str) -> Task:
    """The task of a seed.

    Args:
        names: Templates and how often each is drawn (`chosen`).
        split: ``train`` or ``eval``, which have no task in common, or ``all``.
    """
    rng = random.Random(f"gui {seed}")
    for _ in range(1000):
        name = rng.choices([n for n, _ in names], [w for _, w in names])[0]
        task = ALL[name](Builder(rng, level))
        if split == "all" or (split == "eval") == held_out(task):
            return task
    raise ConfigError(f"Among 1000 tasks none is of the split '{split}'; name more tasks in env.tasks.")


def held_out(task: Task) -> bool:
    """Whether a task belongs to the split ``eval``: by its text, and by what it wants where all texts are alike."""
    asked = task.text
    if task.kind in ALIKE:
        asked += " ".join(str(value) for want in task.goal.wants for value in want.fields.values())
    return int.from_bytes(hashlib.blake2b(asked.encode(), digest_size=4).digest(), "big") % EVAL_SHARE == 0
