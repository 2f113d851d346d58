"""The environment: contracts, snapshots, rewards, experts, retrieval that fails."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest

import agentrl
from agentrl.env import EVAL_SEED_BASE
from agentrl.envs.search import Search
from agentrl.envs.search.levels import LEVELS
from agentrl.envs.search.passages import Passage
from agentrl.envs.search.prompts import CONTRACTS, INVALID
from agentrl.envs.search.retrievers import Hit, RetrieverError
from agentrl.errors import ConfigError, EnvError, NotForkable
from agentrl.tool import ToolCall, encode_calls

PROMPTS = sorted(CONTRACTS)


def play(env: Search, seed: int, most: int = 12) -> dict[str, Any]:
    """The expert's episode; its last info."""
    env.reset(seed=seed)
    info: dict[str, Any] = {}
    for _ in range(most):
        if (said := env.expert()) is None:
            break
        *_, info = env.step(said)
    return info


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("level", sorted(LEVELS))
def test_the_expert_finds_everything_and_wins(level: int, prompt: str) -> None:
    """Every query finds its passage with the environment's own retriever, within the level's limit of turns."""
    for split in ("train", "eval"):
        env = Search(level=level, split=split, prompt=prompt)
        most = LEVELS[level].max_turns
        for seed in range(200 if prompt == "plain" else 40):
            info = play(env, seed, most)
            assert info["won"], (seed, env.episode)
            assert info["recall"] == 1.0, (seed, env.episode)


@pytest.mark.parametrize("world", [1, 2])
def test_the_expert_wins_in_other_worlds(world: int) -> None:
    for level in (1, 3):
        env = Search(level=level, world=world)
        assert all(play(env, seed)["recall"] == 1.0 for seed in range(60))
        assert env.reset(seed=0)[0] != Search(level=level).reset(seed=0)[0]


@pytest.mark.parametrize("level", [0, 2, 4])
def test_every_passage_is_found_by_its_title(level: int) -> None:
    env = Search(level=level)
    for passage in env.source.corpus[:2000]:  # type: ignore[index]
        assert isinstance(passage, Passage)
        assert passage in [hit.passage for hit in env.retriever.search(passage.title, env.topk)]


def success(env: Search, episodes: int, **slips: float) -> float:
    rng, wins = np.random.default_rng(0), 0
    for seed in range(episodes):
        env.reset(seed=seed)
        for _ in range(env.max_turns):
            *_, info = env.step(env.noisy_expert(rng, **slips) or "")
        wins += info["won"]
    return wins / episodes


def test_the_noisy_expert_errs_as_much_as_asked() -> None:
    env = Search()
    assert success(env, 200, astray=0, early=0, mix=0) == 1.0
    assert success(env, 200, astray=0.8, early=0, mix=0) < 0.5
    assert success(env, 200, astray=0, early=0.8, mix=0) < 0.8  # of those with two hops
    assert success(env, 200, astray=0, early=0, mix=0.8) < 0.3
    for level in LEVELS:
        assert 0.35 < success(Search(level=level), 200) < 0.75, level


def test_notes_hold_what_was_read() -> None:
    env = Search()
    seed = next(s for s in range(50) if env.reset(seed=s)[1]["task_type"] == "bridge-2")
    env.reset(seed=seed)
    one, two = env.episode.question.hops
    notes = [env.memory_note()]
    while (said := env.expert()) is not None:
        env.step(said)
        notes.append(env.memory_note())
    first = f"{one.title}: {one.answer}."
    assert notes[:3] == [None, first, f"{first} {two.title}: {two.answer}."]


def walk(env: Search, actions: Sequence[str]) -> list[Any]:
    return [(env.step(action), env.state_key(), env.expert()) for action in actions]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_snapshots_at_random_points_continue_equally(prompt: str) -> None:
    env, other = Search(level=2, prompt=prompt), Search(level=2, split="eval", prompt=prompt)
    rng, noise = random.Random(3), np.random.default_rng(3)
    other.reset(seed=999)
    for seed in range(40):
        env.reset(seed=seed)
        for _ in range(rng.randrange(4)):
            env.step(env.noisy_expert(noise) or "")
        snapshot = env.snapshot()
        hash(snapshot)
        future = []
        for _ in range(5):
            future.append(rng.choice([env.noisy_expert(noise) or "", "", "<search>Amber"]))
            env.step(future[-1])
        env.restore(snapshot)
        expected = walk(env, future)
        other.restore(snapshot)
        assert walk(other, future) == expected


