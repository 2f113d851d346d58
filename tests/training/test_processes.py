"""Several processes train the policy that one would: same losses, same weights, and nobody is left waiting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import metrics, weights, words

from agentrl.errors import ConfigError
from agentrl.run import newest_checkpoint, read_metrics, read_rollouts
from agentrl.training.command import main
from agentrl.training.world import World

SEVERAL = ["--train.steps", "3", "--eval.every", "0", "--train.minibatches", "2", "--train.epochs", "2"]
"""Two passes of two mini-batches; each small enough to be cut into several packs."""


def start(*argv: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "agentrl.cli", "train", *argv]
    return subprocess.Popen(
        command, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
    )


def run(*argv: str) -> str:
    process = start(*argv)
    said = process.communicate(timeout=240)[1]
    assert process.returncode == 0, said
    return said


def assert_near(one: Path, two: Path, step: int) -> None:
    """Metrics of each step, rewards and tokens of the episodes, weights after ``step``: to 1e-5."""
    a, b = metrics(one), metrics(two)
    assert [(x["step"], x["kind"]) for x in a] == [(x["step"], x["kind"]) for x in b]
    for x, y in zip(a, b, strict=True):
        assert x.keys() == y.keys()
        for name in x.keys() - {"step", "kind"}:
            if name in ("engine_gap", "ratio_max", "tokens_forwarded") or name.startswith("mismatch"):
                continue  # rounding itself, and the packing
            assert x[name] == pytest.approx(y[name], abs=1e-5, rel=1e-4), (x["step"], name)
    for file in sorted((one / "rollouts").glob("*")):
        for g, h in zip(read_rollouts(file), read_rollouts(two / "rollouts" / file.name), strict=True):
            assert [t.reward for t in g.trajectories] == [t.reward for t in h.trajectories]
            assert [node.ids for node in g.tree.nodes] == [node.ids for node in h.tree.nodes]
    p, q = (weights(folder / "checkpoints" / f"step-{step:06d}") for folder in (one, two))
    assert p.keys() == q.keys()
    assert max(float((p[name] - q[name]).abs().max()) for name in p) < 1e-5
    first = weights(one / "checkpoints" / "step-000000")
    assert max(float((p[name] - first[name]).abs().max()) for name in p) > 1e-4, "nothing moved"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert main(words(folder, *SEVERAL)) == 0
    return folder


@pytest.mark.parametrize(
    ("processes", "parallel"),
    [
        (2, "ddp"),
        pytest.param(4, "ddp", marks=pytest.mark.slow),
        pytest.param(2, "fsdp", marks=pytest.mark.slow),
        pytest.param(4, "fsdp", marks=pytest.mark.slow),
    ],
)
def test_the_same_losses_and_weights_as_one(alone: Path, tmp_path: Path, processes: int, parallel: str) -> None:
    folder = tmp_path / "run"
    said = run(*words(folder, *SEVERAL, "--train.parallel", parallel), "--processes", str(processes))
    assert_near(alone, folder, 3)
    assert said.count("finished after") == 1, "one of them talks"
    assert "Traceback" not in said and "Warning" not in said, said


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize(
    "algorithm",
    [
        ["--algo", "ppo"],
        ["--algo", "arpo", "--algo.initial", "2"],
        ["--algo", "dapo"],
        ["--algo", "grpo", "--algo.kl_coef", "0.1", "--train.old_logprobs", "learner"],
    ],
    ids=lambda words: words[1],
)
def test_what_algorithms_ask_of_the_learner(tmp_path: Path, algorithm: list[str], parallel: str) -> None:
    """A critic, entropies, groups collected again, a reference: all of it is shared out and put together."""
    more = [*SEVERAL, *algorithm]
    assert main(words(tmp_path / "one", *more)) == 0
    run(*words(tmp_path / "two", *more, "--train.parallel", parallel), "--processes", "2")
    assert_near(tmp_path / "one", tmp_path / "two", 3)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_checkpoints_fit_any_number_of_processes(tmp_path: Path, parallel: str) -> None:
    more = ["--eval.every", "0", "--train.parallel", parallel]
    assert main(words(tmp_path / "one", *more)) == 0
    folder = tmp_path / "run"
    run(*words(folder, *more, "--train.steps", "2"), "--processes", "2")
    run("--resume", str(folder), "--train.steps", "4", "--processes", "4")
    assert main(["--resume", str(folder), "--train.steps", "6"]) == 0
    assert_near(tmp_path / "one", folder, 6)


@pytest.mark.slow
def test_nobody_outlives_the_launcher(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(*words(folder, "--eval.every", "0", "--env.nap", "0.05"), "--processes", "2")
    started = time.monotonic()
    while not read_metrics(folder):
        assert process.poll() is None and time.monotonic() < started + 120
        time.sleep(0.01)
    alive = children(process)
    assert len(alive) == 2
    process.kill()
    process.communicate(timeout=60)
    started = time.monotonic()
    while any(Path(f"/proc/{pid}").exists() for pid in alive):
        assert time.monotonic() < started + 10, "still there"
        time.sleep(0.05)


def children(process: subprocess.Popen[str]) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    return [int(line) for line in listed.stdout.split()]


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run_with_a_message(tmp_path: Path) -> None:
    one, folder = tmp_path / "one", tmp_path / "run"
    more = ["--eval.every", "0", "--env.nap", "0.05"]
    process = start(*words(folder, *more), "--processes", "2")
    started = time.monotonic()
    while not newest_checkpoint(folder) or not read_metrics(folder):
        assert process.poll() is None and time.monotonic() < started + 120
        time.sleep(0.01)
    os.kill(children(process)[-1], signal.SIGKILL)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2, said
    assert "SIGKILL" in said and f"agentrl train --resume {folder} --processes 2" in said.replace("\n", " ")
    assert "Traceback" not in said
    run("--resume", str(folder), "--processes", "2")
    assert main(words(one, *more)) == 0
    assert_near(one, folder, 6)


@pytest.mark.slow
def test_ctrl_c_saves_after_the_step(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(*words(folder, "--eval.every", "0", "--env.nap", "0.05"), "--processes", "2")
    started = time.monotonic()
    while not read_metrics(folder):
        assert process.poll() is None and time.monotonic() < started + 120
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "stopped; saving" in said and "Traceback" not in said
    newest = newest_checkpoint(folder)
    assert newest is not None
    assert int(newest.name[-6:]) == max(line["step"] for line in read_metrics(folder) if line["kind"] == "train")


@pytest.mark.slow
def test_what_is_wrong_is_said_once(tmp_path: Path) -> None:
    process = start(*words(tmp_path / "run", env="Nothing"), "--processes", "2")
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 2 and said.count("error:") == 1, said
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    process = start(*words(tmp_path / "there"), "--processes", "2")
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 2 and said.count("error:") == 1 and "--run.dir" in said, said


def test_shares_are_joined_in_order() -> None:
    items = list(range(7))
    worlds = [World(rank, 3) for rank in range(3)]
    parts = [world.share(items) for world in worlds]
    assert parts == [[0, 3, 6], [1, 4], [2, 5]]
    assert worlds[1].joined(parts) == items
    assert worlds[0].joined([[], [], []]) == []


def test_everybody_runs_as_many_packs() -> None:
    evened = [World(rank, 4).even(["a", "b", "c", "d", "e"]) for rank in range(4)]
    assert [len(part) for part in evened] == [2, 2, 2, 2]
    assert sorted(pack for part in evened for pack, counts in part if counts) == ["a", "b", "c", "d", "e"]
    assert World().even(["a"]) == [("a", True)] and World(1, 2).even([]) == []


def test_one_process_asks_nobody() -> None:
    world = World()
    module = torch.nn.Linear(1, 1)
    assert world.wrap(module) is module and world.leads
    assert world.together(lambda: 3) == [3] and world.first(lambda: 4) == 4
    made: list[Any] = []
    assert world.led(lambda: made) is made


@pytest.mark.parametrize("given", ["0", "-1", "two"])
def test_a_wrong_number_of_processes(tmp_path: Path, given: str) -> None:
    with pytest.raises(ConfigError, match="--processes"):
        main(words(tmp_path / "run", f"--processes={given}"))
