"""Comparisons, paired by task; re-scoring; logs for inspect_ai's viewer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import ChatServer
from eval_toys import written

from agentrl.cli import main as agentrl
from agentrl.errors import ConfigError, RunError
from agentrl.evaluation.command import main
from agentrl.evaluation.compare import METRICS, compare
from agentrl.evaluation.record import Outcome
from agentrl.evaluation.store import read
from agentrl.trajectory import Failure, Stage


def outcomes(won: list[list[bool]], *, part: str = "p", **values: Any) -> list[Outcome]:
    """One row for each task, one entry for each attempt."""
    return [
        Outcome(part, task, attempt, seed=task, won=w, opening=f"task {task}", **values)
        for task, row in enumerate(won)
        for attempt, w in enumerate(row)
    ]


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(300) < 0.5  # half of the tasks nobody wins: apart, that is most of the variance
    a = outcomes([[bool(~h & (x < 0.6))] for h, x in zip(hard, rng.random(300), strict=True)])
    b = [replace(o, won=o.won or (not hard[o.task] and o.task % 7 == 0)) for o in a]
    found = compare(a, b).difference("success")
    better = sum(y.won - x.won for x, y in zip(a, b, strict=True))
    assert found.difference == pytest.approx(better / 300) and found.clear
    assert found.high - found.low < 0.06  # two separate intervals of 300 are 0.11 wide each
    assert compare(a, b).split() == (better, 0, 300 - better)
    assert compare(a, a).difference("success").difference == 0.0


def test_attempts_are_averaged_before_they_are_compared() -> None:
    a, b = outcomes([[True, False], [False, False]]), outcomes([[True], [True]])
    found = compare(a, b)
    assert found.difference("success").difference == pytest.approx((0.5 + 1.0) / 2)
    assert [p.delta(METRICS["success"]) for p in found.pairs] == [0.5, 1.0]


def test_what_broke_is_in_no_pair() -> None:
    a, b = outcomes([[True], [True], [False]]), outcomes([[True], [False], [True]])
    b[1] = replace(b[1], failure=Failure(Stage.SAMPLE, "down"))
    found = compare(a, b)
    assert [p.key[1] for p in found.pairs] == [0, 2] and "1 tasks broke" in found.warnings[0]
    assert found.difference("success").difference == 0.5
    with pytest.raises(ConfigError, match="all broke"):
        compare(a[:1], [replace(a[0], failure=Failure(Stage.SAMPLE, "down"))])


def test_other_tasks_are_refused_and_missing_ones_told() -> None:
    a = outcomes([[True], [True], [False]])
    with pytest.raises(ConfigError, match="share no task: A has p, B has q"):
        compare(a, outcomes([[True]], part="q"))
    with pytest.raises(ConfigError, match=r"1 of 3 tasks differ .*'task 1' and 'another'"):
        compare(a, [a[0], replace(a[1], opening="another"), a[2]])
    assert "2 tasks are in A alone" in compare(a, a[:1]).warnings[0]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = written(tmp_path, "Even")
    for name in ("random", "expert"):
        main(["--env", env, "--model", name, "--trial.episodes", "40", "--out", str(tmp_path / name)])
    capsys.readouterr()
    file = tmp_path / "c.json"
    assert agentrl(["compare", str(tmp_path / "random"), str(tmp_path / "expert"), "--tasks", "--out", str(file)]) == 0
    text, figures = capsys.readouterr().out, json.loads(file.read_text())
    wrong = sum(not o.won for o in read(tmp_path / "random"))
    assert figures["success"] == {
        "more": wrong,
        "less": 0,
        "same": 40 - wrong,
        "mcnemar": pytest.approx(0.5 ** (wrong - 1)),
    }
    assert figures["metrics"]["success"]["difference"] == pytest.approx(wrong / 40)
    assert f"{wrong} tasks differ" in text and "small" in text and "McNemar" in text
    main(
        ["--env", env, "--env.most", "30", "--model", "random", "--trial.episodes", "40", "--out", str(tmp_path / "x")]
    )
    assert agentrl(["compare", str(tmp_path / "x"), str(tmp_path / "expert")]) == 2
    assert "differ though they have the same number" in capsys.readouterr().err
    assert agentrl(["compare", str(tmp_path / "x")]) == 2 and agentrl(["compare", "nothing", "here"]) == 2


def test_rescoring_replays_what_was_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(
        [
            "--env",
            written(tmp_path, "Even"),
            "--model",
            "random",
            "--trial.episodes",
            "30",
            "--out",
            str(tmp_path / "a"),
        ]
    )
    before = (tmp_path / "a" / "results.jsonl").read_bytes()
    assert main(["--rescore", str(tmp_path / "a"), "--env.prize", "3"]) == 0
    old, new = read(tmp_path / "a"), read(tmp_path / "a-rescored")
    assert [o.reward for o in new] == [3 * o.reward for o in old] and {o.reward for o in new} == {0.0, 3.0}
    assert [replace(o, reward=0.0) for o in new] == [replace(o, reward=0.0) for o in old]
    assert (tmp_path / "a" / "results.jsonl").read_bytes() == before
    assert main(["--rescore", str(tmp_path / "a"), "--env.most", "7", "--out", str(tmp_path / "b")]) == 0
    other = [o for o in read(tmp_path / "b") if o.failure]  # other numbers are asked: not the episodes that were played
    assert len(other) > 20 and all(o.failure.stage == "score" for o in other if o.failure)
    assert "could not be scored again" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="another folder"):
        main(["--rescore", str(tmp_path / "a"), "--out", str(tmp_path / "a")])
    with pytest.raises(RunError, match="holds no evaluation"):
        main(["--rescore", str(tmp_path / "nothing")])


def test_a_scorer_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "scorer.py"
    file.write_text(
        "def polite(outcome):\n    return 'yes' in outcome.transcript[-1].said\n"
        "def half(outcome):\n    return {'score': 0.5, 'won': False}\n"
        "def breaks(outcome):\n    return 1 / 0\n"
    )
    main(
        [
            "--env",
            written(tmp_path, "Even"),
            "--model",
            "random",
            "--trial.episodes",
            "10",
            "--out",
            str(tmp_path / "a"),
        ]
    )

    def scored(name: str) -> list[Outcome]:
        main(["--rescore", str(tmp_path / "a"), "--scorer", f"{file}:{name}", "--out", str(tmp_path / name)])
        return read(tmp_path / name)

    assert [o.won for o in scored("polite")] == [o.transcript[0].said == "yes" for o in read(tmp_path / "a")]
    assert {(o.score, o.won) for o in scored("half")} == {(0.5, False)}
    assert all(o.failure and "ZeroDivisionError" in o.failure.error for o in scored("breaks"))


def by_calls(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str | list[tuple[str, str]]:
    if messages[-1]["role"] == "tool":
        return str(messages[-1]["content"])
    words = messages[-1]["content"].split()
    return [("add", json.dumps({"a": int(words[2]), "b": int(words[4])}))]


def test_rescoring_replays_calls(tmp_path: Path) -> None:
    with ChatServer(by_calls) as server:
        words = ["--env", written(tmp_path, "Sums"), "--model", server.url, "--trial.episodes", "5"]
        main([*words, "--out", str(tmp_path / "a")])
        asked = len(server.asked)
        main(["--rescore", str(tmp_path / "a")])
        assert len(server.asked) == asked
    assert read(tmp_path / "a") == read(tmp_path / "a-rescored") and all(o.won for o in read(tmp_path / "a"))


def test_logs_open_in_inspect_ai(tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log")
    (tmp_path / "broken").touch()
    with ChatServer(by_calls) as server:
        words = ["--env", written(tmp_path, "Sums"), "--model", server.url, "--trial.episodes", "4"]
        main([*words, "--trial.attempts", "2", "--inspect", "--out", str(tmp_path / "a")])
    read_back = log.read_eval_log(str(tmp_path / "a" / "inspect.eval"))
    assert read_back.status == "success" and read_back.eval.config.epochs == 2 and len(read_back.samples) == 8
    sample = read_back.samples[0]
    assert [m.role for m in sample.messages] == ["system", "user", "assistant", "tool", "assistant"]
    call, result = sample.messages[2].tool_calls[0], sample.messages[3]
    assert call.function == "add" and result.tool_call_id == call.id and sample.scores["won"].value == 1.0
    assert sample.messages[4].text == result.text == str(sum(call.arguments.values()))
    assert read_back.results.scores[0].metrics["accuracy"].value == 1.0
    main(["--env", written(tmp_path, "Fragile"), "--env.broken", str(tmp_path / "broken"), "--model", "expert",
          "--trial.episodes", "3", "--out", str(tmp_path / "b"), "--inspect"])  # fmt: skip
    failed = log.read_eval_log(str(tmp_path / "b" / "inspect.eval"))
    assert failed.samples[0].error is not None and "service is down" in failed.samples[0].error.message
    assert failed.samples[0].scores is None and failed.results.completed_samples == 2
