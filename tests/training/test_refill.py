"""Dynamic sampling: groups that teach nothing are replaced, for a bounded number of rounds, always in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import SMALL, assert_equal_runs, metrics

from agentrl.config import Config
from agentrl.settings import load
from agentrl.training.command import main
from agentrl.training.display import Display
from agentrl.training.opening import start
from agentrl.training.trainer import Trainer
from agentrl.trajectory import Group

FATE = Path(__file__).parent / "fate.py"
GROUPS = SMALL["rollout.groups"]
Start = Callable[..., Trainer]


def words(folder: Path, *more: str) -> list[str]:
    small = SMALL | {"warmup.episodes": 0, "algo.group_size": 8, "eval.every": 0, "train.steps": 2}
    return [
        *("--env", f"{FATE}:Fate", "--run.dir", str(folder), "--algo", "dapo"),
        *(f"--{k}={v}" for k, v in small.items()),
        *more,
    ]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Start]:
    """``started(*flags)``: a trainer of a small run; closed afterwards."""
    made: list[Trainer] = []

    def begin(*more: str) -> Trainer:
        config = load(Config, words(tmp_path / f"run{len(made)}", *more)).resolved()
        made.append(start(config, Display()))
        return made[-1]

    yield begin
    for trainer in made:
        trainer.close()


def mixed(group: Group) -> bool:
    return len({t.won for t in group.trajectories}) > 1


def content(groups: list[Group]) -> list[Any]:
    return [(g.task_seed, [(t.reward, [u.text for u in t.turns]) for t in g.trajectories]) for g in groups]


def test_uniform_groups_are_replaced_and_the_excess_is_dropped(started: Start) -> None:
    trainer = started("--env.chance", "0.4")
    groups, seconds = trainer.collect_enough(1)
    kept = trainer.worth_training(groups)
    assert seconds > 0 and len(kept) == GROUPS
    assert all(mixed(g) for g in kept)
    useful = [g for g in groups if mixed(g)]
    assert kept == useful[:GROUPS], "in the order in which they were made"
    assert GROUPS < len(groups) <= 10 * GROUPS and len(groups) % GROUPS == 0
    last = groups[-GROUPS:]
    assert sum(mixed(g) for g in groups[: -len(last)]) < GROUPS, "no round more than needed"
    assert len({g.task_seed for g in groups}) == len(groups), "replaced by other tasks"
    again = trainer.collect_enough(1)
    assert content(again[0]) == content(groups) and content(trainer.worth_training(again[0])) == content(kept)
    assert content(trainer.collect_enough(2)[0]) != content(groups)


@pytest.mark.parametrize("rounds", [1, 3])
def test_the_number_of_rounds_is_bounded(started: Start, rounds: int) -> None:
    trainer = started("--env.chance", "0", "--algo.refill", str(rounds))
    groups, _ = trainer.collect_enough(1)
    kept = trainer.worth_training(groups)
    assert len(groups) == rounds * GROUPS and not kept


def test_without_refill_it_trains_on_what_is_left(started: Start) -> None:
    trainer = started("--env.chance", "0.4", "--algo.refill", "0")
    groups, _ = trainer.collect_enough(1)
    kept = trainer.worth_training(groups)
    assert len(groups) == GROUPS and kept == [g for g in groups if mixed(g)]


def test_padding_brings_back_what_was_left_out(started: Start) -> None:
    trainer = started("--env.chance", "0.15", "--algo.refill", "2", "--algo.pad", "true")
    groups, _ = trainer.collect_enough(1)
    kept = trainer.worth_training(groups)
    useful = [g for g in groups if mixed(g)]
    assert 0 < len(useful) < GROUPS == len(kept) and len(groups) == 2 * GROUPS
    assert kept == [*useful, *(g for g in groups if not mixed(g))][:GROUPS]


def test_a_step_without_any_group_to_train_on(started: Start) -> None:
    trainer = started("--env.chance", "0", "--algo.refill", "2")
    values = trainer.one_step()
    assert (values["dropped_groups"], values["tokens"]) == (2 * GROUPS, 0)
    assert trainer.step == 1 and trainer.learner.updates == 0


def test_runs_with_refill_are_the_same_twice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main(words(tmp_path / name, "--env.chance", "0.4", "--algo", "tapo", "--algo.tool_cost", "0.1")) == 0
    assert_equal_runs(tmp_path / "one", tmp_path / "two")
    lines = [line for line in metrics(tmp_path / "one") if line["kind"] == "train"]
    assert len(lines) == 2 and all(line["dropped_groups"] > 0 and line["tokens"] > 0 for line in lines)
