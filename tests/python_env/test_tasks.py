"""Generated tasks: right, repeatable, divided without overlap, not to be guessed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter

import pytest

from agentrl.env import EVAL_SEED_BASE
from agentrl.envs.python import Python
from agentrl.envs.python.answers import plainly_equal
from agentrl.envs.python.levels import LEVELS
from agentrl.envs.python.procedural import KINDS, chosen_kinds, generate
from agentrl.envs.python.tasks import Task
from agentrl.sandboxes import SandboxSpec
from agentrl.sandboxes.blocking import BlockingSession, shared

every_level = pytest.mark.parametrize("level", LEVELS)
DIGEST = """
import hashlib
from agentrl.envs.python.levels import LEVELS
from agentrl.envs.python.procedural import generate
text = "".join(str(generate(n, s, LEVELS[n].kinds, i)) for n in LEVELS for s in ("train", "eval") for i in range(20))
print(hashlib.sha256(text.encode()).hexdigest())
"""


def tasks(level: int, split: str, count: int, kinds: tuple[str, ...] = ()) -> list[Task]:
    base = EVAL_SEED_BASE if split == "eval" else 0
    return [generate(level, split, kinds or LEVELS[level].kinds, base + seed) for seed in range(count)]


@every_level
def test_splits_share_no_task(level: int) -> None:
    trained, held = ({t.key for t in tasks(level, split, 400)} for split in ("train", "eval"))
    assert not trained & held
    assert len(trained) > 300
    asked, other = ({(t.question, t.files) for t in tasks(level, split, 400)} for split in ("train", "eval"))
    assert not asked & other


def test_the_same_seed_gives_the_same_task_in_another_process() -> None:
    text = ""
    for level in LEVELS:
        for split in ("train", "eval"):
            text += "".join(str(generate(level, split, LEVELS[level].kinds, i)) for i in range(20))
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", DIGEST], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(text.encode()).hexdigest()


def test_every_form_of_every_kind_is_computed_as_it_is_asked(sandbox: str, opened: list[BlockingSession]) -> None:
    with shared(sandbox, SandboxSpec()).open() as session:
        for level in LEVELS:
            for kind in chosen_kinds(level, ",".join(KINDS) if level > 2 else "all"):
                for task in tasks(level, "train", 12, (kind,)):
                    if task.rule == "tests":
                        continue
                    for name, content in task.files:
                        session.write_file(name, content)
                    shown = session.run_python(task.code).to_observation()
                    assert plainly_equal(shown, task.answer), (task.question, shown, task.answer)


@every_level
def test_slips_and_guesses_are_mostly_wrong(level: int, sandbox: str, opened: list[BlockingSession]) -> None:
    wrong = total = 0
    with shared(sandbox, SandboxSpec()).open() as session:
        for task in tasks(level, "train", 25):
            assert task.slips
            if task.rule == "tests":
                assert task.answer not in task.slips
                continue
            for name, content in task.files:
                session.write_file(name, content)
            results = [session.run_python(slip).to_observation() for slip in task.slips]
            assert not any("Traceback" in r and "Type" in r for r in results), task
            for said in (*results, *task.guesses):
                total += 1
                wrong += not plainly_equal(said.rpartition("\n")[2], task.answer)
    assert wrong >= 0.9 * total


@every_level
def test_no_answer_wins_more_than_a_few_tasks(level: int) -> None:
    found = [t for t in tasks(level, "train", 600) if t.rule == "plain"]
    (answer, count), *_ = Counter(t.answer for t in found).most_common(1)
    assert count < 0.03 * len(found), answer
    read = sum(any(plainly_equal(word, t.answer) for word in t.question.split()) for t in found)
    assert read < 0.06 * len(found)


def test_level_1_is_short_and_in_one_wording() -> None:
    found = tasks(1, "train", 500)
    assert max(len(t.question.split()) for t in found) <= 20
    assert max(len(t.answer) for t in found) <= 13
    assert all(t.code.count("\n") == 0 for t in found)


def test_wordings_vary_at_higher_levels() -> None:
    for level in (2, 3, 4):
        beginnings = {" ".join(t.question.split()[:2]) for t in tasks(level, "train", 300, ("arithmetic",))}
        assert len(beginnings) >= 3


def test_all_kinds_of_a_level_are_asked_for() -> None:
    for level, rules in LEVELS.items():
        assert {t.kind for t in tasks(level, "train", 200)} == set(rules.kinds)


def test_kinds_can_be_chosen() -> None:
    env = Python(level=3, kinds="date, file")
    assert {env.source.task(seed).kind for seed in range(30)} == {"date", "file"}
