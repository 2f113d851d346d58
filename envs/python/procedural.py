"""New tasks from a seed.

The seed chooses a kind of the level, a form of that kind, its facts and a wording. By a hash of form and facts one
task in five is for evaluation, whatever its wording: no task of an evaluation split is one of training.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

from agentrl.envs.python.arithmetic import ARITHMETIC
from agentrl.envs.python.coding import FUNCTIONS, Function
from agentrl.envs.python.counting import COUNTING
from agentrl.envs.python.forms import Form
from agentrl.envs.python.levels import LEVELS, Level
from agentrl.envs.python.tables import FILE, TABLE
from agentrl.envs.python.tasks import Task
from agentrl.envs.python.textual import DATE, TEXT
from agentrl.envs.python.theory import THEORY
from agentrl.errors import UnknownName

HELD_OUT_SHARE = 5
"""One in so many tasks is for evaluation."""
KINDS: dict[str, Sequence[Form | Function]] = {
    "arithmetic": ARITHMETIC,
    "theory": THEORY,
    "counting": COUNTING,
    "table": TABLE,
    "text": TEXT,
    "date": DATE,
    "file": FILE,
    "code": FUNCTIONS,
}
"""Forms of tasks by kind."""


def chosen_kinds(level: int, names: str) -> tuple[str, ...]:
    """The kinds of a setting: names separated by commas, or ``all`` that the level has.

    Raises:
        UnknownName: the level has no such kind.
    """
    known = tuple(kind for kind in KINDS if _forms(LEVELS[level], kind))
    if names.strip().lower() == "all":
        return LEVELS[level].kinds
    found = tuple(dict.fromkeys(name.strip().lower() for name in names.split(",") if name.strip()))
    for name in found or ("",):
        if name not in known:
            raise UnknownName(f"kind of task of level {level}", name, known)
    return found


def generate(level: int, split: str, kinds: Sequence[str], seed: int) -> Task:
    """The task of a seed.

    Args:
        level: A key of `LEVELS`.
        split: ``train``, ``eval`` or ``all``.
        kinds: Kinds to choose from.
        seed: Any integer.
    """
    rules = LEVELS[level]
    rng = random.Random(f"python {level} {split} {','.join(kinds)} {seed}")
    while True:
        kind = rng.choice(list(kinds))
        form = rng.choice(_forms(rules, kind))
        facts = form.draw(rng, rules)
        if split == "all" or is_held_out(form.key(kind, facts)) == (split == "eval"):
            return form.task(kind, facts, rng.randrange(rules.wordings))


def is_held_out(key: str) -> bool:
    """Whether the task of a key is for evaluation only."""
    return zlib.crc32(key.encode(errors="replace")) % HELD_OUT_SHARE == 0


def _forms(level: Level, kind: str) -> list[Form | Function]:
    low, high = level.hardness
    return [form for form in KINDS[kind] if low <= form.hardness <= high]
