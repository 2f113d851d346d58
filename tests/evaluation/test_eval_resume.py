"""Evaluations that are killed: what was played stays, only the rest is played, and the table is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from eval_toys import written

from agentrl.errors import AgentRLError, DataError, RunError
from agentrl.evaluation.command import main
from agentrl.evaluation.record import Outcome
from agentrl.evaluation.store import Store, read

TIMES = {"seconds": 0.0, "sample_s": 0.0, "step_s": 0.0}


def without_times(outcomes: list[Outcome]) -> list[Outcome]:
    return [replace(o, **TIMES) for o in outcomes]


def numbers(folder: Path) -> str:
    """All of summary.json but times."""
    whole = json.loads((folder / "summary.json").read_text())
    del whole["config"]["out"]

    def timeless(tree: object) -> object:
        if isinstance(tree, dict):
            return {k: timeless(v) for k, v in tree.items() if k not in ("seconds", "episode_s")}
        return tree

    return json.dumps(timeless(whole), sort_keys=True)


@pytest.mark.parametrize(
    "blows", [(200,), pytest.param((60, 170, 330), marks=pytest.mark.slow)], ids=["once", "thrice"]
)
def test_500_goals_killed_in_the_middle_give_the_same_table(tmp_path: Path, blows: tuple[int, ...]) -> None:
    words = ["--env", "webshop", "--model", "noisy", "--trial.episodes", "500", "--trial.concurrency", "8"]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    killed = tmp_path / "killed"
    results = killed / "results.jsonl"
    for wanted in blows:
        command = [sys.executable, "-m", "agentrl", "eval", *words, "--out", str(killed)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < give_up:
            if results.is_file() and results.read_bytes().count(b"\n") >= wanted:
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.005)
        assert process.wait() == -signal.SIGKILL
        with results.open("ab") as file:  # as if the blow had come within a line
            file.write(b'{"part": "webshop", "task": 49')
    assert blows[-1] <= len(read(killed)) < 500
    assert not json.loads((killed / "summary.json").read_text())["finished"]
    assert main([*words, "--out", str(killed)]) == 0
    assert results.read_bytes().count(b"\n") == 500  # none was played twice
    assert without_times(read(killed)) == without_times(read(tmp_path / "whole"))
    assert numbers(killed) == numbers(tmp_path / "whole")


def test_resume_by_folder_alone_and_more_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--env", written(tmp_path, "Even"), "--env.most", "30", "--model", "noisy", "--out", str(tmp_path / "out")]
    assert main([*base, "--trial.episodes", "20"]) == 0
    assert main(["--resume", str(tmp_path / "out"), "--trial.episodes", "50", "--trial.attempts", "2"]) == 0
    assert "20 of 100 episodes are there already" in capsys.readouterr().err
    once = [*base[:-1], str(tmp_path / "once"), "--trial.episodes", "50", "--trial.attempts", "2"]
    assert main(once) == 0
    assert without_times(read(tmp_path / "out")) == without_times(read(tmp_path / "once"))
    with pytest.raises(RunError, match=r"most was 30, is 40"):
        main(["--resume", str(tmp_path / "out"), "--env.most", "40"])
    with pytest.raises(RunError, match="holds no evaluation"):
        main(["--resume", str(tmp_path / "nothing")])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    main(
        ["--env", written(tmp_path, "Even"), "--model", "expert", "--trial.episodes", "5", "--out", str(tmp_path / "o")]
    )
    return tmp_path / "o"


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_a_torn_last_line_is_played_again(folder: Path, cut: int) -> None:
    results = folder / "results.jsonl"
    whole = read(folder)
    results.write_bytes(results.read_bytes()[:-cut])
    assert len(read(folder)) == 4
    assert main(["--resume", str(folder)]) == 0
    assert without_times(read(folder)) == without_times(whole)


def test_a_broken_line_is_named(folder: Path) -> None:
    results = folder / "results.jsonl"
    lines = results.read_text().splitlines()
    results.write_text("\n".join([lines[0], lines[1][:50], *lines[2:]]) + "\n")
    with pytest.raises(DataError, match=r"results.jsonl:2:"):
        main(["--resume", str(folder)])


def test_one_writer_at_a_time(folder: Path) -> None:
    with Store(folder), pytest.raises(RunError, match="Another evaluation is writing"):
        Store(folder)
    with Store(folder) as store:
        assert len(store.found) == 5


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AgentRLError):
        Store(tmp_path / "file")
