"""Whatever a policy says, it gets an answer, and only looking and answering change anything."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.envs.memory import Memory
from agentrl.envs.memory.tasks import TASKS

CALL = '[{"name": "%s", "arguments": %s}]'
SAID = [
    "", " ", "\n", "\x00", "search", "<search>", "<search></search>", "<search> </search>", "<search>x", "</search>",
    "<answer></answer>", "<answer>x", "<search>a</search><search>b</search>",
    "<answer>a</answer><answer>b</answer>",
    "<think><answer>a; b</answer></think>", "<read>one</read>", "<read>-1</read>", "<read>0</read>", "<read>1e9</read>",
    "<read>99999999999999999999999</read>", "<read>1.5</read>", "<reаd>1</reаd>", "＜answer＞a＜/answer＞", "null",
    "[]",
    "<prune_context>r1</prune_context>", CALL % ("prune_context", '{"memory": "m", "delete_ids": ["r1"]}'),
    CALL % ("nothing", "{}"), CALL % ("search", '{"query": 7}'), CALL % ("search", '{"query": "a", "topk": -1}'),
    CALL % ("search", '{"query": ""}'), CALL % ("search", '{"question": "a"}'), CALL % ("read", '{"page": "two"}'),
    CALL % ("read", '{"page": null}'), CALL % ("read", "[]"), "\ud800", "<search>" + "x" * 3_000_000 + "</search>",
    "<answer>" + "x" * 3_000_000, "y" * 3_000_000,
]  # fmt: skip


def played(task: str, prompt: str = "plain", steps: int = 2) -> Memory:
    """Some steps into an episode."""
    env = Memory(task=task, prompt=prompt)
    env.reset(seed=5)
    for _ in range(steps):
        env.step(env.expert() or "")
    return env


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("said", SAID, ids=range(len(SAID)))
def test_odd_actions_change_nothing(said: str, task: str) -> None:
    env = played(task)
    before = env.episode
    shown, reward, terminated, truncated, info = env.step(said)
    assert (reward, terminated, truncated, info["won"], info["valid"]) == (0.0, False, False, False, False)
    assert shown.strip()
    assert len(shown) < 2000
    assert env.episode.progress == before.progress
    assert env.state_key() == _key(before, env)
    while (action := env.expert()) is not None:
        *_, info = env.step(action)
    assert info["won"]


def _key(before: object, env: Memory) -> str:
    other = Memory(task=env.episode.case.kind.split("-")[0])
    other.restore(before)
    return other.state_key()


@pytest.mark.parametrize("task", TASKS)
def test_odd_calls_change_nothing(task: str) -> None:
    for said in (one for one in SAID if one.startswith("[{")):
        env = played(task, "functions")
        before = env.episode.progress
        shown, reward, terminated, *_, info = env.step(said)
        assert (reward, terminated, info["valid"]) == (0.0, False, False)
        assert shown.startswith("Error: ")
        assert env.episode.progress == before


@pytest.mark.parametrize("task", TASKS)
def test_calls_of_functions(task: str) -> None:
    env = played(task, "functions", 0)
    assert [schema["function"]["name"] for schema in env.tools] == ["search" if task == "objectives" else "read"]
    turns = 0
    while (action := env.expert()) is not None:
        *_, info = env.step(action)
        turns += 1
        assert info["tool_calls"] == (0 if info["won"] else 1)
        assert info["won"] or json.loads(action)[0]["name"] in ("search", "read")
    assert info["won"]


def test_several_calls_and_the_number_of_passages() -> None:
    env = played("objectives", "functions", 0)
    queries = [{"name": "search", "arguments": {"query": q, "topk": n}} for q, n in (("film", 1), ("film", 5))]
    shown, *_, info = env.step(json.dumps(queries))
    assert info["valid"]
    assert info["tool_calls"] == 2
    assert len(shown.split("\n")) == 6
    shown, *_, info = env.step(json.dumps([{"name": "search", "arguments": {"query": "Amber", "topk": 21}}]))
    assert "1 to 20 passages" in shown
    assert not info["valid"]


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=80), st.sampled_from(TASKS), st.sampled_from(["plain", "functions"]))
def test_any_text(said: str, task: str, prompt: str) -> None:
    env = played(task, prompt)
    before = env.episode.progress
    _, reward, terminated, *_, info = env.step(said)
    assert reward == 0.0
    assert not info["won"]
    assert terminated == (prompt == "functions" and bool(said.strip()))
    assert env.episode.progress == before


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from(["<search>", "</search>", "<answer>", "</answer>", "a", ";", "<read>", "</read>", "1"]))
)
def test_tags_in_any_order(parts: list[str]) -> None:
    env = played("log")
    said = " ".join(parts)
    *_, terminated, _, info = env.step(said)
    assert not info["won"]
    assert info["valid"] or info["tool_calls"] in (0, 1)
    assert not terminated or said.count("<answer>") == 1


@pytest.mark.parametrize("task", TASKS)
def test_nothing_happens_after_the_answer(task: str) -> None:
    env = played(task)
    env.step("<answer>a; b</answer>")
    before = env.episode
    shown, reward, terminated, _, info = env.step("<search>more</search>")
    assert (shown, reward, terminated, info["valid"]) == (before.shown, 0.0, True, False)
    assert env.episode == before
    assert env.expert() is None
