"""Answers, rewards and settings."""

from __future__ import annotations

import doctest
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from agentrl import make
from agentrl.envs.memory import Memory
from agentrl.envs.memory.answers import join, right, split
from agentrl.envs.memory.cases import Asked
from agentrl.envs.memory.tasks import TASKS
from agentrl.errors import ConfigError, DataError, EnvError, UnknownName

QUESTIONS = (Asked("a?", ("Cedar Bay",)), Asked("b?", ("2", "two")), Asked("c?", ("yes",)))


@pytest.mark.parametrize("name", ["answers", "cases", "objectives", "pages"])
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"agentrl.envs.memory.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cedar Bay; 2; yes", [True, True, True]),
        ("the cedar bay.;TWO;Yes", [True, True, True]),
        ("1. Cedar Bay; 2. two; 3) yes", [True, True, True]),
        ("yes; 2; Cedar Bay", [False, True, False]),
        ("; 2; ", [False, True, False]),
        ("Cedar Bay; 2", None),
        ("Cedar Bay, 2, yes", None),
        ("Cedar Bay; 2; yes; no", None),
        ("", None),
    ],
)
def test_answers_are_told_apart_by_semicolons(text: str, expected: list[bool] | None) -> None:
    assert right(text, QUESTIONS) == expected


def test_a_number_is_an_answer_too() -> None:
    assert right("2.", [QUESTIONS[1]]) == [True]
    assert right("1. 2", [QUESTIONS[1]]) == [True]
    assert split("2. 3; 1. 4") == ["2. 3", "1. 4"]  # not numbers in front, which would count on


def test_what_is_joined_is_read_again() -> None:
    assert split(join(["a", "b c", "d; e"])) == ["a", "b c", "d, e"]
    assert right(join(["Stop; go", "2"]), [Asked("", ("Stop; go",)), Asked("", ("2",))]) == [True, True]


def ended(reward: str, text: str, **settings: Any) -> tuple[float, dict[str, Any]]:
    env = Memory(reward=reward, questions=2, **settings)
    env.reset(seed=0)
    _, paid, terminated, _, info = env.step(f"<answer>{text}</answer>")
    assert terminated
    return paid, info


def answers() -> list[str]:
    env = Memory(questions=2)
    env.reset(seed=0)
    return [question.answers[0] for question in env.episode.case.questions]


@pytest.mark.parametrize(
    ("reward", "all_right", "half", "none", "unreadable"),
    [("success", 1.0, 0.0, 0.0, 0.0), ("share", 1.0, 0.5, 0.0, 0.0), ("published", 1.0, 0.0, 0.0, -0.1)],
)
def test_rewards(reward: str, all_right: float, half: float, none: float, unreadable: float) -> None:
    one, two = answers()
    for text, paid, score, valid in (
        (f"{one}; {two}", all_right, 1.0, True),
        (f"{one}; {one}", half, 0.5, True),
        ("x; y", none, 0.0, True),
        ("x", unreadable, 0.0, False),
    ):
        got, info = ended(reward, text)
        assert got == paid
        assert (info["score"], info["valid"], info["won"]) == (score, valid, score == 1.0)
        assert info["reward"]["right"] == score
        assert info["reward"]["violation"] == min(0.0, paid)


def test_the_published_reward_charges_for_the_turn_limit() -> None:
    for reward, paid in (("published", -0.1), ("success", 0.0)):
        env = Memory(reward=reward, max_turns=3)
        assert env.reward_range == (min(0.0, paid), 1.0)
        env.reset(seed=0)
        for turn in range(3):
            _, got, terminated, truncated, info = env.step("<search>Amber</search>")
            assert not terminated
            assert (got, truncated) == ((paid, reward == "published") if turn == 2 else (0.0, False))
        assert not info["won"]
    env = Memory(reward="published", max_turns=3, level=0, questions=2)
    env.reset(seed=0)
    assert [env.step(env.expert() or "")[1] for _ in range(3)] == [0.0, 0.0, 1.0]  # answered with the last turn


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "logs"}, "Did you mean 'log'"),
        ({"level": 5}, "Unknown level '5'"),
        ({"split": "dev"}, "Unknown split"),
        ({"prompt": "plane"}, "Did you mean 'plain'"),
        ({"reward": "sucess"}, "Did you mean 'success'"),
        ({"questions": 9}, "8 are the most"),
        ({"questions": 0}, "must be 1 or more"),
        ({"max_turns": 0}, "must be 1 or more"),
        ({"pages": 3}, "env.pages is no setting of the task 'objectives'"),
        ({"task": "log", "topk": 3}, "env.topk is no setting of the task 'log'"),
        ({"task": "log", "retriever": "bm25"}, "env.retriever is a setting of the task 'objectives'"),
        ({"retriever": "bm52"}, "Did you mean 'bm25'"),
        ({"corpus": "x.jsonl"}, "give --env.data"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Memory(**settings)


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        Memory(data="nowhere.jsonl")
    with pytest.raises(EnvError, match="reset"):
        Memory().step("x")
    with pytest.raises(UnknownName, match=r"env\.level"):
        make("memory", levle=2)


def test_lengths() -> None:
    env = Memory(task="log", pages=5, page_words=200)
    env.reset(seed=0)
    shown, *_ = env.step("<read>1</read>")
    assert shown.startswith("<information>Page 1 of 5.")
    assert 150 <= len(shown.split()) <= 250
    assert env.max_turns == 18
    env = Memory(topk=4, passage_words=5)
    env.reset(seed=0)
    shown, *_ = env.step("<search>film</search>")
    lines = shown.removeprefix("<information>").split("\n")
    assert len(lines) == 4
    assert all(line.partition(") ")[2].removesuffix("</information>").endswith(" ...") for line in lines)


def test_questions_of_a_file(tmp_path: Path) -> None:
    rows = [
        {"question": f"What is the colour of thing {n}?", "answer": [f"shade {n}"], "title": f"T{n}"} for n in range(40)
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    passages = [{"title": f"thing {n}", "text": f"thing {n} has the colour shade {n}"} for n in range(40)]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, passages)))
    env = Memory(data=str(tmp_path / "q.jsonl"), corpus=str(tmp_path / "c.jsonl"), questions=3)
    for seed in range(5):
        env.reset(seed=seed)
        turns = 0
        while (said := env.expert()) is not None:
            *_, info = env.step(said)
            turns += 1
        assert info["won"]
        assert turns == 4  # each question is searched for
    with pytest.raises(ConfigError, match=r"no 8 questions|There are no"):
        (tmp_path / "few.jsonl").write_text("\n".join(map(json.dumps, rows[:4])))
        Memory(data=str(tmp_path / "few.jsonl"), corpus=str(tmp_path / "c.jsonl"), questions=8).reset(seed=0)


def test_real_questions(shared_data: Path) -> None:
    env = Memory(data=str(shared_data / "qa" / "hotpotqa_distractor_100.json"), questions=4, split="all")
    for seed in range(3):
        env.reset(seed=seed)
        while (said := env.expert()) is not None:
            *_, info = env.step(said)
        assert info["won"]
        assert env.memory_note()


@pytest.mark.parametrize("task", TASKS)
def test_instructions_name_the_actions(task: str) -> None:
    plain, functions = Memory(task=task), Memory(task=task, prompt="functions")
    tool = "search" if task == "objectives" else "read"
    assert f"<{tool}>" in plain.instructions
    assert "<answer>first; second</answer>" in plain.instructions
    assert f"call {tool}" in functions.instructions
    assert "<" not in functions.instructions
