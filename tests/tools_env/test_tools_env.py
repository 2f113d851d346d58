"""The environment: experts, snapshots, budgets, sandboxes, what is told."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest

import agentrl
from agentrl.env import EVAL_SEED_BASE
from agentrl.envs.tools import Tools
from agentrl.errors import ConfigError, EnvError, NotForkable, UnknownName
from agentrl.sandboxes.blocking import BlockingSession

Make = Callable[..., Tools]


def played(env: Tools, seed: int) -> list[Any]:
    """What the expert does, and what comes of it."""
    env.reset(seed=seed)
    steps = []
    while (said := env.expert()) is not None:
        steps.append((said, *env.step(said)))
        assert len(steps) <= env.max_turns
    return steps


@pytest.mark.parametrize("prompt", ["plain", "functions", "arpo", "tapo"])
@pytest.mark.parametrize("level", [0, 2, 4])
def test_the_expert_wins_within_the_limits(tools: Make, level: int, prompt: str) -> None:
    env = tools(level=level, prompt=prompt)
    for seed in range(12):
        steps = played(env, seed)
        *_, last = steps
        assert last[5]["won"] and last[3] and not last[4]
        assert last[2] >= 1.0 and sum(step[2] for step in steps) <= env.reward_range[1]
        assert all(step[5]["valid"] for step in steps)
        assert sum(step[5]["tool_calls"] for step in steps) <= env.max_calls


def test_the_expert_wins_after_wrong_moves(tools: Make) -> None:
    env, rng = tools(level=1), random.Random(0)
    wrong = ["<python>1 + 1</python>", "<search>Ada</search>", "nothing", "<python>1 +</python>"]
    for seed in range(12):
        env.reset(seed=seed)
        for _ in range(2):
            env.step(rng.choice(wrong))
        while (said := env.expert()) is not None:
            *_, info = env.step(said)
        assert info["won"]


def test_the_fallible_expert_wins_some_and_errs_in_many_ways(tools: Make) -> None:
    env, ways, won = tools(level=1), Counter[str](), 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        env.reset(seed=seed)
        task = env.episode.task
        while (said := env.noisy_expert(rng)) is not None:
            env.step(said)
        e = env.episode
        won += e.won
        if task.plan and e.cells:
            missed = sum(title not in e.found for title in task.plan.titles)
            ways["made up"] += missed > 0 and not e.won
            reversed_ = e.cells[-1].code == task.plan.as_read
            ways["as read"] += reversed_
            ways["misread"] += not missed and not e.won and not reversed_
        ways["guessed"] += task.plan is not None and not e.cells and not e.won
        ways["computed in vain"] += task.computing is None and bool(e.cells)
        ways["searched in vain"] += task.computing is not None and task.plan is None and bool(e.asked)
        ways["confused"] += task.computing is None and not e.won
    assert 0.4 <= won / 150 <= 0.75
    assert all(ways.values()) and len(ways) == 7


@pytest.mark.parametrize("prompt", ["plain", "arpo", "tapo"])
def test_snapshots_at_random_points_continue_equally(tools: Make, prompt: str) -> None:
    env, other = tools(level=1, prompt=prompt), tools(level=1, prompt=prompt)
    tag = "code" if prompt == "tapo" else "python"
    odd = [f"<{tag}>x = 5\nprint(x)</{tag}>", f"<{tag}>print(x + 1)</{tag}>", "<search>Cedar Works</search>"]
    rng = random.Random(1)
    other.reset(seed=99)
    for seed in range(8):
        env.reset(seed=seed)
        for _ in range(rng.randrange(3)):
            env.step(rng.choice([*odd, env.expert() or "x"]))
        snapshot = env.snapshot()
        hash(snapshot)
        future = [rng.choice(odd), env.expert() or "x", rng.choice(odd)]
        expected = [(env.step(said), env.state_key()) for said in future]
        for again in (env, other):
            again.restore(snapshot)
            assert [(again.step(said), again.state_key()) for said in future] == expected


def test_names_live_on_in_a_fork_and_end_with_the_episode(tools: Make) -> None:
    env = tools(tasks="compute")
    env.reset(seed=0)
    env.step("<python>x = [1]</python>")
    snapshot = env.snapshot()
    assert env.step("<python>x.append(2); x</python>")[0] == "<result>[1, 2]</result>"
    env.restore(snapshot)
    assert env.step("<python>x.append(3); x</python>")[0] == "<result>[1, 3]</result>"
    env.reset(seed=0)
    assert "NameError" in env.step("<python>x</python>")[0]


def test_code_that_was_cut_short_cannot_be_forked_unless_all_starts_anew(tools: Make) -> None:
    env = tools(tasks="compute", timeout_s=0.3)
    env.reset(seed=0)
    assert "[timeout]" in env.step("<python>while True: pass</python>")[0]
    with pytest.raises(NotForkable, match="cut short"):
        env.snapshot()
    env = tools(tasks="compute", prompt="arpo", timeout_s=0.3)
    env.reset(seed=0)
    assert "[timeout]" in env.step("<python>while True: pass</python>")[0]
    env.snapshot()
    assert env.step("<python>1 + 1</python>")[0] == " <result>\n2\n</result>"


def test_a_sandbox_is_opened_when_code_is_to_run_and_kept(opened: list[BlockingSession]) -> None:
    env = Tools(level=1, tasks="search")
    for seed in range(4):
        played(env, seed)
    assert not opened
    env = Tools(level=1, tasks="both")
    for seed in range(4):
        played(env, seed)
    assert len(opened) == 1
    env.close()
    env.close()


def test_environments_lend_their_sandboxes_to_each_other(opened: list[BlockingSession]) -> None:
    """No more are open than were in use at once; none is left when the last one closes, in whatever order."""
    envs = [Tools(level=0, tasks="compute") for _ in range(4)]
    for seed, env in enumerate(envs):
        played(env, seed)
    assert len(opened) == 1
    for env in envs[:2]:
        env.reset(seed=0)
        env.step("<python>x = 1</python>")
    assert len(opened) == 2
    envs[0].close()
    assert [session.dead == "" for session in opened].count(True) == 1
    envs[1].step("<python>y = 1</python>")
    assert envs[1].step("<python>x + y</python>")[0] == "<result>2</result>"
    played(envs[1], 3)
    for env in envs:
        env.close()
    assert len(opened) == 2 and all(session.dead for session in opened)


@pytest.mark.parametrize("prompt", ["plain", "functions"])
def test_a_call_beyond_the_budget_is_refused(tools: Make, prompt: str) -> None:
    env = tools(tasks="both", prompt=prompt, max_calls=1)
    env.reset(seed=0)
    first, second = {
        "plain": ("<search>a</search>", "<python>1</python>"),
        "functions": (
            '[{"name": "search", "arguments": {"query": "a"}}]',
            '[{"name": "python", "arguments": {"code": "1"}}]',
        ),
    }[prompt]
    assert env.step(first)[4]["tools"] == ["search"]
    shown, reward, terminated, truncated, info = env.step(second)
    assert "No call is left, 1 were made. Answer now." in shown
    assert (reward, terminated, truncated, info["valid"], info["tools"]) == (0.0, False, False, False, [])
    assert env.episode.calls == 1 and not env.episode.cells


def test_several_calls_in_one_reply(tools: Make) -> None:
    env = tools(level=1, tasks="both", prompt="functions", max_calls=2)
    env.reset(seed=0)
    call = '{"name": "python", "arguments": {"code": "%s"}}'
    shown, *_, info = env.step("[" + ", ".join(call % n for n in (1, 2, 3)) + "]")
    assert shown == "1\n2\nError: No call is left, 2 were made. Answer now."
    assert (info["tools"], info["tool_calls"], info["valid"]) == (["python", "python"], 3, False)


def test_what_is_told(tools: Make) -> None:
    env = tools(level=1, tasks="both")
    _, info = env.reset(seed=1)
    assert info["task_type"].startswith("both-")
    infos = [step[5] for step in played(env, 1)]
    assert [i["tools"] for i in infos] == [["search"]] * (len(infos) - 2) + [["python"], []]
    assert [i["tool_calls"] for i in infos] == [1] * (len(infos) - 1) + [0]
    assert sum(i["reward"]["recall"] for i in infos) == pytest.approx(1.0) == infos[-1]["recall"]
    assert infos[-1]["reward"]["em"] == 1.0 == infos[-1]["score"]
    assert [i["won"] for i in infos] == [False] * (len(infos) - 1) + [True]
    again = env.step("<search>x</search>")
    assert again[1:4] == (0.0, True, False) and again[4]["valid"] is False and again[4]["won"]


def test_rewards_of_answers_in_part(tools: Make) -> None:
    for reward, paid in (("em", 0.0), ("f1", 2 / 3)):
        env = tools(tasks="search", reward=reward)
        for seed in range(50):
            env.reset(seed=seed)
            gold = env.episode.task.answers[0]
            if " " in gold:
                break
        _, got, terminated, _, info = env.step(f"<answer>{gold.split()[0]}</answer>")
        assert terminated and got == pytest.approx(paid) and info["score"] == pytest.approx(2 / 3)
        assert not info["won"] and info["reward"]["em"] == 0.0


def test_seeds_and_splits(tools: Make) -> None:
    env, held = tools(level=1), tools(level=1, split="eval")
    texts = [env.reset(seed=s)[0] for s in range(80)]
    assert [tools(level=1).reset(seed=s)[0] for s in range(80)] == texts
    assert len(set(texts)) > 75
    assert not set(texts) & {held.reset(seed=EVAL_SEED_BASE + s)[0] for s in range(80)}
    kinds = Counter(env.reset(seed=s)[1]["task_type"].split("-")[0] for s in range(300))
    assert set(kinds) == {"search", "compute", "both"} and kinds["both"] > kinds["search"]
    for name in ("search", "compute", "both"):
        assert tools(level=1, tasks=name).reset(seed=3)[1]["task_type"].startswith(name)


def test_a_note_holds_what_was_read_and_computed(tools: Make) -> None:
    env = tools(level=1, tasks="both")
    env.reset(seed=0)
    assert env.memory_note() is None
    notes = []
    while (said := env.expert()) is not None:
        env.step(said)
        notes.append(env.memory_note() or "")
    hop = env.episode.task.question.hops[0]
    assert f"{hop.title}: {hop.answer}." in notes[0]
    assert f"Result: {env.episode.task.answers[0]}" in notes[-1]


def test_registered() -> None:
    assert isinstance(agentrl.make("tools"), Tools)
    assert isinstance(gymnasium.make("agentrl/Tools-v0").unwrapped, Tools)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": 7}, "Unknown level of the tools '7'"),
        ({"prompt": "arop"}, "Did you mean 'arpo'"),
        ({"reward": "exact"}, "Unknown reward 'exact'"),
        ({"reward": "arpo"}, "judges the form of --env.prompt arpo"),
        ({"reward": "tapo", "prompt": "arpo"}, "judges the form of --env.prompt tapo"),
        ({"tasks": "search,mix"}, "Unknown kind of task 'mix'"),
        ({"split": "test"}, "Unknown split 'test'"),
        ({"sandbox": "namespaces"}, "Did you mean 'namespace'"),
        ({"topk": 0}, "env.topk=0 must be more than 0"),
        ({"timeout_s": -1.0}, r"env.timeout_s=-1.0 must be more than 0"),
        ({"corpus": "x"}, "give --env.data with --env.corpus"),
        ({"retriever": "bm52"}, "Did you mean 'bm25'"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, UnknownName), match=message):
        Tools(**settings)


def test_what_is_no_episode_or_snapshot(tools: Make) -> None:
    env = tools()
    with pytest.raises(EnvError, match="Call reset"):
        env.snapshot()
    with pytest.raises(NotForkable, match="cannot restore a str"):
        env.restore("x")
    with pytest.raises(ConfigError, match="picks among the tasks of files"):
        env.reset(seed=0, options={"task": 1})
