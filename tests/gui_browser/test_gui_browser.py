"""The simulator's tasks in Chromium: the same observations, the same goals, and what can go wrong."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

import agentrl
from agentrl.envs.gui import Gui
from agentrl.envs.gui.browser import BrowserError, GuiBrowser
from agentrl.envs.gui.browser.chromium import chromium

pytestmark = pytest.mark.usefixtures("browser")


def play(real: GuiBrowser, simulated: Gui, seed: int) -> tuple[bool, int, int]:
    """The expert in both at once: whether it won in Chromium, observations, and how many were equal.

    A password is shown by the simulator and not by a browser.
    """
    shown, other = simulated.reset(seed=seed)[0], real.reset(seed=seed)[0]
    seen, equal, won = 1, int(shown == other), False
    for _ in range(real.max_turns):
        action = real.expert()
        assert action is not None
        shown = simulated.step(str(simulated.expert()))[0]
        other, _, over, _, info = real.step(action)
        won = info["won"]
        seen, equal = seen + 1, equal + (shown == other or "password" in shown)
        assert info["valid"], (seed, action, other)
        if over:
            break
    return won, seen, equal


def play_all(seeds: Iterable[int], **settings: Any) -> list[tuple[bool, int, int]]:
    simulated, real = Gui(**settings), GuiBrowser(**settings)
    try:
        return [play(real, simulated, seed) for seed in seeds]
    finally:
        real.close()


@pytest.mark.parametrize(("level", "seeds"), [(0, 8), (1, 8), (2, 4), (3, 3), (4, 2)])
def test_the_expert_wins_and_sees_the_same(level: int, seeds: int) -> None:
    for seed, (won, seen, equal) in enumerate(play_all(range(seeds), level=level)):
        assert won, seed
        assert seen == equal, seed


@pytest.mark.slow
@pytest.mark.parametrize("level", range(5))
def test_the_expert_wins_nearly_all(level: int) -> None:
    results = play_all(range(1000, 1040), level=level)
    assert np.mean([won for won, _, _ in results]) >= 0.95
    assert sum(equal for _, _, equal in results) >= 0.97 * sum(seen for _, seen, _ in results)


@pytest.mark.parametrize("prompt", ["functions", "ui_r1"])
def test_other_forms_of_actions(prompt: str) -> None:
    assert all(won for won, _, _ in play_all(range(3), prompt=prompt))


HOSTILE = [
    "",
    " ",
    "click",
    "click 999",
    "click -1 -1",
    "click 10000 10000",
    "click 1\nclick 2",
    "clіck 1",
    "type 999 x",
    "type 1 \x00",
    "type 1 a\u202eb",
    "select 1 no such option",
    "scroll sideways",
    "press F13",
    "press ctrl+w",
    "press ctrl+t",
    "press alt+ArrowLeft",
    "open NoSuchApp",
    "<script>alert(1)</script>",
    "x" * 1_000_000,
]


def test_hostile_actions_change_nothing_and_are_answered() -> None:
    env = GuiBrowser(level=2)
    env.reset(seed=5)
    env.step("open Mail")
    before = env.state_key()
    for action in HOSTILE:
        shown, reward, over, cut, info = env.step(action)
        assert info["valid"] is False, action[:30]
        assert (reward, over, cut) == (0.0, False, False)
        assert env.state_key() == before and len(shown) < 4000, action[:30]
    env.close()


def test_markup_that_is_typed_stays_text() -> None:
    env = GuiBrowser(level=2)
    env.reset(seed=5)
    env.step("open Notes")
    shown = env.step("open Mail")[0]
    field = next(line for line in shown.split("\n") if 'textbox "Search"' in line)
    number = field[1 : field.index("]")]
    text = "<b>\"x\"</b> & 'y' </body>"
    shown = env.step(f"type {number} {text}")[0]
    assert f'= "{text}"' in shown
    assert chromium().alive
    env.close()


def test_snapshots_are_the_simulators() -> None:
    env, other = GuiBrowser(level=2), GuiBrowser(level=2)
    env.reset(seed=3)
    env.step("open Mail")
    taken, key = env.snapshot(), env.state_key()
    env.step("click 4")
    assert env.state_key() != key
    other.restore(taken)
    env.restore(taken)
    assert env.state_key() == other.state_key() == key
    assert env.step("back")[0] == other.step("back")[0]
    env.close()
    other.close()


def test_environments_in_threads_of_their_own() -> None:
    results: list[bool] = []

    def one(seed: int) -> None:
        results.append(play_all([seed], level=1)[0][0])

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_a_browser_that_dies_is_an_error_and_the_next_episode_has_another() -> None:
    env = GuiBrowser(level=1)
    for _ in range(2):
        env.reset(seed=0)
        os.killpg(chromium().pid, signal.SIGKILL)
        with pytest.raises(BrowserError):
            env.step("click 1")
        with pytest.raises(BrowserError, match="Reset the environment"):
            env.step("click 1")
    assert play(env, Gui(level=1), 0)[0]
    env.close()
    env.close()


def test_a_picture_is_a_screenshot() -> None:
    env = GuiBrowser(level=2, render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (640, 360, 3) and first.dtype == np.uint8 and len(np.unique(first)) > 20
    env.step("open Mail")
    assert (env.render() != first).mean() > 0.01
    env.close()


def test_it_is_registered() -> None:
    env = agentrl.make("gui-browser", level=0)
    assert isinstance(env.unwrapped, GuiBrowser)
    env.close()
