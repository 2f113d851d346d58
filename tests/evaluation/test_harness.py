"""Evaluation: outcomes with failures, policies that are no model, the command, what it writes."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_toys import written

from agentrl.env import EVAL_SEED_BASE, TextEnv
from agentrl.errors import AgentRLError, ConfigError, UnknownName
from agentrl.evaluation.command import main
from agentrl.evaluation.policies import random_policy, text_policy
from agentrl.evaluation.record import Outcome, as_json, of_json
from agentrl.evaluation.store import read
from agentrl.evaluation.summary import Summary
from agentrl.trajectory import Failure, Stage

DOWN = Failure(Stage.STEP, "RuntimeError: down")


def outcome(won: bool, failure: Failure | None = None, score: float | None = None, **values: Any) -> Outcome:
    return Outcome(
        **{"part": "p", "task": 0, "attempt": 0, "seed": 0, "won": won, "score": score} | values, failure=failure
    )


def test_failures_are_left_out_and_told() -> None:
    found = Summary.of([outcome(True, task=0), outcome(False, task=1), outcome(False, DOWN, task=2)], seconds=1.0)
    assert (found.episodes, found.failures, found.broken) == (3, 1, {"step": 1})
    assert found.success == 0.5 and found.success_of_all == pytest.approx(1 / 3)
    assert found.score == 0.5  # without a score of the benchmark's own, success is the score
    assert any("1 of 3" in line for line in found.lines())
    assert Summary.of([outcome(False, DOWN)]).lines()  # nothing played at all


def test_outcomes_survive_json() -> None:
    text = "naïve \ud800 \x00 \u2028"
    one = replace(outcome(True, DOWN, 0.5), opening=text, components={"a": 1.0})
    assert of_json(json.loads(json.dumps(as_json(one)))) == one


def test_several_attempts_give_pass_at_k() -> None:
    wins = [[True, True, False, False], [False] * 4, [True] * 4]
    tried = [outcome(w, task=t, attempt=a) for t, row in enumerate(wins) for a, w in enumerate(row)]
    found = Summary.of(tried)
    assert {k: e.value for k, e in found.pass_at.items()} == pytest.approx({1: 0.5, 2: (5 / 6 + 1) / 3, 4: 2 / 3})
    assert {k: e.value for k, e in found.pass_hat.items()} == pytest.approx({1: 0.5, 2: (1 / 6 + 1) / 3, 4: 1 / 3})
    short = Summary.of([*tried[:-1], replace(tried[-1], failure=DOWN)])
    assert (short.pass_at[2].tasks, short.pass_at[4].tasks) == (3, 2)  # an attempt that broke is none
    assert not Summary.of(tried[::4]).pass_at


def test_text_policies_survive_a_breaking_environment_and_play_the_rest_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    flags = ["--env", written(tmp_path, "Fragile"), "--env.broken", str(broken), "--model", "expert"]
    flags += ["--trial.episodes", "9", "--out", str(tmp_path / "out")]
    assert main(flags) == 0
    found = read(tmp_path / "out")
    assert [o.task for o in found] == list(range(9))
    assert [o.failure is not None for o in found] == [t % 3 == 0 for t in range(9)]
    assert found[0].failure and found[0].failure.stage == "step" and "the service is down" in found[0].failure.error
    assert not found[0].won and all(o.won for o in found if not o.failure)
    broken.unlink()
    assert main(flags) == 0
    assert all(o.won and o.failure is None for o in read(tmp_path / "out"))
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 9 + 3


def test_nothing_but_failures_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken").touch()
    flags = ["--env", written(tmp_path, "Fragile"), "--env.broken", str(tmp_path / "broken"), "--model", "expert"]
    assert main([*flags, "--trial.episodes", "1", "--out", str(tmp_path / "out")]) == 1
    assert "every episode failed" in capsys.readouterr().err

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    summary = json.loads((tmp_path / "out" / "summary.json").read_text(), parse_constant=refuse)["summary"]
    assert summary["failures"] == 1 and summary["score_low"] is None
    with pytest.raises(ConfigError, match="give --out"):
        main([*flags, "--inspect"])


POLICY = """
import time
def constant(env, observation, rng):
    return "yes"
class Counting:
    def __init__(self):
        self.turns = 0
    def __call__(self, env, observation, rng):
        self.turns += 1
        return env.expert() if self.turns == 1 else "no"
def breaks(env, observation, rng):
    raise RuntimeError("no idea")
