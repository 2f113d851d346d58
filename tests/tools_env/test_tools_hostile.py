"""Whatever a policy says, the environment answers, and only a call or an answer changes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrl.envs.tools import Tools

Make = Callable[..., Tools]
NO_ACTION = [
    "", " ", "\n", "\x00", "search", "<search></search>", "<search> </search>", "<python>\n</python>",
    "<answer></answer>",
    "<search>a", "<python>1", "search>a</search>", "<search>a</search><search>b</search>", "<SEARCH>a</SEARCH>",
    "<search>a</search><answer>b</answer>", "<think><search>a</search></think>", "＜search＞a＜/search＞",
    "<sеarch>a</sеarch>", "<code>1</code>", "<result>x</result>", "[]", "null", "{question}", "%s",
    '[{"name": "search", "arguments": {"query": "a"}}]', "\ud800", "🙂", "<" * 100_000, "<search>" * 50_000,
    "x" * 3_000_000,
]  # fmt: skip
CALLS = [
    "<search>" + "a" * 100_000 + "</search>",
    "<python>" + "#" * 200_000 + "</python>",
    "<search>\x00\x1b[2J</search>",
    '<search>"((( AND OR NOT :*</search>',
    "<search>\ud800</search>",
    "<python>\x00</python>",
    "<python>\ud800</python>",
    "<python>import os; os._exit(3)</python>",
    "<python>print('\\x1b[2J' * 99999)</python>",
    "<python>```python\n1\n```</python>",
]
JSON = [
    "[", "[]", "[1]", '[{"name": "search"}]', '[{"name": "serach", "arguments": {"query": "a"}}]',
    '[{"name": "search", "arguments": {"query": 3}}]', '[{"name": "search", "arguments": {}}]',
    '[{"name": "search", "arguments": {"query": "a", "topk": 99}}]', '[{"name": "search", "arguments": "a"}]',
    "[" * 100_000, '[{"name": "python", "arguments": {"code": ""}}]',
    '[{"name": ["python"], "arguments": {"code": "1"}}]',
]  # fmt: skip


@pytest.mark.parametrize("said", NO_ACTION, ids=range(len(NO_ACTION)))
def test_what_is_no_action_changes_nothing(tools: Make, said: str) -> None:
    env = tools(level=1)
    env.reset(seed=2)
    env.step(env.expert() or "")
    before, key = env.episode, env.state_key()
    shown, reward, terminated, truncated, info = env.step(said)
    assert shown and (reward, terminated, truncated, info["valid"], info["won"]) == (0.0, False, False, False, False)
    assert env.episode == before._replace(shown=shown, turns=before.turns + 1) and env.state_key() == key
    assert info["tool_calls"] == 0 and info["tools"] == []


@pytest.mark.parametrize("prompt", ["plain", "arpo", "tapo"])
def test_odd_calls_are_answered(tools: Make, prompt: str) -> None:
    env = tools(prompt=prompt, max_turns=20, max_calls=19)
    env.reset(seed=0)
    for said in CALLS:
        said = said.replace("python>", "code>") if prompt == "tapo" else said
        shown, reward, terminated, truncated, info = env.step(said)
        assert 0 < len(shown) < 20_000 and (reward, terminated, truncated) == (0.0, False, False), said[:40]
        assert info["tool_calls"] == 1
        assert info["valid"] == bool(info["tools"])
    assert not env.episode.won


@pytest.mark.parametrize("said", JSON, ids=range(len(JSON)))
def test_odd_function_calls(tools: Make, said: str) -> None:
    env = tools(prompt="functions")
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step(said)
    assert reward == 0.0 and not info["won"]
    assert terminated or not info["valid"] or said == "[]"


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_pieces_of_tags_in_any_order(sandbox: str, data: st.DataObject) -> None:
    prompt = data.draw(st.sampled_from(["plain", "functions", "arpo", "tapo"]))
    env = Tools(level=0, prompt=prompt, tasks="search")
    env.reset(seed=data.draw(st.integers(0, 9)))
    names = ("think", "search", "answer", "result", "response")
    pieces = [*(f"<{name}>" for name in names), *(f"</{name}>" for name in names), "a", " ", "\\boxed{", "}"]
    total = 0.0
    for _ in range(env.max_turns):
        said = "".join(data.draw(st.lists(st.sampled_from(pieces), max_size=9)))
        shown, reward, terminated, truncated, info = env.step(said)
        total += reward
        assert isinstance(shown, str) and not info["won"]
        if terminated or truncated:
            break
    low, high = env.reward_range
    assert low <= total <= high
    assert prompt in ("plain", "functions") or env.episode.over
