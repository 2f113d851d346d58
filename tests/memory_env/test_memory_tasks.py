"""The three tasks: what is asked, what is shown, who wins, and what training and evaluation share."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from agentrl.env import EVAL_SEED_BASE
from agentrl.envs.memory import Memory
from agentrl.envs.memory.inventory import LINES, SOLD, Stream, write_stream
from agentrl.envs.memory.levels import INVENTORY, LOG, OBJECTIVES
from agentrl.envs.memory.log import LogBook, write_log
from agentrl.envs.memory.objectives import Quests
from agentrl.envs.memory.pages import Pages
from agentrl.envs.memory.tasks import TASKS
from agentrl.envs.memory.words import names
from agentrl.errors import NotForkable

ALL = [(task, level) for task in TASKS for level in range(5)]


def play(env: Memory, seed: int, *, noise: int | None = None) -> tuple[list[str], list[str], dict[str, Any]]:
    """Actions, observations and the last info of an episode."""
    shown, info = env.reset(seed=seed)
    seen, said = [shown], []
    rng = np.random.default_rng(noise)
    while (action := env.expert() if noise is None else env.noisy_expert(rng)) is not None:
        shown, *_, info = env.step(action)
        said.append(action)
        seen.append(shown)
        assert len(said) <= env.max_turns
    return said, seen, info


@pytest.mark.parametrize(("task", "level"), ALL)
def test_the_expert_wins_in_time(task: str, level: int) -> None:
    env = Memory(task=task, level=level)
    for seed in range(12):
        said, _, info = play(env, seed)
        assert info["won"]
        assert info["score"] == info["seen"] == 1.0
        assert len(said) <= env.max_turns / 2  # as many turns again may go into memory
        count = len(env.episode.case.questions)
        assert info["task_type"] == f"{task}-{count}"
        assert said[-1].count(";") == count - 1
        assert re.match(r"<answer>.*</answer>$", said[-1])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("level", [1, 4])
def test_the_flawed_demonstrator_wins_about_half_of_the_time(task: str, level: int) -> None:
    env = Memory(task=task, level=level)
    won = [play(env, seed, noise=seed)[2]["won"] for seed in range(150 if level == 1 else 40)]
    assert 0.4 <= np.mean(won) <= 0.9


@pytest.mark.parametrize("task", TASKS)
def test_its_mistakes_are_of_all_kinds(task: str) -> None:
    env = Memory(task=task)
    right, wrong, short = 0, Counter[str](), 0
    for seed in range(200):
        said, _, info = play(env, seed, noise=seed)
        needed = len(play(env, seed)[0])
        right += info["won"]
        short += len(said) < needed
        if info["won"] and len(said) > needed:
            wrong["detour"] += 1
        if not info["won"] and len(said) >= needed:
            wrong["answer"] += 1
    assert wrong["answer"] > 10
    assert task == "inventory" or short > 5  # pages of an inventory cannot be left out
    assert task != "objectives" or wrong["detour"] > 10


@pytest.mark.parametrize(("task", "level"), [(task, level) for task, level in ALL if level != 4])
def test_training_and_evaluation_share_no_task(task: str, level: int) -> None:
    train, held = Memory(task=task, level=level), Memory(task=task, level=level, split="eval")
    if task == "objectives":
        assert isinstance(train.task, Quests)
        assert isinstance(held.task, Quests)
        pools = [[pool()[0] for pool in env.task.pools] for env in (train, held)]  # type: ignore[attr-defined]
        if level == 1:  # worlds of their own: the same words, but other things are true
            seeds = [{source.seed for source in sources} for sources in pools]
            assert (len(seeds[0]), len(seeds[1])) == (64, 16)
            assert not seeds[0] & seeds[1]
            return
        side = pools[0][0].world.side
        for env, wanted, base in ((train, "train", 0), (held, "eval", EVAL_SEED_BASE)):
            for seed in range(base, base + 20):
                for question in env.task.draw(seed).asked:
                    assert {side[title] for title in question.supporting} == {wanted}
        return
    kind = "log" if task == "log" else "inventory"
    assert not set(names(kind, "train")) & set(names(kind, "eval"))
    for env, wanted, base in ((train, "train", 0), (held, "eval", EVAL_SEED_BASE)):
        for seed in range(base, base + 20):
            events = [event for page in env.task.draw(seed).events for event in page]
            pairs = {e.unit if task == "log" else e.thing for e in events}
            assert {name for name in pairs if " " in name} <= set(names(kind, wanted))


def test_episodes_of_level_1_are_spread_over_many_worlds() -> None:
    env, facts = Memory(), {}
    for seed in range(150):
        env.reset(seed=seed)
        asked = env.episode.case.asked  # type: ignore[attr-defined]
        assert len({question.kind for question in asked}) == len(asked)
        for question in asked:
            facts.setdefault(question.text, set()).update(question.answers)
    assert sum(len(answers) > 1 for answers in facts.values()) > 50


def test_no_question_of_an_episode_tells_of_another() -> None:
    for level in OBJECTIVES:
        env = Memory(level=level)
        for seed in range(30):
            env.reset(seed=seed)
            questions = env.episode.case.questions
            assert len({q.text for q in questions}) == len(questions)
            for q in questions:
                for answer in q.answers:
                    told = answer in env.episode.shown
                    assert not told or answer in ("yes", "no") or answer.isdigit() or len(answer) < 6


@pytest.mark.parametrize("questions", range(1, 9))
def test_one_to_eight_questions(questions: int) -> None:
    for task in TASKS:
        env = Memory(task=task, questions=questions)
        _, _, info = play(env, 3)
        assert len(env.episode.case.questions) == questions
        assert info["won"]


def test_a_log_is_answered_by_its_lines() -> None:
    """The answers are read out of the text that a policy sees, by other means than those that made them."""
    for level in (1, 2, 3):
        for seed in range(25):
            book = write_log(LOG[level], seed, split="all", world=0)
            assert isinstance(book, LogBook)
            lines = [line.rstrip(".") for page in book.pages for line in page.split("\n")]
            for wanted, asked in zip(book.wanted, book.questions, strict=True):
                assert asked.answers == (read_log(lines, wanted),)


def read_log(lines: list[str], wanted: Any) -> str:
    unit = wanted.units[0]
    if wanted.kind == "count":
        return str(sum("alarm" in line and unit in line for line in lines))
    if wanted.kind == "sum":
        used = [line for line in lines if "litres" in line and unit in line]
        return str(sum(int(next(w for w in line.split() if w.isdigit())) for line in used))
    if wanted.kind == "first":
        ways = ("stopped", "came to a halt", "was shut down")
        return next(u for line in lines for u in wanted.units if u in line and line.endswith(ways))
    said = [line for line in lines if unit in line and f" {wanted.key} " in line]
    return said[-1].split()[-1]


def test_an_inventory_is_answered_by_its_lines() -> None:
    for seed in range(60):
        stream = write_stream(INVENTORY[2], seed, split="train", world=0)
        assert isinstance(stream, Stream)
        place: dict[str, str] = {}
        stock: Counter[tuple[str, str]] = Counter()
        for line in "\n".join(stream.pages).replace(".", "").split("\n"):
            for kind, wordings in LINES.items():
                pattern = wordings_of(wordings[:2])
                if found := re.fullmatch(pattern, line):
                    got = {k.rstrip("_"): v for k, v in found.groupdict().items() if v}
                    is_thing = kind.startswith("thing")
                    break
            if is_thing:
                place[got["x"]] = got.get("q", SOLD)
            else:
                stock[got["x"], got.get("p", "")] -= int(got["n"])
                stock[got["x"], got.get("q", "")] += int(got["n"])
        assert all(count >= 0 for (_, where), count in stock.items() if where)
        for asked in stream.questions:
            if found := re.fullmatch(r"Where is the (.*)\?", asked.text):
                assert asked.answers == (place[found[1]],)
            else:
                found = re.fullmatch(r"How many (.*) are in the (.*)\?", asked.text)
                assert found
                assert asked.answers == (str(stock[found[1], found[2]]),)


def wordings_of(wordings: tuple[str, ...]) -> str:
    """A pattern for any of these wordings; the second one's groups end in underscores."""
    fields = {"x": r"\w+(?: \w+)?", "n": r"\d+", "p": r"\w+", "q": r"\w+"}
    patterns = []
    for number, wording in enumerate(wordings):
        end = "_" * number
        patterns.append(re.sub(r"\{(\w)\}", lambda m, end=end: f"(?P<{m[1]}{end}>{fields[m[1]]})", wording))  # type: ignore[misc]
    return "|".join(patterns)


