"""The environment: its contract, rewards, forms, snapshots, demonstrations, pictures."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentrl
from agentrl.env import View
from agentrl.envs.gui import Gui
from agentrl.envs.gui.widgets import HEIGHT, WIDTH
from agentrl.errors import ConfigError, EnvError, MissingExtra, NotForkable, UnknownName


def played(env: Gui, seed: int) -> tuple[float, list[dict[str, object]]]:
    """The expert's episode: the return and all infos."""
    env.reset(seed=seed)
    total, infos = 0.0, []
    for _ in range(env.max_turns):
        said = env.expert()
        assert said is not None
        _, reward, terminated, truncated, info = env.step(said)
        total += reward
        infos.append(info)
        if terminated or truncated:
            break
    return total, infos


@pytest.mark.parametrize("prompt", ["plain", "functions", "ui_r1"])
@pytest.mark.parametrize("level", [0, 1, 3])
def test_the_expert_wins_in_every_form(prompt: str, level: int) -> None:
    env = Gui(level=level, prompt=prompt)
    for seed in range(15):
        total, infos = played(env, seed)
        assert total == 1.0
        assert infos[-1]["won"] is True and infos[-1]["score"] == 1.0
        assert all(info["valid"] for info in infos)


def test_an_episode_reads_well() -> None:
    env = Gui(tasks="mail_reply")
    shown, info = env.reset(seed=3)
    assert info == {"won": False, "task_type": "mail_reply"}
    assert re.match(r"Task: Reply to the mail \w+ from \w+: Message \w+\.\nMail: Inbox\n\[1\] link ", shown)
    shown, reward, terminated, truncated, info = env.step("click 99")
    assert shown.startswith("There is no element 99; there are 1 to ")
    assert "Mail: Inbox" in shown
    assert (reward, terminated, truncated, info["valid"]) == (0.0, False, False, False)
    shown, *_, info = env.step("click 1")
    assert shown.startswith("Mail: message\nFrom ")
    assert info["action"] == "click 1"
    assert env.state_key().startswith("Reply ")


def test_progress_is_paid_in_parts_that_sum_to_one() -> None:
    env = Gui(level=4, reward="progress", tasks="announce")
    total, infos = played(env, 2)
    assert total == pytest.approx(1.0)
    gains = [info["reward"]["progress"] for info in infos]  # type: ignore[index]
    assert [round(g, 3) for g in gains if g] == [0.333, 0.333, 0.333]


def test_every_reply_costs_where_it_is_to() -> None:
    env = Gui(step_cost=0.05)
    total, infos = played(env, 1)
    assert total == pytest.approx(1 - 0.05 * len(infos))
    assert env.reward_range == pytest.approx((-0.05 * env.max_turns, 1.0))


def test_ui_r1_s_reward_sees_type_place_and_form() -> None:
    env = Gui(prompt="ui_r1", reward="ui_r1", tasks="click_button")
    shown, _ = env.reset(seed=0)
    assert "Boxes (x y width height):" in shown
    said = env.expert()
    assert said is not None and "coordinate" in said
    *_, info = env.step(said)
    assert info["reward"]["type"] == info["reward"]["place"] == info["reward"]["format"] == 1.0
    total, _ = played(env, 0)
    assert total == pytest.approx(1 + 3 / (3 * env.max_turns))
    env.reset(seed=0)
    *_, info = env.step("click 1")
    assert info["valid"] is False
    assert (info["reward"]["type"], info["reward"]["format"]) == (0.0, 0.0)
    *_, info = env.step("<think>x</think><answer>[{'action': 'click', 'coordinate': [2, 2]}]</answer>")
    assert (info["reward"]["type"], info["reward"]["place"], info["reward"]["format"]) == (1.0, 0.0, 1.0)
    with pytest.raises(ConfigError, match="prompt=ui_r1"):
        Gui(reward="ui_r1")


def test_functions_are_offered_as_tools_and_only_there() -> None:
    names = [tool["function"]["name"] for tool in Gui(prompt="functions").tools]
    assert "click" in names and "answer" in names
    assert not Gui().tools


def test_after_the_end_nothing_changes() -> None:
    env = Gui()
    played(env, 0)
    before = env.snapshot()
    shown, reward, terminated, _, info = env.step("click 1")
    assert (shown, reward, terminated, info["valid"]) == ("Task done.", 0.0, True, False)
    assert info["reward"] == {"success": 0.0, "progress": 0.0, "cost": 0.0}
    assert env.snapshot() is before
    assert env.expert() is None and env.noisy_expert(np.random.default_rng(0)) is None
    assert env.admissible() == []


