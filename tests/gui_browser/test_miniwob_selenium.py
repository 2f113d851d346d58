"""The same pages, driven by the package's own environment over Selenium: the same tasks and rewards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from agentrl.envs.gui.browser import MiniWob
from agentrl.envs.gui.browser.chromium import find_chromium

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("browser")]
SEEDS = range(6)


@pytest.fixture
def driver(browser: None, monkeypatch: pytest.MonkeyPatch) -> None:
    program = shutil.which("chromedriver")
    if program is None:
        pytest.skip("no chromedriver here (Debian: apt-get install chromium-driver)")
    monkeypatch.setenv("MINIWOB_CHROME_BINARY", find_chromium())
    monkeypatch.setenv("MINIWOB_CHROMEDRIVER", program)


class Original:
    """The package's environment, by names of elements."""

    def __init__(self, task: str) -> None:
        from miniwob.environment import MiniWoBEnvironment
        from miniwob.reward import get_raw_reward

        self.env = MiniWoBEnvironment(task, reward_processor=get_raw_reward)

    def reset(self, seed: int) -> str:
        self.seen, _ = self.env.reset(seed=seed)
        return str(self.seen["utterance"])

    def act(self, kind: str, tag: str, at: int, text: str = "") -> tuple[float, bool]:
        elements = [e for e in self.seen["dom_elements"] if e["tag"] in tag.split("|")]
        elements.sort(key=lambda e: int(e["ref"]))
        more: dict[str, Any] = {"ref": elements[at]["ref"]} | ({"text": text} if text else {})
        self.seen, reward, done, _, _ = self.env.step(self.env.create_action(kind, **more))
        return reward, done


@pytest.fixture
def pair(driver: None, request: pytest.FixtureRequest) -> Iterator[tuple[Original, MiniWob]]:
    original, ours = Original(request.param), MiniWob(task=request.param)
    yield original, ours
    original.env.close()
    ours.close()


def numbers(env: MiniWob, *roles: str) -> list[int]:
    return [e.id for e in env.shown.sight.elements if e.role in roles]


def start(pair: tuple[Original, MiniWob], seed: int) -> str:
    original, ours = pair
    utterance = original.reset(seed)
    assert ours.reset(seed=seed)[0].split("\n")[0] == utterance
    return utterance


@pytest.mark.parametrize("pair", ["click-button"], indirect=True)
def test_buttons(pair: tuple[Original, MiniWob]) -> None:
    original, ours = pair
    rewards = set()
    for seed in SEEDS:
        start(pair, seed)
        for at in range(len(numbers(ours, "button"))):
            start(pair, seed)
            theirs = original.act("CLICK_ELEMENT", "button", at)
            _, reward, done, _, _ = ours.step(f"click {numbers(ours, 'button')[at]}")
            assert (reward, done) == theirs
            rewards.add(reward)
    assert rewards == {1.0, -1.0}


@pytest.mark.parametrize("pair", ["click-checkboxes"], indirect=True)
def test_partial_rewards(pair: tuple[Original, MiniWob]) -> None:
    original, ours = pair
    rewards = set()
    for seed in SEEDS:
        for boxes in range(3):
            start(pair, seed)
            for at in range(min(boxes, len(numbers(ours, "checkbox")))):
                assert not original.act("CLICK_ELEMENT", "input_checkbox", at)[1]
                ours.step(f"click {numbers(ours, 'checkbox')[at]}")
            theirs = original.act("CLICK_ELEMENT", "button", 0)
            _, reward, done, _, _ = ours.step(f"click {numbers(ours, 'button')[0]}")
            assert (pytest.approx(reward), done) == theirs
            rewards.add(round(reward, 3))
    assert len(rewards) > 3


@pytest.mark.parametrize("pair", ["enter-text", "login-user", "enter-password"], indirect=True)
def test_texts(pair: tuple[Original, MiniWob]) -> None:
    original, ours = pair
    for seed in SEEDS:
        for right in (True, False):
            start(pair, seed)
            done = False
            while not done:
                action = str(ours.expert())
                kind, number, *said = action.split(" ", 2)
                text = " ".join(said)
                if kind == "type":
                    at = numbers(ours, "textbox").index(int(number))
                    text = text if right else text + "x"
                    original.act("FOCUS_ELEMENT_AND_TYPE_TEXT", "input_text|input_password", at, text)
                    _, _, done, _, _ = ours.step(f"type {number} {text}")
                    if not right:
                        break
                else:
                    break
            theirs = original.act("CLICK_ELEMENT", "button", 0)
            _, reward, done, _, _ = ours.step(f"click {numbers(ours, 'button')[0]}")
            assert (reward, done) == theirs == (1.0 if right else -1.0, True)
