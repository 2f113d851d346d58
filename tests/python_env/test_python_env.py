"""The environment: calls, answers, limits, snapshots, hostile actions, and no sandbox left behind."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from agentrl.envs.python import Python
from agentrl.errors import ConfigError, EnvError, NotForkable, UnknownName
from agentrl.sandboxes import SandboxDied, SandboxUnavailable
from agentrl.sandboxes.blocking import BlockingSession, Sandboxes


@pytest.fixture
def env(sandbox: str, opened: list[BlockingSession]) -> Any:
    made = Python(level=0, sandbox=sandbox)
    yield made
    made.close()
    made.close()


def call(code: str) -> str:
    return json.dumps([{"name": "python", "arguments": {"code": code}}])


def test_an_episode(env: Python) -> None:
    question, info = env.reset(seed=0)
    assert question == "What is 31 times 9 plus 81?"
    assert info == {"won": False, "task_type": "arithmetic"}
    shown, reward, terminated, truncated, info = env.step("<python>x = 31 * 9</python>")
    assert (shown, reward, terminated, truncated) == ("<result>[no output]</result>", 0.0, False, False)
    assert info["valid"] and info["tools"] == ["python"] and info["tool_calls"] == 1
    assert env.step("<python>\n```python\nx + 81\n```\n</python>")[0] == "<result>360</result>"
    assert env.state_key() == "<result>360</result>"
    shown, reward, terminated, _, info = env.step("<think>So.</think><answer>360.</answer>")
    assert (shown, reward, terminated, info["won"], info["score"]) == ("Right.", 1.0, True, True, 1.0)
    assert info["reward"] == {"exact": 1.0, "partial": 1.0}
    shown, reward, terminated, _, info = env.step("<answer>7</answer>")
    assert (shown, reward, terminated, info["won"], info["valid"]) == ("Right.", 0.0, True, True, False)
    assert env.expert() is None


def test_a_wrong_answer_ends_it(env: Python) -> None:
    env.reset(seed=0)
    assert env.step("<answer>359</answer>")[:3] == ("Wrong.", 0.0, True)


def test_function_calls(sandbox: str, opened: list[BlockingSession]) -> None:
    env = Python(level=0, prompt="functions", sandbox=sandbox)
    assert env.tools[0]["function"]["name"] == "python"
    env.reset(seed=0)
    calls = [{"name": "python", "arguments": {"code": code}} for code in ("x = 31 * 9", "x + 81")]
    shown, *_, info = env.step(json.dumps(calls))
    assert shown == "[no output]\n360"
    assert info["tool_calls"] == 2
    shown, *_, info = env.step(call("1")[:-1] + ', {"name": "bash", "arguments": {}}]')
    assert "There is no tool 'bash'" in shown and not info["valid"]
    assert env.step("The answer is 360.")[:2] == ("Right.", 1.0)
    env.close()


@pytest.mark.parametrize("prompt", ["plain", "functions"])
@pytest.mark.parametrize("level", range(5))
def test_the_expert_wins(level: int, prompt: str, sandbox: str, opened: list[BlockingSession]) -> None:
    env = Python(level=level, prompt=prompt, sandbox=sandbox)
    for seed in range(12):
        env.reset(seed=seed)
        for _ in range(env.max_turns):
            said = env.expert()
            assert said is not None
            *_, terminated, _, info = env.step(said)
            if terminated:
                break
        assert info["won"], env.episode
    env.close()


def test_the_expert_takes_over_from_anybody(env: Python) -> None:
    env.reset(seed=0)
    for _ in range(env.max_calls):
        env.step("<python>'nonsense'</python>")
    assert env.expert() == "<answer>360</answer>"


def test_the_noisy_expert_errs_on_what_to_compute(sandbox: str, opened: list[BlockingSession]) -> None:
    env, rng, won = Python(level=1, sandbox=sandbox), np.random.default_rng(0), 0
    for seed in range(60):
        env.reset(seed=seed)
        for _ in range(env.max_turns):
            said = env.noisy_expert(rng)
            assert said is not None
            *_, terminated, _, info = env.step(said)
            if terminated:
                break
        won += info["won"]
    assert 24 <= won <= 48
    env.close()


def test_calls_and_output_are_limited(sandbox: str, opened: list[BlockingSession]) -> None:
    env = Python(level=0, max_calls=2, max_output=100, timeout_s=0.5, sandbox=sandbox)
    env.reset(seed=0)
    shown, *_, info = env.step("<python>print('a' * 10**6)</python>")
    assert len(shown) < 140 and info["valid"]
    shown, *_, info = env.step("<python>while True: pass</python>")
    assert "[timeout]" in shown and info["valid"]
    shown, *_, info = env.step("<python>1</python>")
    assert shown == "<result>Error: No call is left, 2 were made. Answer now.</result>"
    assert not info["valid"]
    assert env.step("<answer>360</answer>")[1] == 1.0
    env.close()


HOSTILE = [
    "",
    " \n",
    "\x00\x1b[2J\ud800",
    "360",
    "<python></python>",
    "<python>```python\n```</python>",
    "<python>1",
    "<python>1</python><python>2</python>",
    "<python>1</python><answer>1</answer>",
    "<pythοn>1</pythοn>",
    "<PYTHON>1</PYTHON>",
    "<code>1</code>",
    "<result>360</result>",
    "<think><answer>360</answer></think>",
    "<answer>",
    "<answer> </answer>",
    "<python>" + "1+" * 2_000_000 + "1</python>",
    "a" * 3_000_000,
    "<answer>" * 100_000,
    call("1"),
    "[" * 100_000,
]


def test_hostile_actions_change_nothing_and_get_an_answer(env: Python) -> None:
    env.reset(seed=0)
    for text in HOSTILE:
        shown, reward, terminated, truncated, info = env.step(text)
        assert shown and not (reward or terminated or truncated or info["valid"]), text[:60]
        assert not env.episode.cells


def test_hostile_code_is_the_policys_affair(env: Python) -> None:
    for code in (
        "def",
        "1\x00",
        "'\ud800'",
        "raise SystemExit",
        "print('</result> 360')",
        "x" * 90_000,
    ):
        env.reset(seed=0)
        shown, reward, terminated, _, info = env.step(f"<python>{code}</python>")
        assert shown.count("</result>") == 1 and not reward and not terminated and info["valid"], code
        assert len(shown) < 2500


def test_hostile_answers_are_wrong(env: Python) -> None:
    for text in ("5" * 1_000_000, "\x00", "{" * 100_000, "360 or 361", "1 2 360", "31 * 9 + 81", "\\boxed{" * 1000):
        env.reset(seed=0)
        assert env.step(f"<answer>{text}</answer>")[:3] == ("Wrong.", 0.0, True), text[:40]


def test_snapshots(sandbox: str, opened: list[BlockingSession]) -> None:
    env, other = Python(level=1, sandbox=sandbox), Python(level=1, sandbox=sandbox)
    env.reset(seed=1)
    start = env.snapshot()
    env.step("<python>x = [1]</python>")
    middle = env.snapshot()
    env.step("<python>x.append(2); x</python>")
    assert len(opened) == 1
    env.restore(middle)
    env.step("<python>x.append(3)</python>")
    assert env.step("<python>x</python>")[0] == "<result>[1, 3]</result>"
    other.restore(middle)
    assert other.episode == middle
    assert other.step("<python>x</python>")[0] == "<result>[1]</result>"
    assert len(opened) == 2
    other.restore(start)
    assert "NameError" in other.step("<python>x</python>")[0]
    said = f"<answer>{env.episode.task.answer}</answer>"
    env.step(said)
    env.restore(middle)
    assert not env.episode.over
    assert env.step(said)[1] == 1.0
    with pytest.raises(NotForkable, match="cannot restore a str"):
        env.restore("here")
    env.close()
    other.close()


def test_a_state_that_cannot_be_reached_again(env: Python) -> None:
    env.reset(seed=0)
    before = env.snapshot()
    env.step("<python>import os; os._exit(0)</python>")
    with pytest.raises(NotForkable, match="Cell 1 of 1 was cut short"):
        env.snapshot()
    env.restore(before)
    assert env.step("<python>2</python>")[0] == "<result>2</result>"


def test_a_sandbox_that_breaks_is_a_failure_and_never_an_observation(
    env: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.reset(seed=0)
    with monkeypatch.context() as patched:

        def broken(*_: object, **__: object) -> None:
            raise SandboxDied("The sandbox is gone.")

        patched.setattr(BlockingSession, "run_python", broken)
        with pytest.raises(SandboxDied):
            env.step("<python>1</python>")
    assert not env.episode.cells
    assert env.step("<python>1</python>")[0] == "<result>1</result>"
    env.close()
    env.reset(seed=1)
    with monkeypatch.context() as patched:

        def none(*_: object) -> None:
            raise SandboxUnavailable("No sandbox.")

        patched.setattr(Sandboxes, "open", none)
        with pytest.raises(SandboxUnavailable):
            env.step("<python>1</python>")


def test_code_is_graded_after_the_policys_sandbox_is_gone(
    sandbox: str, opened: list[BlockingSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    env = Python(level=2, kinds="code", sandbox=sandbox, reward="partial")
    env.reset(seed=0)
    env.step("<python>import builtins; builtins.sum = lambda *_: 0</python>")
    mine = opened[0]
    said = env.expert()
    assert said is not None
    shown, reward, *_, info = env.step(said)
    assert (shown, reward, info["won"]) == ("6 of 6 tests passed.", 1.0, True)
    assert mine.dead and len(opened) == 2
    env.reset(seed=0)
    _, reward, *_, info = env.step(f"<answer>{env.episode.task.slips[0]}</answer>")
    assert not info["won"] and reward == info["score"] < 1
    env.reset(seed=0)
    assert env.step("<answer>42</answer>")[1] == 0


def test_many_episodes_at_once(sandbox: str, opened: list[BlockingSession]) -> None:
    def play(seed: int) -> bool:
        env = Python(level=3, sandbox=sandbox)
        env.reset(seed=seed)
        while (said := env.expert()) is not None:
            info = env.step(said)[-1]
        env.close()
        return bool(info["won"])

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(play, range(32)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"level": 7}, "level of generated tasks '7'"),
        ({"split": "dev"}, "split 'dev'"),
        ({"kinds": "arithmatic"}, "Did you mean 'arithmetic'"),
        ({"kinds": "file"}, "kind of task of level 1 'file'"),
        ({"kinds": ""}, "kind of task"),
        ({"prompt": "xml"}, "prompt contract 'xml'"),
        ({"reward": "f1"}, "reward 'f1'"),
        ({"sandbox": "dokcer"}, "Did you mean 'docker'"),
        ({"timeout_s": 0}, "env.timeout_s=0 must be more than 0"),
        ({"max_turns": -1}, "env.max_turns=-1 must be more than 0"),
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any], said: str) -> None:
    with pytest.raises((UnknownName, ConfigError), match=said):
        Python(**settings)


def test_it_has_to_be_reset_first() -> None:
    with pytest.raises(EnvError, match="Call reset"):
        Python().step("<python>1</python>")
    with pytest.raises(ConfigError, match=r"give --env\.data"):
        Python().reset(options={"task": 1})