def test_a_wrong_answer_ends_the_episode() -> None:
    env = Gui(tasks="mail_question")
    env.reset(seed=0)
    shown, reward, terminated, _, info = env.step("answer Atlantis")
    assert (shown, reward, terminated, info["won"]) == ("Over: that was not it.", 0.0, True, False)


def test_snapshots_are_exact_and_cheap() -> None:
    env, other = Gui(level=3), Gui(level=3)
    for seed in range(5):
        env.reset(seed=seed)
        for _ in range(3):
            env.step(env.expert() or "")
        snapshot, key = env.snapshot(), env.state_key()
        rest = [env.step(env.expert() or "") for _ in range(2)]
        other.restore(snapshot)
        assert other.state_key() == key
        assert [other.step(other.expert() or "") for _ in range(2)] == rest
        env.restore(snapshot)
        assert env.state_key() == key
    with pytest.raises(NotForkable, match="cannot restore a str"):
        env.restore("x")


def test_admissible_actions_are_possible() -> None:
    env = Gui(level=2)
    for seed in range(10):
        env.reset(seed=seed)
        for _ in range(4):
            snapshot = env.snapshot()
            for said in env.admissible() or []:
                env.restore(snapshot)
                *_, info = env.step(said.replace("<text>", "Mail"))
                assert info["valid"] or said == "back", said
            env.restore(snapshot)
            env.step(env.expert() or "")
    assert Gui(prompt="functions").admissible() is None


@pytest.mark.parametrize("level", [0, 1, 2])
def test_demonstrators_err_and_often_win(level: int) -> None:
    env, rng, won = Gui(level=level), np.random.default_rng(level), 0
    for seed in range(120):
        env.reset(seed=seed)
        for _ in range(env.max_turns):
            *_, terminated, _, info = env.step(env.noisy_expert(rng) or "")
            if terminated:
                break
        won += info["won"]
    assert 0.4 * 120 < won < 0.85 * 120


def test_window_prompts_hold_the_task_and_the_screen() -> None:
    env = Gui(tasks="mail_reply")
    shown, _ = env.reset(seed=0)
    assert env.prompt(View(shown, 0, (), shown, None)) == shown
    now, *_ = env.step("click 1")
    said = env.prompt(View(shown, 1, [(shown, "click 1")], now, None))
    assert said.startswith(shown.split("\n")[0]) and "Done: click 1" in said and said.endswith(now)
    assert "Done" not in env.prompt(View(shown, 1, (), now, None))


def test_what_was_read_can_be_noted_down() -> None:
    env = Gui(level=3, tasks="mail_to_contact")
    env.reset(seed=0)
    assert env.memory_note() is None
    while env.episode.state.path[:1] != ("mail",) or len(env.episode.state.path) < 2:
        env.step(env.expert() or "")
    assert "555-" in (env.memory_note() or "")


def test_observations_are_short() -> None:
    longest = {}
    for level in range(5):
        env = Gui(level=level)
        words = []
        for seed in range(40):
            shown, _ = env.reset(seed=seed)
            for _ in range(env.max_turns):
                words.append(len(re.findall(r"\w+|[^\w\s]", shown)))
                shown, _, terminated, _, _ = env.step(env.expert() or "")
                if terminated:
                    break
        longest[level] = max(words)
    assert longest[1] < 160  # pieces of text: words and single marks
    assert max(longest.values()) < 400


def test_screens_are_drawn_and_shown() -> None:
    pytest.importorskip("PIL")
    env = Gui(level=2, render_mode="rgb_array")
    env.reset(seed=0)
    one = env.render()
    assert one.shape == (HEIGHT, WIDTH, 3) and one.dtype == np.uint8
    env.step("open Mail")
    two = env.render()
    assert (one != two).any() and len(np.unique(two.reshape(-1, 3), axis=0)) > 4
    env.restore(env.snapshot())
    assert (env.render() == two).all()
    text_env = Gui(render_mode="ansi")
    text_env.reset(seed=0)
    assert "[1]" in text_env.render()
    env = Gui()
    env.reset(seed=0)
    assert env.render() is None


@pytest.mark.parametrize("level", range(5))
def test_every_kind_of_widget_is_drawn_in_its_box(level: int) -> None:
    pytest.importorskip("PIL")
    from agentrl.envs.gui.picture import picture

    env = Gui(level=level)
    for seed in range(15):
        env.reset(seed=seed)
        for _ in range(4):
            screen = env.machine.screen()
            image = np.asarray(picture(screen, numbers=True))
            for id in screen.numbered:
                x, y, width, height = screen.box(id)
                part = image[y : y + height, x : x + width].reshape(-1, 3)
                assert (part != part[0]).any(), screen.find(id)
            env.step(env.expert() or "")


