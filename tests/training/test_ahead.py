"""Episodes that are played while the learner works: whole groups, bounded age, nothing lost or trained twice."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from runs import SMALL, metrics, rollouts, words

from agentrl.config import Config
from agentrl.errors import ConfigError
from agentrl.rollout.loop import Task
from agentrl.settings import load
from agentrl.tokentree import ROOT, Sampled, TokenTree
from agentrl.training.ahead import Player, Stream
from agentrl.training.command import main
from agentrl.training.metrics import staleness
from agentrl.trajectory import Group


@pytest.fixture
def player() -> Iterator[Player]:
    player = Player()
    yield player
    player.close()


class Stage:
    """Groups that end when they are told to. Their name is (step, place), which their task's seed says."""

    def __init__(self, player: Player, size: int = 3, **settings: Any) -> None:
        self.player, self.size = player, size
        self.begun: list[tuple[int, int]] = []
        self.ended: list[tuple[int, int]] = []
        self.cancelled: list[tuple[int, int]] = []
        self.gates: dict[tuple[int, int], asyncio.Event] = {}
        chosen = {"ahead": 0, "share": 1.0, "max_staleness": 0, **settings}
        self.stream = Stream(player, self.tasks, self.play, **chosen)

    def tasks(self, step: int) -> list[Task]:
        return [Task(100 * step + place, 0, 1) for place in range(self.size)]

    def play(self, tasks: Sequence[Task]) -> list[Coroutine[Any, Any, Group]]:
        names = [divmod(task.env_seed, 100) for task in tasks]
        self.begun += names
        return [self.group(name) for name in names]

    async def group(self, name: tuple[int, int]) -> Group:
        gate = self.gates.setdefault(name, asyncio.Event())
        try:
            await gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        self.ended.append(name)
        return Group(100 * name[0] + name[1], "", TokenTree(), [])

    def end(self, *names: tuple[int, int]) -> None:
        async def open_gates() -> None:
            for name in names:
                self.gates.setdefault(name, asyncio.Event()).set()
            await asyncio.sleep(0)

        self.player.run(open_gates())

    def take(self, step: int, last: int = 9) -> tuple[list[tuple[int, int]], int, int]:
        taken = self.stream.take(step, last=last)
        return [divmod(g.task_seed, 100) for g in taken.groups], taken.carried, taken.dropped


def test_the_next_step_is_played_meanwhile_and_no_other(player: Player) -> None:
    stage = Stage(player, ahead=1, max_staleness=1)
    stage.end((1, 0), (1, 1), (1, 2))
    assert stage.take(1) == ([(1, 0), (1, 1), (1, 2)], 0, 0)
    assert stage.begun == [(s, i) for s in (1, 2) for i in range(3)]
    stage.end((2, 2), (2, 1), (2, 0))
    assert stage.take(2)[0] == [(2, 0), (2, 1), (2, 2)], "in their order, whoever was first"
    assert max(stage.begun) == (3, 2)


def test_nothing_is_started_beyond_the_last_step(player: Player) -> None:
    stage = Stage(player, ahead=3, max_staleness=3)
    stage.end(*((s, i) for s in (1, 2) for i in range(3)))
    stage.take(1, last=2)
    stage.take(2, last=2)
    assert max(stage.begun) == (2, 2)


def test_the_learner_waits_for_whole_steps(player: Player) -> None:
    stage = Stage(player)
    stage.end((1, 0), (1, 1))
    threading.Timer(0.2, stage.end, [(1, 2)]).start()
    started = time.monotonic()
    assert stage.take(1) == ([(1, 0), (1, 1), (1, 2)], 0, 0)
    assert time.monotonic() - started > 0.15


def test_stragglers_belong_to_the_next_step(player: Player) -> None:
    stage = Stage(player, share=0.6, max_staleness=1)
    stage.end((1, 0), (1, 2))
    assert stage.take(1) == ([(1, 0), (1, 2)], 1, 0)
    stage.end((1, 1), (2, 0))
    assert stage.take(2)[0] == [(1, 1), (2, 0)]
    assert [name for name in stage.begun if name[0] == 2] == [(2, 0), (2, 1)], "one fewer is started"
    assert stage.cancelled == []