def test_an_inventory_is_not_answered_by_its_last_page() -> None:
    for level in (1, 2, 3, 4):
        for seed in range(30):
            stream = write_stream(INVENTORY[level], seed, split="train", world=0)
            newest = {event.thing for event in stream.events[-1]}
            assert not any(wanted.thing in newest for wanted in stream.wanted) or level > 1
            assert any(wanted.thing not in newest for wanted in stream.wanted)


def test_pages_of_an_inventory_come_once_and_in_order() -> None:
    env = Memory(task="inventory")
    env.reset(seed=0)
    shown, *_, info = env.step("<read>2</read>")
    assert (shown, info["valid"]) == ("<information>Error: The next page is 1.</information>", False)
    last = len(env.episode.case.pages)  # type: ignore[attr-defined]
    for page in range(1, last + 1):
        shown, *_, info = env.step(f"<read>{page}</read>")
        assert info["valid"]
        assert ("Where is" in shown) == (page == last)
        again, *_, told = env.step(f"<read>{page}</read>")
        assert not told["valid"]
        assert ("The next page is" in again) == (page < last)
    assert "All pages were read" in again


def test_pages_of_a_log_can_be_read_again() -> None:
    env = Memory(task="log")
    env.reset(seed=0)
    first = env.step("<read>5</read>")[0]
    env.step("<read>1</read>")
    again, *_, info = env.step("<read>5</read>")
    assert again == first
    assert info["valid"]
    assert env.episode.progress.found == ("5", "1")
    shown, *_, info = env.step("<read>9</read>")
    assert "There are pages 1 to 8." in shown
    assert not info["valid"]


