"""MiniWoB++ in Chromium: tasks start and go on, repeat, are won by scripts, and pay what they should."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

import agentrl
from agentrl.envs.gui.browser import MiniWob
from agentrl.envs.gui.browser.miniwob import chosen_tasks
from agentrl.envs.gui.browser.scripts import EXPERTS, ONE_CLICK
from agentrl.errors import ConfigError, EnvError, MissingExtra, UnknownName

pytestmark = pytest.mark.usefixtures("browser")
STEPS = ("click 1", "type 1 abc", "scroll down", "click 2", "wait")


@pytest.fixture(scope="module")
def every(browser: None) -> Iterator[MiniWob]:
    env = MiniWob(task="all")
    yield env
    env.close()


def played(env: MiniWob, task: str, seed: int) -> list[object]:
    """A fixed script on a task: all that was seen."""
    log: list[object] = [env.reset(seed=seed, options={"task": task})]
    return log + [env.step(action)[:4] for action in STEPS]


def won(env: MiniWob, seed: int) -> bool:
    env.reset(seed=seed)
    for _ in range(env.max_turns):
        action = env.expert()
        if action is None:
            return False
        _, _, over, _, info = env.step(action)
        assert info["valid"]
        if over:
            return bool(info["won"])
    return False


@pytest.mark.slow
def test_all_tasks_start_and_repeat(every: MiniWob) -> None:
    assert len(every.tasks) == 130
    with_views = [every, MiniWob(task="all", view="dom")]
    for env in with_views:
        for task in env.tasks:
            assert played(env, task, 5) == played(env, task, 5), task
    with_views[1].close()


@pytest.mark.parametrize(
    "task", ["book-flight", "click-pie", "use-slider", "simon-says", "click-shades", "tic-tac-toe"]
)
def test_tasks_repeat(every: MiniWob, task: str) -> None:
    first = played(every, task, 3)
    assert played(every, task, 3) == first
    assert played(every, task, 4) != first


@pytest.mark.slow
def test_tasks_repeat_in_another_process(every: MiniWob) -> None:
    tasks = ["click-checkboxes", "email-inbox", "choose-date", "click-tab-2"]
    code = (
        "import json; from gui_browser.test_miniwob import MiniWob, played\n"
        f"env = MiniWob(task='all'); print(json.dumps([played(env, t, 8) for t in {tasks!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="tests")
    here = [played(every, task, 8) for task in tasks]
    assert json.loads(done.stdout) == json.loads(json.dumps(here))


@pytest.mark.slow
@pytest.mark.parametrize("view", ["axtree", "dom"])
def test_scripts_win(view: str) -> None:
    env = MiniWob(task="scripted", view=view)
    assert len(env.tasks) == len(EXPERTS) >= 40
    lost = [env.tasks[seed] for seed in range(len(env.tasks)) if not won(env, seed)]
    assert not lost
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(EXPERTS))
def test_each_script_wins(task: str) -> None:
    env = MiniWob(task=task)
    assert all(won(env, seed) for seed in range(1000, 1020))
    env.close()


def test_rewards() -> None:
    raw, binary = MiniWob(task="click-checkboxes"), MiniWob(task="click-checkboxes", reward="binary")
    seen = set()
    for seed in range(6):
        for env in (raw, binary):
            env.reset(seed=seed)
            assert env.step("click 1")[1:3] == (0.0, False)
        ends = []
        for env in (raw, binary):
            last = [e for e in env.shown.sight.elements if e.role == "button"][-1]
            _, reward, over, _, info = env.step(f"click {last.id}")
            assert over
            ends.append((reward, info["won"]))
            seen.add(reward)
            assert info["reward"]["raw"] == pytest.approx(ends[0][0])
            assert env.step("click 1")[1:3] == (0.0, True)
        assert ends[1][0] == (1.0 if ends[0][1] else -1.0)
    assert any(-1 < reward < 1 for reward in seen)
    raw.close()
    binary.close()


def test_the_stopped_clock_counts_actions() -> None:
    env = MiniWob(task="click-button-sequence", reward="decayed", clock="stopped")
    env.reset(seed=0)
    time.sleep(1.5)
    assert won_reward(env) == pytest.approx(0.9, abs=0.01)
    env.reset(seed=0)
    env.step("wait")
    assert won_reward(env) == pytest.approx(0.7, abs=0.01)
    env.reset(seed=0)
    steps = [env.step("wait") for _ in range(5)]
    assert [step[2] for step in steps] == [False] * 4 + [True]
    assert steps[-1][1] == -1 and "timed out" in steps[-1][0]
    env.close()


def won_reward(env: MiniWob) -> float:
    reward = 0.0
    while (action := env.expert()) is not None:
        reward = env.step(action)[1]
    return reward


def test_the_real_clock_decays_by_itself() -> None:
    env = MiniWob(task="click-test", reward="decayed")
    env.reset(seed=0)
    time.sleep(2)
    _, reward, over, _, info = env.step("click 1")
    assert over and info["won"] and 0.3 < reward < 0.82
    assert info["reward"]["raw"] == 1
    env.close()


@pytest.mark.parametrize(
    "action",
    ["", "click 77", "clíck 1", "back", "open Mail", "answer 4", "click 1\nclick 2", "x" * 100_000, "press F9"],
)
def test_what_is_no_action_changes_nothing(every: MiniWob, action: str) -> None:
    shown, _ = every.reset(seed=2, options={"task": "click-checkboxes"})
    answer, reward, over, cut, info = every.step(action)
    assert (reward, over, cut, info["valid"]) == (0.0, False, False, False)
    assert every.state_key() == shown and len(answer) < 2000
    assert answer.endswith("\n".join(shown.split("\n")[1:]))


def test_splits_have_tasks_of_their_own() -> None:
    train, held = MiniWob(task="click-checkboxes"), MiniWob(task="click-checkboxes", split="eval")
    assert not {train.reset(seed=s)[0] for s in range(8)} & {held.reset(seed=s)[0] for s in range(8)}
    train.close()
    held.close()


def test_pictures() -> None:
    env = MiniWob(task="click-color", render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (210, 160, 3)
    env.close()


def test_choosing_tasks() -> None:
    known = ["click-test", "click-button", "hot-cold"]
    assert chosen_tasks("all", known) == known
    assert chosen_tasks("scripted", known) == ["click-test", "click-button"]
    assert chosen_tasks("core", known) == ["click-button"]
    assert chosen_tasks("hot-cold, click-test", known) == ["hot-cold", "click-test"]
    assert set(EXPERTS) >= ONE_CLICK
    with pytest.raises(UnknownName, match="Did you mean 'click-button'"):
        chosen_tasks("click-buton", known)
    with pytest.raises(UnknownName):
        chosen_tasks(" ", known)


def test_settings_that_are_not_known() -> None:
    for setting in ({"view": "html"}, {"reward": "big"}, {"clock": "slow"}, {"split": "test"}, {"max_turns": 0}):
        with pytest.raises(ConfigError):
            MiniWob(**setting)  # type: ignore[arg-type]
    with pytest.raises(EnvError, match="reset"):
        MiniWob(task="click-test").step("click 1")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "miniwob", None)
    with pytest.raises(MissingExtra, match=r"'miniwob'.*\[browser\]"):
        MiniWob()


def test_it_is_registered() -> None:
    env = agentrl.make("miniwob", task="click-test")
    assert isinstance(env.unwrapped, MiniWob)
    env.close()
