"""A step that was dumped can be taken again from its checkpoint, to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from runs import weights, words

from agentrl.run import read_rollouts
from agentrl.settings import load
from agentrl.training.command import main
from agentrl.training.display import Display
from agentrl.training.opening import resume


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("grpo", []),
        ("arpo", ["--algo.initial", "2", "--algo.decision", "bernoulli"]),
        ("aepo", ["--algo.initial", "2", "--algo.decision", "bernoulli"]),
        ("gigpo", []),
        ("tapo", ["--algo.refill", "2"]),
        ("dcpo", ["--algo.segments", "6"]),
        ("ppo", ["--algo.group_size", "2"]),
    ],
)
def test_a_dumped_step_replays_to_the_same_bits(tmp_path: Path, name: str, settings: list[str]) -> None:
    torch.set_num_threads(1)
    flags = ["--algo", name, *settings, "--train.steps=2", "--run.save_every=1", "--run.keep=9", "--eval.every=0"]
    assert main(words(tmp_path / "run", *flags)) == 0
    (dump,) = (tmp_path / "run" / "rollouts").glob("*2.jsonl.gz")
    found = []
    for copy in ("one", "two"):
        shutil.copytree(tmp_path / "run", tmp_path / copy)
        shutil.rmtree(tmp_path / copy / "checkpoints" / "step-000002")
        trainer = resume(tmp_path / copy, _config(tmp_path / copy), Display())
        assert trainer.step == 1
        trainer.learn(trainer.worth_training(read_rollouts(dump)), 2)
        found.append({k: v.detach().clone() for k, v in trainer.policy.model.state_dict().items()})
        trainer.close()
    original = weights(tmp_path / "run" / "checkpoints" / "step-000002")
    before = weights(tmp_path / "run" / "checkpoints" / "step-000001")
    assert any(not torch.equal(original[k], before[k]) for k in original), "the step changed something"
    for k in original:
        assert torch.equal(found[0][k], found[1][k]) and torch.equal(found[0][k], original[k]), k


def _config(folder: Path):
    from agentrl.config import Config

    return load(Config, [], toml=folder / "config.toml").resolved()