def test_what_is_no_snapshot_is_refused() -> None:
    env = Search(level=0)
    for call in (env.snapshot, env.state_key, lambda: env.step("x")):
        with pytest.raises(EnvError, match="Call reset"):
            call()
    with pytest.raises(NotForkable, match="cannot restore a str"):
        env.restore("x")


def test_seeds() -> None:
    env = Search()
    shown = [env.reset(seed=s)[0] for s in range(30)]
    assert len(set(shown)) >= 29
    assert [Search().reset(seed=s)[0] for s in range(30)] == shown
    assert Search(split="eval").reset(seed=EVAL_SEED_BASE)[0] not in shown
    assert env.reset()[0] != env.reset()[0]


def test_rewards_and_what_info_says() -> None:
    for reward in ("em", "f1"):
        env = Search(reward=reward)
        _, info = env.reset(seed=3)
        kind, hops = info["task_type"], env.episode.question.hops
        assert kind == f"bridge-{len(hops)}"
        total = dict.fromkeys(("em", "f1", "recall"), 0.0)
        while (said := env.expert()) is not None:
            _, gained, over, truncated, info = env.step(said)
            total = {k: v + info["reward"][k] for k, v in total.items()}
            assert (info["task_type"], info["valid"], truncated) == (kind, True, False)
            assert info["tool_calls"] == (not over)
        assert (gained, over, info["won"], info["score"]) == (1.0, True, True, 1.0)
        assert total == {"em": 1.0, "f1": 1.0, "recall": 1.0}
        env.reset(seed=3)
        half = env.episode.question.answers[0].split()[0]
        _, gained, over, _, info = env.step(f"<answer>The {half}!</answer>")
        assert (gained, over, info["won"]) == (pytest.approx(2 / 3) if reward == "f1" else 0.0, True, False)
        assert info["score"] == info["reward"]["f1"] == pytest.approx(2 / 3)


def test_nothing_changes_after_the_answer() -> None:
    env = Search(level=0)
    play(env, 0)
    before = env.snapshot()
    for said in ("<search>Amber</search>", "<answer>x</answer>", ""):
        shown, gained, over, _, info = env.step(said)
        assert (shown, gained, over, info["won"], info["valid"]) == ("Right.", 0.0, True, True, False)
    assert env.snapshot() == before
    assert (env.expert(), env.noisy_expert(np.random.default_rng(0))) == (None, None)


def test_state_keys_are_what_is_known() -> None:
    """The same passages found in another order, or with a wasted turn, are the same state."""
    env, keys = Search(level=1), []
    titles = [p.title for p in env.source.corpus[:2]]  # type: ignore[index,union-attr]
    for order in (titles, titles[::-1], [titles[0], "", titles[1]]):
        env.reset(seed=0)
        for title in order:
            env.step(f"<search>{title}</search>")
        keys.append(env.state_key())
    assert len(set(keys)) == 1
    env.step("<search>Amber</search>")
    assert env.state_key() != keys[0]
    published = Search(prompt="search-r1")
    assert published.reset(seed=0)[0] == published.state_key()


def test_search_r1_is_the_published_contract() -> None:
    env = Search(prompt="search-r1")
    assert (env.topk, env.max_turns, env.instructions, env.reads_reasoning, env.tools) == (3, 4, "", True, [])
    shown, _ = env.reset(seed=3)
    assert shown.startswith("Answer the given question. You must conduct reasoning inside <think> and </think> first")
    assert shown.endswith(f"For example, <answer> Beijing </answer>. Question: {env.episode.question.text}\n")
    title = env.episode.question.hops[0].title
    shown = env.step(f"<think>Hm.</think> <search> {title} </search> and so on")[0]
    assert shown.startswith(f'\n\n<information>Doc 1(Title: "{title}") {title} is ')
    assert '\nDoc 3(Title: "' in shown
    assert shown.endswith(".</information>\n\n")
    for said in (
        "<search>a</search><answer>b</answer>",
        "<search>a</search><search>b</search>",
        "<answer>a</answer><answer>b</answer>",
        "<think><search></think><search>a</search>",
        "<search>a",
        "<search> </search>",
        "a",
    ):
        shown, _, over, _, info = env.step(said)
        assert (shown, over, info["valid"]) == (INVALID, False, False)
    assert env.step("<search>zzz</search>")[0] == "\n\n<information></information>\n\n"
    *_, info = env.step(f"<answer> {env.episode.question.answers[0]}. </answer>")
    assert info["won"]


