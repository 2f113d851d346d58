"""What algorithms remember from step to step: used, kept in checkpoints, and the same after a run was cut."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import assert_equal_runs, metrics, weights, words

from agentrl.algorithms import Steps, make
from agentrl.algorithms.experience import REPLAYED
from agentrl.config import Config
from agentrl.run import read_rollouts
from agentrl.seeds import derive_seed
from agentrl.settings import load
from agentrl.training.command import main
from agentrl.training.display import Display
from agentrl.training.opening import resume

STEPS = 8


def flags(algo: str) -> list[str]:
    """A run over four tasks that come again, with a checkpoint of every step and a policy that often fails."""
    return [
        *(
            "--algo",
            algo,
            "--rollout.tasks",
            "4",
            f"--train.steps={STEPS}",
            "--warmup.epochs=1",
            "--train.minibatches=2",
        ),
        *("--run.save_every=1", "--run.keep=99", "--eval.every=0"),
    ]


@pytest.fixture(scope="module")
def replaying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with experience replay that nobody interrupted."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("replaying") / "run"
    assert main(words(folder, *flags("arpo_gui"))) == 0
    return folder


def history(run: Path, step: int) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(run / "checkpoints" / f"step-{step:06d}" / "trainer.pt", weights_only=True)
    return found["history"]


def dump(run: Path, step: int) -> Any:
    return read_rollouts(run / "rollouts" / f"step-{step:06d}.jsonl.gz")


def cut_after(step: int, run: Path, to: Path) -> Path:
    """The run as it was when ``step`` had been saved, but for metrics and rollouts that are written again."""
    shutil.copytree(run, to)
    for folder in sorted((to / "checkpoints").glob("step-*")):
        if int(folder.name[-6:]) > step:
            shutil.rmtree(folder)
    return to


def helped(run: Path, step: int) -> list[int]:
    """Groups of a step that were given a success of before."""
    groups = dump(run, step)
    given = make("arpo_gui").replay(groups, history(run, step - 1), derive_seed(0, "replay", step))
    assert all(not group.extras for group in groups)
    return [i for i, group in enumerate(given) if group.extras.get(REPLAYED)]


def test_successes_are_put_into_groups_without_any(replaying: Path) -> None:
    counts = [len(helped(replaying, step)) for step in range(1, STEPS + 1)]
    assert counts[0] == 0, "nothing is remembered yet"
    assert sum(counts) >= 2, counts
    known: set[str] = set()
    for step in range(1, STEPS + 1):
        for i in helped(replaying, step):
            group = dump(replaying, step)[i]
            assert f"{group.env}:{group.task_seed}" in known, "a success of the same task, of an earlier step"
            assert all(t.reward < 0.2 for t in group.trajectories), "the dump shows what was played"
        solved = {f"{g.env}:{g.task_seed}" for g in dump(replaying, step) for t in g.trajectories if t.reward > 0.1}
        known |= solved
        assert set(history(replaying, step)["arpo_gui"]) == known
    assert len(known) <= 4


def test_a_step_with_a_remembered_success_trains_on_it(replaying: Path, tmp_path: Path) -> None:
    """The update is that of the exchanged group, to the bit, and another one without the memory."""
    step = next(n for n in range(1, STEPS + 1) if helped(replaying, n))
    wanted = weights(replaying / "checkpoints" / f"step-{step:06d}")
    found = []
    for name, memory in (("with", True), ("without", False)):
        folder = cut_after(step - 1, replaying, tmp_path / name)
        trainer = resume(folder, load(Config, [], toml=folder / "config.toml").resolved(), Display())
        assert trainer.step == step - 1
        if not memory:
            trainer.history = {}
        trainer.learn(trainer.worth_training(dump(replaying, step)), step)
        found.append({k: v.detach().clone() for k, v in trainer.policy.model.state_dict().items() if k in wanted})
        trainer.close()
    assert all(torch.equal(found[0][k], wanted[k]) for k in wanted)
    assert any(not torch.equal(found[1][k], wanted[k]) for k in wanted)


def test_replay_survives_a_resumed_run(replaying: Path, tmp_path: Path) -> None:
    late = max(n for n in range(1, STEPS + 1) if helped(replaying, n))
    folder = cut_after(late - 1, replaying, tmp_path / "run")
    assert history(folder, late - 1)["arpo_gui"]
    assert main(["--resume", str(folder)]) == 0
    assert_equal_runs(replaying, folder)


@pytest.mark.parametrize("algo", ["epo", "otc"])
def test_histories_are_kept_in_checkpoints(tmp_path: Path, algo: str) -> None:
    torch.set_num_threads(1)
    assert main(words(tmp_path / "run", *flags(algo))) == 0
    remembers, known = make(algo), {}
    for step in range(1, STEPS + 1):
        remembers.remember(Steps.of(dump(tmp_path / "run", step), known))
        kept = copy.deepcopy(history(tmp_path / "run", step))
        if algo == "otc":
            assert kept == known
        else:
            assert kept["epo"]["steps"] == step and kept["epo"]["count"] == known["epo"]["count"]
            assert kept["epo"]["sum"] == pytest.approx(known["epo"]["sum"], rel=1e-6)
    assert known[algo]
    lines = metrics(tmp_path / "run")
    if algo == "epo":
        assert lines[0]["epo_constant"] == 0 and all(line["epo_constant"] > 0 for line in lines[1:])
        assert any(line["loss_entropy_band"] > 0 for line in lines)
    folder = cut_after(3, tmp_path / "run", tmp_path / "cut")
    assert main(["--resume", str(folder)]) == 0
    assert_equal_runs(tmp_path / "run", folder)
