"""Killed and resumed is never killed: metrics, rollouts and weights, to the bit."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from runs import assert_equal_runs, interrupt, metrics, rollouts, train, weights, words

from agentrl.run import newest_checkpoint, read_metrics, read_rollouts
from agentrl.training.command import main


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    assert main(words(folder)) == 0
    return folder


def steps_done(folder: Path) -> int:
    return max([line["step"] for line in read_metrics(folder) if line["kind"] == "train"], default=0)


def test_the_run_learns_something(straight: Path) -> None:
    """The comparisons below would be worth nothing between runs that do not move."""
    train_lines = [line for line in metrics(straight) if line["kind"] == "train"]
    assert [line["step"] for line in train_lines] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in metrics(straight) if line["kind"] == "eval"] == [0, 3, 6]
    assert all(line["grad_norm"] > 1e-3 for line in train_lines)
    assert len({line["reward"] for line in train_lines}) > 2
    first, last = (weights(straight / "checkpoints" / f"step-{n:06d}") for n in (0, 6))
    assert max(float((first[k] - last[k]).abs().max()) for k in first) > 1e-4
    assert (straight / "checkpoints" / "last").resolve().name == "step-000006"
    assert (straight.parent / "last").resolve() == straight


def test_one_seed_one_result(straight: Path, tmp_path: Path) -> None:
    assert main(words(tmp_path / "same", "--env.nap", "0.01")) == 0
    assert_equal_runs(straight, tmp_path / "same")
    assert main(words(tmp_path / "other", "--run.seed", "1")) == 0
    a, b = (weights(run / "checkpoints" / "step-000006") for run in (straight, tmp_path / "other"))
    assert any(not torch.equal(a[k], b[k]) for k in a if a[k].shape == b[k].shape)
    assert rollouts(straight)["step-000001.jsonl.gz"][0].task_seed != (
        rollouts(tmp_path / "other")["step-000001.jsonl.gz"][0].task_seed
    )


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "in the warm-up": lambda run: (run / "config.toml").is_file(),
    "while the first checkpoint is written": lambda run: any((run / "checkpoints").glob(".writing-*")),
    "in the first evaluation": lambda run: newest_checkpoint(run) is not None,
    "after the first evaluation": lambda run: bool(read_metrics(run)),
    "between checkpoints": lambda run: steps_done(run) == 3,
    "in the evaluation after step 3": lambda run: (run / "rollouts" / "step-000003.jsonl.gz").is_file(),
    "while a later checkpoint is written": lambda run: (run / "checkpoints" / ".writing-000004").is_dir(),
    "after a later checkpoint": lambda run: (run / "checkpoints" / "step-000004").is_dir(),
}


def test_killed_and_resumed(straight: Path, tmp_path: Path) -> None:
    _kill_and_resume(straight, tmp_path / "run", ["between checkpoints"])


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment(straight: Path, tmp_path: Path, moment: str) -> None:
    _kill_and_resume(straight, tmp_path / "run", [moment])


@pytest.mark.slow
def test_killed_again_and_again(straight: Path, tmp_path: Path) -> None:
    _kill_and_resume(straight, tmp_path / "run", list(MOMENTS))


def _kill_and_resume(straight: Path, folder: Path, moments: list[str]) -> None:
    argv = words(folder, "--env.nap", "0.02")  # slow enough to be caught in the act
    for moment in moments:
        process = train(*argv)
        interrupt(process, lambda: MOMENTS[moment](folder))  # noqa: B023
        assert process.returncode == -signal.SIGKILL
        argv = ["--resume", str(folder)]
    assert main(argv) == 0
    assert_equal_runs(straight, folder)
    assert not list((folder / "checkpoints").glob(".*")) and not list((folder / "rollouts").glob(".*"))
    assert (folder / "checkpoints" / "last").resolve().name == "step-000006"


def test_a_half_written_line_is_dropped(straight: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(straight, run, symlinks=True)
    shutil.rmtree(run / "checkpoints" / "step-000006")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    cut = next(i for i, line in enumerate(lines) if json.loads(line)["step"] == 5)
    (run / "metrics.jsonl").write_text("\n".join(lines[:cut]) + "\n" + lines[cut][:40])
    assert len(read_metrics(run)) == cut
    (run / "checkpoints" / ".writing-000006").mkdir()
    (run / "checkpoints" / ".writing-000006" / "model.safetensors").write_bytes(b"half")
    assert main(["--resume", str(run)]) == 0
    assert_equal_runs(straight, run)
    assert not list((run / "checkpoints").glob(".*"))


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("in the first evaluation", marks=pytest.mark.slow),
        pytest.param("between checkpoints", marks=pytest.mark.slow),
        "in the evaluation after step 3",
    ],
)
def test_ctrl_c_saves_and_leaves(straight: Path, tmp_path: Path, moment: str) -> None:
    run = tmp_path / "run"
    process = train(*words(run, "--env.nap", "0.03"))
    said = interrupt(process, lambda: MOMENTS[moment](run), signal.SIGINT)
    assert process.returncode == 130, said
    assert "stopped; saving" in said and f"agentrl train --resume {run}" in said.replace("\n", "")
    assert "Traceback" not in said
    newest = newest_checkpoint(run)
    assert newest is not None and int(newest.name[-6:]) == steps_done(run)
    assert main(["--resume", str(run)]) == 0
    assert_equal_runs(straight, run)


def test_ctrl_c_in_an_update_waits_for_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two optimizer steps of one batch the weights belong to no step that could be resumed."""
    from agentrl.training.learner import Learner

    plain = Learner._minibatch
    calls = []

    def interrupted(self: Learner, *args: object) -> object:
        calls.append(self.updates)
        if len(calls) == 4:  # the second minibatch of the second step
            signal.raise_signal(signal.SIGINT)
        return plain(self, *args)

    monkeypatch.setattr(Learner, "_minibatch", interrupted)
    run = tmp_path / "run"
    assert main(words(run)) == 130
    assert len(calls) == 4 and steps_done(run) == 2 and newest_checkpoint(run) == run / "checkpoints" / "step-000002"
    monkeypatch.undo()
    assert main(["--resume", str(run)]) == 0
    whole = tmp_path / "whole"
    assert main(words(whole)) == 0
    assert_equal_runs(whole, run)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_finished_run_stays_as_it_is_and_can_be_prolonged(straight: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(straight, run, symlinks=True)
    assert main(["--resume", str(run)]) == 0
    assert_equal_runs(straight, run)
    assert main(["--resume", str(run), "--train.steps", "8"]) == 0
    longer = tmp_path / "longer"
    assert main(words(longer, "--train.steps", "8")) == 0
    assert_equal_runs(longer, run)
    assert main(["--resume", str(run)]) == 0 and steps_done(run) == 8, "the run remembers its new length"


def test_checkpoints_are_ordinary_folders(straight: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from agentrl.models import load_policy

    folder = straight / "checkpoints" / "last"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    policy = load_policy(str(straight), device=torch.device("cpu"))
    (group, *_) = read_rollouts(straight / "rollouts" / "step-000006.jsonl.gz")
    ids = torch.tensor([group.tree.ids(group.trajectories[0].turns[-1].sampled)])
    with torch.no_grad():
        assert torch.equal(model(ids).logits, policy.model(ids).logits)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": group.task}], tokenize=False, add_generation_prompt=True
    )
    prompt = tokenizer(text)["input_ids"]
    assert prompt == policy.renderer.open([{"role": "user", "content": group.task}])
    assert prompt == group.tree.ids(group.trajectories[0].turns[0].context)


def test_the_checkpoint_sampled_what_the_rollouts_say(straight: Path) -> None:
    """The log-probabilities of step 5 are those of the checkpoint after step 4: replay needs nothing else."""
    from agentrl.models import load_policy

    policy = load_policy(str(straight / "checkpoints" / "step-000004"), device=torch.device("cpu"))
    seen = 0
    for group in read_rollouts(straight / "rollouts" / "step-000005.jsonl.gz"):
        for turn in (turn for t in group.trajectories for turn in t.turns):
            with torch.no_grad():
                logits = policy.model(torch.tensor([group.tree.ids(turn.sampled)])).logits[0]
            for node in (group.tree.nodes[n] for n in group.tree.between(turn.context, turn.sampled)):
                assert node.sampled is not None and node.sampled.version == 4
                logp = torch.log_softmax(logits[node.start - 1 : node.end - 1], -1)
                mine = logp.gather(1, torch.tensor(node.ids)[:, None])[:, 0]
                torch.testing.assert_close(mine, torch.tensor(node.sampled.logprobs), rtol=0, atol=1e-5)
                seen += len(node.ids)
    assert seen > 30


@pytest.mark.parametrize(
    "more",
    [
        ["--algo", "gigpo", "--rollout.context", "window", "--algo.kl_coef", "0.05", "--rollout.concurrency", "5"],
        ["--train.old_logprobs", "learner", "--train.epochs", "2", "--run.tensorboard", "true", "--rollout.top_k", "9"],
    ],
)
def test_stopped_in_the_middle_with_other_settings(tmp_path: Path, more: list[str]) -> None:
    """References, windows, several epochs, a pool smaller than the batch: nothing of it is lost between processes."""
    more = [*more, "--eval.every", "0", "--env.nap", "0.005", "--train.lr", "3e-3"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert main(words(whole, *more)) == 0
    assert main(words(run, *more, "--train.steps", "3")) == 0
    assert main(["--resume", str(run), "--train.steps", "6"]) == 0
    assert_equal_runs(whole, run)
    if "gigpo" in more:
        lines = [m for m in metrics(run) if m["kind"] == "train"]
        assert lines[0]["ref_kl"] < 1e-4 < lines[-1]["ref_kl"] and lines[-1]["drift"] > 0


def test_evaluations_leave_nothing_in_the_engine(tmp_path: Path) -> None:
    """A resumed run starts with an empty cache; what is computed together, and so how it rounds, must be the same."""
    import asyncio

    from agentrl.config import Config
    from agentrl.engines.base import Sampling
    from agentrl.settings import load
    from agentrl.training.display import Display
    from agentrl.training.opening import start

    trainer = start(load(Config, words(tmp_path / "run", "--env.page", "40")).resolved(), Display())
    ids = trainer.policy.renderer.open([{"role": "user", "content": "please " * 40 + "say a"}])

    def cached() -> int:
        return asyncio.run(trainer.engine.sample(ids, Sampling(max_tokens=1))).cached_tokens

    trainer.collect("eval", trainer.tasks(1), temperature=1.0)
    assert cached() >= 40
    trainer.evaluate()
    assert cached() == 0
    trainer.close()


def test_metrics_do_not_depend_on_who_came_first() -> None:
    """The nodes of a tree stand in the order of arrival, which is nobody's business; sums must not follow it."""
    import random

    from batches import random_groups

    from agentrl.run import asdict_group, group_of
    from agentrl.training.metrics import rollout_metrics

    groups = random_groups(1, groups=8, trajectories=8)
    rng = random.Random(0)
    for node in (n for g in groups for n in g.tree.nodes if n.sampled):
        assert node.sampled is not None
        node.sampled.entropies = [round(rng.random() * 10 ** rng.randint(-4, 2), 6) for _ in node.ids]
    for group in groups:
        group.trajectories.reverse()  # read back, the tree stands in this order
    again = [group_of(asdict_group(g)) for g in groups]
    assert [n.ids for n in again[0].tree.nodes] != [n.ids for n in groups[0].tree.nodes]
    assert rollout_metrics(groups, seconds=1.0) == rollout_metrics(again, seconds=1.0)
