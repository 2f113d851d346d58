"""The rollout loop: every way an episode can end, and every way it can break."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from letters import END, Letters, Obedient, Recorder, play, script, speak

from agentrl.engines.scripted import HANG, Say
from agentrl.env import TextEnv
from agentrl.errors import ContextOverflow
from agentrl.pack import rows_of
from agentrl.rollout.context import Transcript
from agentrl.rollout.episode import Episode
from agentrl.rollout.loop import Limits, Rollout, Task
from agentrl.rollout.worker import WorkerPool
from agentrl.tokentree import TokenTree
from agentrl.trajectory import Group, Stage, StopReason, Trajectory

S = StopReason


@pytest.mark.parametrize(
    ("lines", "limits", "stop"),
    [
        (["go", "win"], {}, S.WON),
        (["top"], {}, S.WON),
        (["go", "lose"], {}, S.LOST),
        (["cut"], {}, S.TRUNCATED),
        ([], {}, S.MAX_TURNS),
        ([], {"max_turns": 2}, S.MAX_TURNS),
        ([], {"token_budget": 7}, S.TOKEN_BUDGET),
        (["bad", "go", "bad"], {"max_invalid": 2}, S.INVALID_CAP),
        (["?", "?"], {"max_invalid": 2}, S.INVALID_CAP),
        (['{"name": "x"}', "go", '{"name": "x"}', "win"], {"max_tool_calls": 2}, S.WON),
        (['{"name": "x"}', "go", '{"name": "x"}', "win"], {"max_tool_calls": 1}, S.TOOL_BUDGET),
        (['{"name": "x"}'], {"max_tool_calls": 0}, S.TOOL_BUDGET),
        (["go", HANG], {"episode_s": 0.2}, S.DEADLINE),
        (["go", "hang"], {"episode_s": 0.2}, S.DEADLINE),
    ],
)
def test_stop_reasons(lines: list[Any], limits: dict[str, Any], stop: StopReason) -> None:
    group, _ = play([lines], limits=Limits(**limits))
    (made,) = group.trajectories
    assert (made.stop, made.failure) == (stop, None)
    assert made.won == (stop == S.WON)
    assert made.counts


def test_limits_cut_where_they_say() -> None:
    group, engine = play([[]], limits=Limits(token_budget=7))
    # "go" and the end are 3 tokens; the third turn has room for one
    assert [len(group.tree.nodes[t.sampled].ids) for t in group.trajectories[0].turns] == [3, 3, 1]
    assert [a.sampling.max_tokens for a in engine.asked] == [7, 4, 1]
    group, _ = play([[]], limits=Limits(max_turns=2))
    assert len(group.trajectories[0].turns) == 2
    assert len(play([[]])[0].trajectories[0].turns) == Obedient.max_turns


@pytest.mark.parametrize("room", range(1, 16))
def test_context_full_at_every_length(room: int) -> None:
    first = len("sObey.utask7>")
    group, engine = play([["abcdefgh"]], max_context=first + room)
    (made,) = group.trajectories
    assert made.stop == S.CONTEXT_FULL and made.failure is None and made.counts
    for turn in made.turns:
        assert group.tree.nodes[turn.sampled].end <= first + room
        assert (turn.finish == "length") == (group.tree.ids(turn.sampled)[-1] != END)
    assert all(len(asked.ids) < first + room for asked in engine.asked)


def test_first_prompt_longer_than_the_context() -> None:
    with pytest.raises(ContextOverflow, match=r"first prompt of 'obedient' has 13 tokens.*context is 13.*max_context"):
        play([[]], max_context=13)


def test_results_are_recorded() -> None:
    group, _ = play([["part", "bad", "win"]])
    (made,) = group.trajectories
    assert [t.reward for t in made.turns] == [0.25, -0.1, 1.0]
    assert [t.valid for t in made.turns] == [True, False, True]
    assert [t.observation for t in made.turns] == ["good", "what?", "yes"]
    assert [t.text for t in made.turns] == ["part", "bad", "win"]
    assert made.turns[0].action == "PART" and made.turns[0].components == {"step": 0.25}
    assert [t.state_key for t in made.turns] == ["task7", "good", "what?"]
    assert made.score == 0.5 and made.reward == pytest.approx(1.15) and group.task == "task7"


BREAKS: list[tuple[Any, Stage, str]] = [
    ("raise", Stage.STEP, "RuntimeError: boom"),
    ("exhausted", Stage.STEP, "StopIteration"),
    ("exit", Stage.STEP, "SystemExit"),
    ("slow", Stage.STEP, "the site did not answer"),
    ("hang", Stage.STEP, "no answer within 1.5 s"),
    ("bytes", Stage.STEP, "observation of type bytes; it must be str"),
    ("tuple", Stage.STEP, "must return (observation, reward, terminated, truncated, info)"),
    ("nan", Stage.STEP, "reward nan; it must be finite"),
    ("word", Stage.STEP, "reward 'much'; it must be a number"),
    ("unwritable", Stage.PARSE, "cannot write '#'"),
    ("~", Stage.PARSE, "cannot read '~'"),
    (RuntimeError("engine down"), Stage.SAMPLE, "RuntimeError: engine down"),
    (HANG, Stage.SAMPLE, "no answer within 1.5 s"),
    (Say([]), Stage.SAMPLE, "without a token"),
]


@pytest.mark.parametrize(("said", "stage", "error"), BREAKS, ids=[str(b[0])[:12] for b in BREAKS])
def test_what_breaks_outside_the_policy_is_a_failure_and_spares_its_siblings(
    said: Any, stage: Stage, error: str
) -> None:
    hangs = said in ("hang", HANG)  # the others get time: a busy machine is no failure of theirs
    limits = Limits(step_s=1.5 if hangs else 60.0, sample_s=1.5 if hangs else 60.0, max_turns=3)
    group, _ = play([["go", "win"], ["go", said], ["lose"], []], limits=limits)
    won, broken, lost, long = group.trajectories
    assert broken.stop == S.FAILED and broken.failure is not None and not broken.counts
    assert broken.failure.stage == stage and error in broken.failure.error
    assert [won.stop, lost.stop, long.stop] == [S.WON, S.LOST, S.MAX_TURNS]
    assert all(t.failure is None and t.counts for t in (won, lost, long))
    assert {row.trajectory for row in rows_of(0, group)} == {0, 2, 3}
    alone, _ = play([["go", "win"], ["go", "go"], ["lose"], []], limits=limits)
    for mine, theirs in ((won, alone.trajectories[0]), (lost, alone.trajectories[2]), (long, alone.trajectories[3])):
        assert group.tree.ids(mine.turns[-1].sampled) == alone.tree.ids(theirs.turns[-1].sampled)
        assert mine.reward == theirs.reward


@pytest.mark.parametrize(
    ("kind", "stage", "error"),
    [
        ("raise", Stage.RESET, "RuntimeError: no world today"),
        ("hang", Stage.RESET, "no answer within 0.2 s"),
        ("alone", Stage.RESET, "must return (observation: str, info: dict), not"),
        ("bytes", Stage.RESET, "observation of type bytes"),
        ("number", Stage.RESET, "observation of type int"),
        ("unwritable", Stage.PARSE, "cannot write '#'"),
    ],
)
def test_broken_resets(kind: str, stage: Stage, error: str) -> None:
    group, engine = play([[], []], options={"reset": kind}, limits=Limits(reset_s=0.2))
    assert not engine.asked
    for made in group.trajectories:
        assert made.failure is not None and made.failure.stage == stage and error in made.failure.error
        assert not made.turns and not made.counts


def test_an_environment_that_cannot_be_made() -> None:
    def factory() -> TextEnv:
        raise OSError("no display")

    group, _ = play([[]], env=factory)
    assert group.trajectories[0].failure is not None
    assert group.trajectories[0].failure.stage == Stage.RESET
    assert "OSError: no display" in group.trajectories[0].failure.error


def test_a_late_answer_changes_nothing() -> None:
    """An environment that comes back after the deadline must not write into a trajectory that is in use."""
    Obedient.hang.clear()
    group, _ = play([["go", "hang"], ["go", "hang", "win"]], limits=Limits(episode_s=0.2))
    before = [[(t.observation, t.reward, t.valid) for t in made.turns] for made in group.trajectories]
    Obedient.hang.set()
    time.sleep(0.2)
    after = [[(t.observation, t.reward, t.valid) for t in made.turns] for made in group.trajectories]
    Obedient.hang.clear()
    assert before == after and before[0][-1][0] == ""


def test_cancelled() -> None:
    async def cancel() -> Trajectory:
        task = Task(7, 11, 1)
        engine = Recorder(script(task, {0: ["go", HANG]}))
        rollout = Rollout(engine, Letters(), Transcript(), WorkerPool(Obedient), "obedient")
        made = Trajectory(0, 1)
        group = Group(7, "obedient", TokenTree(), [made])
        engine._answer = lambda ids, sampling: HANG if len(ids) > 20 else speak("go")
        running = asyncio.create_task(Episode(rollout, task, group, made).run())
        await asyncio.sleep(0.1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        rollout.pool.close()
        return made

    made = asyncio.run(cancel())
    assert made.stop == S.CANCELLED and made.turns and not made.counts


def test_cancelling_a_collection_ends_it() -> None:
    async def cancel() -> float:
        task = Task(7, 11, 4)
        engine = Recorder(script(task, {i: [HANG] for i in range(4)}))
        rollout = Rollout(engine, Letters(), Transcript(), WorkerPool(Obedient), "obedient")
        running = asyncio.create_task(rollout.collect([task]))
        await asyncio.sleep(0.1)
        started = time.monotonic()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        rollout.pool.close()
        return time.monotonic() - started

    assert asyncio.run(cancel()) < 2


def test_fewer_lanes_than_episodes() -> None:
    ended: list[Trajectory] = []
    tasks = [Task(seed, seed + 100, 3) for seed in range(4)]
    engine = Recorder(lambda ids, sampling: speak("lose" if len(ids) > 30 else "go"))
    rollout = Rollout(engine, Letters(), Transcript(), WorkerPool(Obedient), "obedient", concurrency=2)
    groups = asyncio.run(rollout.collect(tasks, ended.append))
    assert engine.most == 2
    assert [g.task for g in groups] == ["task0", "task1", "task2", "task3"]
    assert all(t.stop == S.LOST and t.index == i for g in groups for i, t in enumerate(g.trajectories))
    assert sorted(map(id, ended)) == sorted(id(t) for g in groups for t in g.trajectories)
    assert len(rollout.pool._idle) == 2, "environments are kept from one episode to the next"
    rollout.pool.close()


def test_broken_environments_are_not_used_again() -> None:
    made: list[int] = []

    def factory() -> TextEnv:
        made.append(1)
        return Obedient()

    group, _ = play([["raise"], ["win"], ["raise"], ["win"]], env=factory, concurrency=1)
    assert [t.stop for t in group.trajectories] == [S.FAILED, S.WON, S.FAILED, S.WON]
    assert len(made) == 3


def test_environments_are_closed() -> None:
    class Own(Obedient):  # environments of other tests may close late, and must not be counted here
        closed: ClassVar[list[int]] = []

    play([["win"], ["raise"]], env=Own)
    until = time.monotonic() + 5
    while len(Own.closed) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(set(Own.closed)) == len(Own.closed) == 2


def test_no_hanging_environment_keeps_the_process() -> None:
    code = """
import sys, time
sys.path.insert(0, sys.argv[1])
from letters import play
from agentrl.rollout.loop import Limits
group, _ = play([["hang"], ["win"]], limits=Limits(step_s=0.2))
print([t.stop.value for t in group.trajectories], flush=True)
"""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "['failed', 'won']" and done.returncode == 0, done.stderr
    assert time.monotonic() - started < 30


def test_nothing_to_do() -> None:
    rollout = Rollout(Recorder([]), Letters(), Transcript(), WorkerPool(Obedient), "obedient")
    assert asyncio.run(rollout.collect([])) == []
