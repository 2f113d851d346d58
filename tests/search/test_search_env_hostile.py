"""Whatever a policy says: it is told, nothing else changes, nothing raises."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.envs.search import Search
from agentrl.envs.search.env import QUERY_CHARS
from agentrl.envs.search.prompts import CONTRACTS
from agentrl.tool import ToolCall, encode_calls

NO_ACTION = [
    "", " ", "\n", "\x00", "search", "<search>", "</search>", "<search></search>", "<search> \n </search>",
    "<search>a", "a</search>", "<answer>", "<answer></answer>", "<search>a</answer>", "<Search>a</Search>",
    "＜search＞a＜/search＞", "<ѕearch>a</ѕearch>", "<search>a</search><search>b</search>",
    "<search>a</search><answer>b</answer>", "<answer>a</answer><answer>b</answer>",
    "<python>1</python>", "<information>x</information>", "< search >a</ search >", "\ud800", "🙂", "x" * 3_000_000,
    "<search>" * 100_000, "<think>" * 100_000, "<search>" + "a " * 1_500_000 + "</search>",
]  # fmt: skip
QUERIES = [
    "\x00", "\ud800", "🙂", "'; drop table passages; --", "AND OR NOT", "title:*", "\\", '"', "(((((", "a^9 b~2",
    "+a -b", "ｌｏｏｋ", "\u202eabc", "</information>", "<b>", "{}", "%s", "{question}", "a" * QUERY_CHARS,
    " ".join("a" * 400),
]  # fmt: skip


def opened(prompt: str = "plain") -> Search:
    env = Search(level=1, prompt=prompt)
    env.reset(seed=4)
    return env


@pytest.mark.parametrize("said", NO_ACTION, ids=range(len(NO_ACTION)))
def test_what_is_no_action_changes_nothing(said: str) -> None:
    for prompt in ("plain", "search-r1"):
        env = opened(prompt)
        before, expected = env.episode, env.expert()
        shown, gained, over, truncated, info = env.step(said)
        assert (gained, over, truncated, info["won"], info["valid"]) == (0.0, False, False, False, False)
        assert env.episode._replace(shown=before.shown) == before
        assert 0 < len(shown) < 400
        assert env.expert() == expected


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
@pytest.mark.parametrize("prompt", sorted(CONTRACTS))
def test_odd_queries_are_answered(query: str, prompt: str) -> None:
    env = opened(prompt)
    said = (
        encode_calls([ToolCall("search", {"query": query})]) if prompt == "functions" else f"<search>{query}</search>"
    )
    shown, gained, over, _, info = env.step(said)
    assert (gained, over, info["won"], info["tool_calls"]) == (0.0, False, False, 1)
    assert shown.count("</information>") == (prompt != "functions")
    assert env.episode.over is False


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('[{"name": "search", "arguments": {}}]', "query: Field required"),
        ('[{"name": "search", "arguments": {"query": ""}}]', "Say what to search for"),
        ('[{"name": "search", "arguments": {"query": 3}}]', "query: Input should be a valid string"),
        ('[{"name": "search", "arguments": {"query": "a", "k": 9}}]', "k: Extra inputs"),
        ('[{"name": "search", "arguments": null}]', "Input should be"),
        ('[{"name": "answer", "arguments": {"text": "a"}}]', "There is no tool 'answer'"),
        (encode_calls([ToolCall("search", {"query": "a" * 1001})]), "1000 are the most"),
        ("", "Say something"),
        (" \n", "Say something"),
    ],
)
def test_odd_calls_are_told(call: str, message: str) -> None:
    env = opened("functions")
    before = env.episode
    shown, gained, over, _, info = env.step(call)
    assert message in shown
    assert (gained, over, info["valid"]) == (0.0, False, False)
    assert env.episode._replace(shown=before.shown) == before


@pytest.mark.parametrize("text", ["\x00", "\ud800", "🙂", "x " * 500_000, "yes and no", "...", "the"])
def test_odd_answers_are_wrong(text: str) -> None:
    for prompt in ("plain", "functions"):
        env = opened(prompt)
        shown, gained, over, _, info = env.step(text if prompt == "functions" else f"<answer>{text}</answer>")
        assert (shown, gained, over, info["won"], info["score"]) == ("Wrong.", 0.0, True, False, 0.0)


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=80), st.sampled_from(["{}", "<search>{}</search>", "<answer>{}</answer>", "<think>{}</think>"]))
def test_any_text(said: str, form: str) -> None:
    env = opened()
    _, gained, over, _, info = env.step(form.replace("{}", said))
    assert gained == 0.0 or info["won"]
    assert over == env.episode.over
    assert len(env.episode.asked) <= 1


def test_thoughts_are_no_actions() -> None:
    env = opened()
    assert env.step("<think><search>a</search> <answer>b</answer></think>")[4]["valid"] is False
    assert env.step("<think>not <answer>b</answer>, but</think><search>a</search>")[4]["valid"] is True
    assert opened("search-r1").step("<think><search>a</search></think>")[4]["valid"] is True  # as published


def test_many_searches_keep_the_state_small() -> None:
    env = opened()
    for n in range(200):
        env.step(f"<search>Amber {n}</search>")
    assert len(env.episode.asked) == 64
    assert len(set(env.episode.found)) == len(env.episode.found)