def test_pictures_need_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    env = Gui(render_mode="rgb_array")
    env.reset(seed=0)
    with pytest.raises(MissingExtra, match=r"\[gui\]"):
        env.render()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"level": 9}, "Unknown level '9'"),
        ({"split": "test"}, "Unknown split"),
        ({"prompt": "plane"}, "Did you mean 'plain'"),
        ({"reward": "win"}, "Unknown reward"),
        ({"tasks": "mail"}, "Unknown task 'mail'"),
        ({"render_mode": "human"}, "Unknown render_mode"),
        ({"max_turns": 0}, "must be 1 or more"),
        ({"step_cost": 2.0}, "must be 0 to 0.1"),
    ],
)
def test_wrong_settings_are_told(setting: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        Gui(**setting)  # type: ignore[arg-type]


def test_there_is_no_episode_before_reset() -> None:
    with pytest.raises(EnvError, match="Call reset"):
        Gui().step("wait")


def test_it_is_registered() -> None:
    env = agentrl.make("gui", split="eval")
    assert isinstance(env, Gui)
    with pytest.raises(UnknownName):
        agentrl.make("gui", split="test")


HOSTILE = [
    "",
    " \n\t ",
    "\x00\x1b[2J",
    "click 1\nclick 2",
    "click 1 click 2",
    "click 0",
    "click -1",
    "click 1.5",
    "click １",
    "ｃlick 1",
    "click 1\u200b",
    "click 99999",
    "click 0 0",
    "click -50 99999",
    "double_click 500",
    "long_press 1",
    "drag 1 2",
    "type 1 \ud800",
    "type 99 x",
    "type @ x",
    "type 1 " + "x" * 5000,
    "select 1 nothing",
    "select 99 x",
    "scroll left",
    "scroll 1 right",
    "press F5",
    "press ctrl+alt+Delete",
    "press Enter",
    "open Nowhere",
    "open ../../etc/passwd",
    "x" * 3_000_000,
    "[" * 100_000,
    '[{"name": "click", "arguments": {"id": 1}}]',
    "<answer>[{'action': 'click', 'id': 1}]</answer>",
    "click(1)",
    "click[1]",
]


@pytest.mark.parametrize("reply", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("level", [0, 1, 4])
def test_hostile_replies_change_nothing_and_are_answered(reply: str, level: int) -> None:
    env = Gui(level=level)
    for seed in range(3):
        env.reset(seed=seed)
        before = env.episode.state
        shown, reward, terminated, truncated, info = env.step(reply)
        assert (reward, terminated, truncated, info["valid"], info["won"]) == (0.0, False, False, False, False)
        assert env.episode.state is before
        assert len(shown) < 3000 and shown.partition("\n")[0]
        assert shown.isprintable() or set(shown) - {"\n"} == {c for c in shown if c.isprintable()}


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(range(5)),
    st.integers(0, 50),
    st.lists(
        st.one_of(
            st.text(max_size=30),
            st.builds("click {}".format, st.integers(0, 14)),
            st.builds("click {} {}".format, st.integers(0, WIDTH), st.integers(0, HEIGHT)),
            st.builds("type {} {}".format, st.integers(0, 9), st.text(max_size=12)),
            st.builds("select {} {}".format, st.integers(0, 9), st.sampled_from(["Mon", "9am", "Archive", "1", "yes"])),
            st.builds("press {}".format, st.sampled_from(["Tab", "Enter", "Escape", "a", "Delete", "PageDown"])),
            st.builds("open {}".format, st.sampled_from(["Mail", "Shop", "Home", "Notes", "Forms", "Settings"])),
            st.sampled_from(["back", "wait", "scroll down", "scroll up", "type @ x"]),
        ),
        max_size=25,
    ),
)
def test_whatever_is_said_the_environment_stands(level: int, seed: int, replies: list[str]) -> None:
    env = Gui(level=level)
    env.reset(seed=seed)
    for reply in replies:
        before = env.episode.state
        shown, reward, terminated, truncated, info = env.step(reply)
        assert isinstance(shown, str) and shown and reward in (0.0, 1.0) and not truncated
        if not info["valid"]:
            assert env.episode.state is before
        assert 0 <= info["score"] <= 1
        assert (env.expert() is None) == (terminated or env.episode.state.over)
        if terminated:
            break