def test_who_would_be_too_old_is_dropped_and_replaced(player: Player) -> None:
    stage = Stage(player, share=0.6, max_staleness=1)
    stage.end((1, 0), (1, 2))
    assert stage.take(1)[1:] == (1, 0)
    stage.end((2, 0), (2, 1))
    groups, carried, dropped = stage.take(2)
    assert (groups, carried, dropped) == ([(2, 0), (2, 1)], 0, 1)
    stage.end((3, 0), (3, 1), (3, 2))
    taken = stage.take(3)[0]  # two are enough; the third may be done as well
    assert set(taken) <= {(3, 0), (3, 1), (3, 2)} and len(taken) >= 2
    assert [name for name in stage.begun if name[0] == 3] == [(3, 0), (3, 1), (3, 2)]
    assert stage.cancelled == [(1, 1)]


def test_nothing_is_lost_and_nothing_taken_twice(player: Player) -> None:
    stage = Stage(player, size=4, ahead=2, share=0.5, max_staleness=9)
    taken: list[tuple[int, int]] = []
    for step in range(1, 10):
        stage.end(*[name for name in stage.begun if (name[0] + name[1]) % 3 or name[0] < step - 1])
        stage.end(*[(s, i) for s in range(step, step + 3) for i in (1, 2)])
        taken += stage.take(step, last=20)[0]
    assert len(taken) == len(set(taken)) and set(taken) <= set(stage.ended)
    assert all(len([t for t in taken if t[0] == s]) for s in range(1, 8))


def test_what_breaks_is_told(player: Player) -> None:
    stage = Stage(player)

    async def broken(name: tuple[int, int]) -> Group:
        raise ConfigError("no")

    stage.group = broken  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="no"):
        stage.take(1)


def test_closing_cancels_what_is_under_way() -> None:
    player = Player()
    stage = Stage(player, ahead=1, max_staleness=1)
    stage.end(*((1, i) for i in range(3)))
    stage.take(1)
    player.close()
    assert sorted(stage.cancelled) == [(2, 0), (2, 1), (2, 2)]
    player.close()


def test_age_is_counted_per_token() -> None:
    group = Group(0, "", TokenTree(), [])
    node = group.tree.extend(ROOT, [1, 2, 3, 4])
    group.tree.extend(node, [5, 6, 7], sampled=Sampled([0.0] * 3, version=4))
    group.tree.extend(node, [5, 6, 7], sampled=Sampled([0.0] * 3, version=2, versions=[2, 3, 4]))
    assert staleness([group], 4) == {"staleness": pytest.approx(3 / 6), "staleness_max": 2.0}
    assert staleness([], 4) == {"staleness": 0.0, "staleness_max": 0.0}


LATE = ["--env.nap", "0.02", "--eval.every", "0", "--train.steps", "6"]


@pytest.mark.parametrize(
    ("settings", "bound"),
    [(["--rollout.ahead", "1"], 1), (["--rollout.straggler_share", "0.5"], 1), (["--rollout.ahead", "2"], 2)],
    ids=["ahead", "stragglers", "two ahead"],
)
def test_runs_keep_the_bound_and_whole_groups(tmp_path: Path, settings: list[str], bound: int) -> None:
    run = tmp_path / "run"
    assert main(words(run, *LATE, *settings)) == 0
    lines = [line for line in metrics(run) if line["kind"] == "train"]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert all(line["staleness_max"] <= bound for line in lines)
    seeds = []
    for groups in rollouts(run).values():
        assert all(len(g.trajectories) == SMALL["algo.group_size"] for g in groups)
        assert all(t.counts for g in groups for t in g.trajectories)
        seeds += [g.task_seed for g in groups]
    assert len(seeds) == len(set(seeds)), "no group is trained twice"
    if bound == 1 and "--rollout.ahead" in settings:
        assert max(line["staleness_max"] for line in lines) == 1, "it did play ahead"
        assert max(line["mismatch_max"] for line in lines) > 1e-4, "and older weights sampled"
    assert main(["--resume", str(run), "--train.steps", "7"]) == 0


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["--rollout.ahead", "2", "--rollout.max_staleness", "1"], "max_staleness"),
        (["--rollout.ahead", "1", "--algo.correction", "none"], "algo.correction"),
    ],
)
def test_settings_that_make_no_sense(settings: list[str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load(Config, settings).resolved()
