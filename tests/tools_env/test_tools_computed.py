"""Questions whose answer is computed: the facts are in the corpus, and nothing gives the answer away."""

from __future__ import annotations

import ast
import random
import re

import pytest

from agentrl.envs.search.encyclopedia import World
from agentrl.envs.search.index import BM25
from agentrl.envs.tools.computed import draw
from agentrl.envs.tools.forms import FORMS
from agentrl.envs.tools.levels import LEVELS, Level
from agentrl.envs.tools.tasks import Plan, Task
from agentrl.errors import ConfigError

DRAWN = 12


@pytest.fixture(scope="module")
def worlds() -> dict[int, World]:
    return {number: World(level.world, 0) for number, level in LEVELS.items() if number < 4}


def each(worlds: dict[int, World], split: str = "train") -> list[tuple[World, Level, str, Task]]:
    return [
        (world, LEVELS[number], name, draw(world, LEVELS[number], split, name, random.Random(f"{name} {seed}")))
        for number, world in worlds.items()
        for name in LEVELS[number].forms
        for seed in range(DRAWN)
    ]


def computed(code: str) -> int:
    """The value of an expression of numbers."""
    assert not re.search(r"[a-z_]", code.replace("abs", ""))
    ast.parse(code, mode="eval")
    return int(eval(code, {"__builtins__": {"abs": abs}}))


def test_the_code_gives_the_answer_and_slips_do_not(worlds: dict[int, World]) -> None:
    for _, _, name, task in each(worlds):
        assert task.computing and task.plan
        assert str(computed(task.computing.code)) == task.computing.answer == task.answers[0]
        assert task.plan.cell(task.plan.titles) == task.computing.code
        assert all(str(computed(slip)) != task.answers[0] for slip in task.computing.slips), (name, task)
        assert task.answers[0] not in task.question.text
        assert task.right(task.answers[0]) and not task.right("-1")
        assert int(task.answers[0]) > 0
        if FORMS[name].reverses:
            assert re.findall(r"\d+", task.plan.as_read) == [str(value) for value in task.plan.values]
            assert computed(task.plan.as_read) == -int(task.answers[0])


def test_the_facts_stand_in_the_passages_and_nowhere_else(worlds: dict[int, World]) -> None:
    for world, level, _, task in each(worlds):
        assert task.plan
        texts = {passage.title: passage.text for passage in world.passages}
        assert 1 <= len(task.question.hops) <= level.searches
        assert [hop.title for hop in task.question.hops] == list(task.question.supporting)
        assert set(task.plan.titles) <= set(task.question.supporting)
        for value, title in zip(task.plan.values, task.plan.titles, strict=True):
            assert re.search(rf"\b{value}\b", texts[title])
        named = [str(task.plan.n)] if "{n}" in task.plan.code else []
        assert re.findall(r"\d+", task.question.text) == named


def test_the_passages_are_found_one_after_the_other(worlds: dict[int, World]) -> None:
    for number, world in worlds.items():
        index = BM25(world.passages)
        for split in ("train", "eval"):
            for _, _, _, task in each({number: world}, split)[::3]:
                read = task.question.text
                for hop in task.question.hops:
                    assert hop.query in read, "it is named in the question or in what was read"
                    hits = index.search(hop.query, LEVELS[number].topk)
                    assert hop.title in [hit.passage.title for hit in hits]
                    read += "".join(hit.passage.text for hit in hits)


def test_who_does_not_look_computes_something_else(worlds: dict[int, World]) -> None:
    tasks = [task for *_, task in each(worlds)]
    blind = [str(computed(task.plan.cell(()))) == task.answers[0] for task in tasks if task.plan]
    assert sum(blind) / len(blind) < 0.05


def test_no_answer_is_frequent(worlds: dict[int, World]) -> None:
    for name in LEVELS[1].forms:
        answers = [draw(worlds[1], LEVELS[1], "train", name, random.Random(seed)).answers[0] for seed in range(400)]
        assert max(map(answers.count, answers)) <= 50


def test_the_parts_of_the_world_share_no_question(worlds: dict[int, World]) -> None:
    train, held = ({task.question.text for *_, task in each(worlds, split)} for split in ("train", "eval"))
    assert not train & held


def test_every_form_is_asked_for() -> None:
    assert {name for level in LEVELS.values() for name in level.forms} == set(FORMS)
    assert all(len(form.wordings) == 3 for form in FORMS.values())


def test_a_world_without_the_facts() -> None:
    with pytest.raises(ConfigError, match="has no questions of the form 'trips'"):
        draw(World(LEVELS[0].world, 0), LEVELS[0], "train", "trips", random.Random(0))


def test_a_plan_with_what_is_known() -> None:
    plan = Plan("{1} - {0} + {n}", 7, (1873, 1901), (1800, 1990), ("A", "B"))
    assert plan.cell(["b"]) == "1901 - 1800 + 7"
    assert plan.cell([]) == "1990 - 1800 + 7"