def silent(env, observation, rng):
    return None
def slow(env, observation, rng):
    time.sleep(5)
"""


def test_functions_in_files_play(tmp_path: Path) -> None:
    file = tmp_path / "policy.py"
    file.write_text(POLICY, encoding="utf-8")
    base = ["--env", written(tmp_path, "Even"), "--trial.episodes", "6", "--trial.sample_deadline", "0.3"]

    def play(name: str) -> list[Outcome]:
        main([*base, "--model", f"{file}:{name}", "--out", str(tmp_path / name)])
        return read(tmp_path / name)

    assert [o.won for o in play("constant")] == [int(o.opening.split()[1]) % 2 == 0 for o in play("constant")]
    assert all(o.won for o in play("Counting"))  # made anew for each episode
    for name, told in (("breaks", "no idea"), ("silent", "NoneType"), ("slow", "no answer within 0.3 s")):
        for o in play(name):
            assert o.failure and o.failure.stage == "sample" and told in o.failure.error
    with pytest.raises(UnknownName, match="constant"):
        text_policy(f"{file}:constnat")
    with pytest.raises(ConfigError, match="no file"):
        text_policy("./nothing.py:f")


def test_noisy_is_between_random_and_expert(tmp_path: Path) -> None:
    won = {}
    for name in ("random", "noisy", "expert"):
        main(
            [
                "--env",
                written(tmp_path, "Even"),
                "--model",
                name,
                "--trial.episodes",
                "150",
                "--out",
                str(tmp_path / name),
            ]
        )
        won[name] = sum(o.won for o in read(tmp_path / name))
    assert won["random"] < won["noisy"] < won["expert"] == 150


def test_the_random_policy_needs_a_list_of_actions() -> None:
    with pytest.raises(ConfigError, match="lists its actions"):
        random_policy(TextEnv(), "go", np.random.default_rng(0))


def test_the_command_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--env", written(tmp_path, "Even"), "--trial.episodes", "40", "--out"]
    assert main(["--model", "expert", *flags, str(tmp_path / "expert")]) == 0
    assert "success   100.0%" in capsys.readouterr().out
    lines = [json.loads(x) for x in (tmp_path / "expert" / "results.jsonl").read_text().splitlines()]
    summary = json.loads((tmp_path / "expert" / "summary.json").read_text())["summary"]
    assert len(lines) == summary["episodes"] == 40 and all(x["won"] for x in lines)
    assert {x["seed"] for x in lines} == {EVAL_SEED_BASE + i for i in range(40)}
    assert main(["--model", "random", *flags, str(tmp_path / "random")]) == 0
    again = json.loads((tmp_path / "random" / "summary.json").read_text())
    assert 0.2 < again["summary"]["success"] < 0.8
    assert again["summary"]["score"] == pytest.approx(0.25 + 0.75 * again["summary"]["success"])
    kinds = again["kinds"][next(iter(again["parts"]))]
    assert sum(kinds[k]["episodes"] for k in ("small", "large")) == 40
    with pytest.raises(AgentRLError, match=r"another evaluation \(model.name was random, is expert\)"):
        main(["--model", "expert", *flags, str(tmp_path / "random")])


class Page(HTMLParser):
    """Collects what a page would load, and holds tags to be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.count: dict[str, int] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.loads += [str(v) for k, v in attrs if k in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_page_without_network(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    main(["--env", written(tmp_path, "Even"), "--model", "random", "--trial.episodes", "30", "--trial.attempts", "3",
          "--out", str(tmp_path / "a")])  # fmt: skip
    main(["--env", written(tmp_path, "Fragile"), "--env.broken", str(tmp_path / "broken"), "--model", "expert",
          "--trial.episodes", "9", "--out", str(tmp_path / "b")])  # fmt: skip
    text = (tmp_path / "a" / "report.html").read_text()
    page = Page(text)
    assert not page.open and not page.loads and "script" not in page.count
    assert page.count["svg"] >= 4 and "pass@k" in text and "prefers-color-scheme: dark" in text
    broken = (tmp_path / "b" / "report.html").read_text()
    assert "Failures outside the policy" in broken and "the service is down" in broken


def test_a_mistyped_run_is_told_without_asking_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = written(tmp_path, "Even")
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AgentRLError, match="no folder 'runs/nothing'"):
        main(["--env", env, "--model", "runs/nothing"])
    with pytest.raises(ConfigError, match="Say what to evaluate"):
        main([])