def test_function_calls() -> None:
    env = Search(level=1, prompt="functions")
    (schema,) = env.tools
    assert schema["function"]["parameters"]["required"] == ["query"]
    env.reset(seed=0)
    titles = [p.title for p in env.source.corpus[:2]]  # type: ignore[index,union-attr]
    shown, *_, info = env.step(encode_calls([ToolCall("search", {"query": title}) for title in titles]))
    assert shown.splitlines() == [f"({p.title}) {p.text}" for p in env.source.corpus[:2]]  # type: ignore[index,union-attr]
    assert (info["tool_calls"], info["valid"], env.episode.found) == (2, True, tuple(titles))
    shown, *_, info = env.step(encode_calls([ToolCall("find", {}), ToolCall("search", {"query": "zzz"})]))
    assert shown.splitlines() == ["Error: There is no tool 'find'. Tools: search.", "Nothing was found."]
    assert (info["tool_calls"], info["valid"]) == (2, False)
    *_, over, _, info = env.step(env.episode.question.answers[0])
    assert (over, info["won"]) == (True, True)


class Broken:
    """A retriever that is down after a while."""

    name = "broken"

    def __init__(self, left: int) -> None:
        self.left = left

    def search(self, query: str, k: int) -> list[Hit]:
        self.left -= 1
        if self.left < 0:
            raise RetrieverError("The server did not answer. Is it up?")
        return [Hit(Passage("0", '"Some Title"', "text"), 1.0)] * 2


def test_a_retriever_that_fails_is_no_observation() -> None:
    env = Search()
    env.retriever = Broken(1)
    env.reset(seed=0)
    env.step("<search>a</search>")
    before = env.snapshot()
    assert before.found == ('"Some Title"',)
    with pytest.raises(RetrieverError, match="Is it up"):
        env.step("<search>b</search>")
    assert env.snapshot() == before


def test_titles_are_compared_without_quotes_and_case() -> None:
    env = Search()
    env.retriever = Broken(9)
    env.reset(seed=0)
    env.restore(env.episode._replace(question=env.episode.question._replace(supporting=("some title", "other"))))
    assert env.step("<search>a</search>")[4]["recall"] == 0.5


def test_the_index_is_shared() -> None:
    assert Search(level=2).retriever is Search(level=2, split="eval", prompt="functions").retriever
    assert Search(level=2).retriever is not Search(level=2, world=1).retriever


def test_by_name() -> None:
    assert agentrl is not None
    env = gymnasium.make("agentrl/Search-v0", level=0)
    shown, info = env.reset(seed=3)
    assert shown.startswith(("Who is", "What is"))
    assert info["task_type"] == "bridge-1"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "test"}, "Unknown split 'test'"),
        ({"prompt": "search_r1"}, "Did you mean 'search-r1'"),
        ({"reward": "f"}, "Unknown reward 'f'"),
        ({"level": 9}, "Unknown level of the generated encyclopedia '9'"),
        ({"kinds": "brige"}, "Did you mean 'bridge'"),
        ({"retriever": "bm52"}, "Did you mean 'bm25'"),
        ({"topk": 0}, "env.topk=0 must be 1 or more"),
        ({"max_turns": -1}, "env.max_turns=-1"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Search(**settings)
    with pytest.raises(ConfigError, match="picks among a file's questions"):
        Search(level=0).reset(options={"question": 0})


def test_kinds_and_sizes_can_be_chosen() -> None:
    env = Search(level=3, kinds="counting, temporal", topk=5, max_turns=9, passage_chars=20)
    assert {env.reset(seed=s)[1]["task_type"].split("-")[0] for s in range(20)} == {"counting", "temporal"}
    assert (env.topk, env.max_turns) == (5, 9)
    lines = env.step("<search>Amber</search>")[0].removeprefix("<information>").splitlines()
    assert len(lines) == 5
    assert len(lines[0].partition(") ")[2]) == 20


def test_speed() -> None:
    """Far below what was measured: other processes may be busy."""
    env, steps = Search(), 0
    start = time.process_time()
    for seed in range(300):
        env.reset(seed=seed)
        while (said := env.expert()) is not None:
            env.step(said)
            steps += 1
    assert steps / (time.process_time() - start) > 1500
    env.reset(seed=0)
    start = time.process_time()
    for _ in range(1000):
        env.restore(env.snapshot())
    assert (time.process_time() - start) / 1000 < 50e-6