def test_what_was_read_is_what_is_noted() -> None:
    env = Memory(task="log")
    env.reset(seed=0)
    assert env.memory_note() is None
    assert isinstance(env.task, Pages)
    notes = []
    while (said := env.expert()) and said.startswith("<read>"):
        env.step(said)
        notes.append(env.memory_note() or "")
    assert [note.split(";")[0] for note in notes] == [f"page {n}" for n in range(1, 9)]
    assert "open" in notes[0]
    answers = [question.answers[0] for question in env.episode.case.questions]
    assert notes[-1] == "page 8; " + "; ".join(answers)


def test_notes_of_objectives_name_answers_ways_and_what_is_open() -> None:
    env, kinds = Memory(level=2, questions=4), set()
    for seed in range(20):
        env.reset(seed=seed)
        while (said := env.expert()) and said.startswith("<search>"):
            env.step(said)
            parts = (env.memory_note() or "").split("; ")
            assert len(parts) == 4
            for part, question in zip(parts, env.episode.case.asked, strict=True):  # type: ignore[attr-defined]
                kinds.add("answer" if part == question.answers[0] else "way" if ": " in part else part)
        assert parts == [question.answers[0] for question in env.episode.case.questions]
    assert kinds == {"answer", "way", "open"}


@pytest.mark.parametrize("task", TASKS)
def test_snapshots_hold_everything(task: str) -> None:
    env, other = Memory(task=task), Memory(task=task)
    for seed in range(6):
        said, _, _ = play(env, seed)
        env.reset(seed=seed)
        for action in said[: seed % len(said)]:
            env.step(action)
        kept = env.snapshot()
        hash(kept)  # immutable through and through
        rest = [env.step(action) for action in said[seed % len(said) :]]
        other.restore(kept)
        assert [other.step(action) for action in said[seed % len(said) :]] == rest
        assert other.state_key() == env.state_key()
    with pytest.raises(NotForkable):
        env.restore("something else")
