"""``agentrl explain``: what is told is what the credit code had in hand, and equals the golden examples."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from agentrl.algorithms import DCPO, GRPO, REGISTRY, GiGPO, Steps, make
from agentrl.cli import main
from agentrl.inspector.account import account_of, account_of_step
from agentrl.inspector.explain import as_json, lines, number, place_of
from agentrl.inspector.past import Past
from agentrl.inspector.trace import watch
from agentrl.tokentree import Sampled, TokenTree
from agentrl.trajectory import Failure, Group, Stage, StopReason, Trajectory, Turn

GOLDENS = Path(__file__).parents[1] / "data" / "goldens"
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def golden(name):
    cases = json.loads((GOLDENS / f"{name}.json").read_text())["cases"]
    assert cases
    return [(case["in"], case["out"]) for case in cases]


def told(call, n=0):
    """The results that a comparison's numbers lead to, done by hand."""
    out = np.full(len(call.results[n]), np.nan)
    for c in call.comparisons:
        if c.why:
            out[c.rows] = call.results[n][c.rows]
            assert c.why != "all are equal" or np.ptp(c.values) < 1e-8
            continue
        out[c.rows] = (c.own - c.centre) * c.factor / (c.spread if c.spread is not None else 1.0)
        assert c.centre == pytest.approx(np.mean(c.values))
    return out


@pytest.mark.parametrize(("unit", "norm", "name"), [("row", "none", "row_mean"), ("traj", "sample", "traj_std")])
def test_gigpo_tells_the_golden_numbers(rows, unit, norm, name):
    for given, wanted in golden("gigpo"):
        if "invalid" in given:
            continue
        made = rows(given["group"], given["traj"], given["step"], given["step_reward"], given["obs"])
        algo = GiGPO(
            gamma=given["gamma"], omega=given["omega"], norm=norm, stat_unit=unit, singleton="raw", invalid_penalty=0
        )
        account = account_of(algo, made.steps)
        np.testing.assert_allclose(made.undo(account.advantage), wanted[f"A_{name}"], **CLOSE)
        (credit,) = account.calls
        (returns,) = credit.find("discounted_return")
        np.testing.assert_allclose(made.undo(returns.results[0]), wanted["returns"], **CLOSE)
        compared = credit.find("GroupStat")
        assert len(compared) == 2
        kind = name.split("_")[1]
        np.testing.assert_allclose(made.undo(compared[0].results[0]), wanted[f"A_E_{name}"], **CLOSE)
        np.testing.assert_allclose(made.undo(compared[1].results[0]), wanted[f"A_S_{kind}"], **CLOSE)
        for call in compared:
            np.testing.assert_allclose(told(call), call.results[0], **CLOSE)


def test_grpo_tells_the_golden_numbers(rows):
    for given, wanted in golden("memact_dcpo_advantage"):
        ends = {
            t: max(s for s, u in zip(given["segment"], given["traj"], strict=True) if u == t) for t in given["traj"]
        }
        reward = [
            r if s == ends[t] else 0.0 for r, s, t in zip(given["reward"], given["segment"], given["traj"], strict=True)
        ]
        made = rows(given["prompt"], given["traj"], given["segment"], reward, segment=given["segment"])
        account = account_of(DCPO(preset="official", kl_coef=0, segments=None), made.steps)
        (call,) = account.calls[0].find("GroupStat")
        np.testing.assert_allclose(made.undo(call.results[0]), wanted["adv_std"], **CLOSE)
        np.testing.assert_allclose(told(call), call.results[0], **CLOSE)
        for c in call.comparisons:  # each episode once, however many segments it has
            assert len(c.units) == len(np.unique(made.steps.traj[c.rows]))


WORKED = """\
turn                                 0           1           2
reward (environment)                 0           0          10
# the episode's relative return on each of its steps.
GroupRelative.credit          0.866025    0.866025    0.866025
  # the environment's rewards less the penalty for malformed actions.
  Algorithm.rewards                  0           0          10
  # Undiscounted return of the trajectory, repeated on each of its rows.
  episode_return                    10          10          10
  # a value of each episode (on each of its rows) relative to those of the episodes with the same label.
  GroupRelative.relative      0.866025    0.866025    0.866025
    GroupStat                 0.866025    0.866025    0.866025
        turns 0, 1, 2 among 4: 0.0* 10, 0.1 0, 0.2 10, 0.3 0
            (10 - 5) / 5.7735 = 0.866025

advantage                     0.866025    0.866025    0.866025
times trained                        1           1           1"""


def test_the_worked_group_in_words():
    tree = TokenTree()
    trajectories = []
    for index, (turns, reward) in enumerate([(3, 10.0), (2, 0.0), (4, 10.0), (3, 0.0)]):
        one = Trajectory(index, 0, stop=StopReason.WON)
        for turn in range(turns):
            node = tree.extend(-1, [turn + 1])
            said = tree.extend(node, [9], sampled=Sampled([-0.1], [0.5]))
            one.turns.append(Turn(node, said, "x", "x", reward=reward if turn == turns - 1 else 0.0))
        trajectories.append(one)
    group = Group(0, "toy", tree, trajectories)
    account = account_of(GRPO(), Steps.of([group]))
    account.place = [0]
    assert "\n".join(lines(account, 0, 0, group)).strip() == WORKED


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_algorithm_is_told(rows, name):
    """The account ends with what credit gives, and each step of it can be printed."""
    rng = np.random.default_rng(0)
    n, sizes = 12, [2] * 12
    traj = [0] * 3 + [1] * 2 + [2] * 4 + [3] * 3
    step = [0, 1, 2, 0, 1, 0, 1, 2, 3, 0, 1, 2]
    columns = {
        c: [list(rng.random(k) - (c != "entropy")) for k in sizes] for c in ("logp", "entropy", "value", "ref_logp")
    }
    made = rows(
        [0] * n, traj, step, [0, 0, 1.0, 0, 0, 0.5, 0, 0, 1.0, 0, 0, 0], [f"s{s % 2}" for s in step], tokens=sizes,
        token=columns, cut=[False] * n, won=[t in (0, 2) for t in traj], tool_calls=list(step),
        start=[5 * s for s in step], node=list(range(n)), segment=[0] * n, said=["a"] * n, task=["toy:1"],
    )  # fmt: skip
    algo = make(name)
    account = account_of(algo, made.steps)
    np.testing.assert_array_equal(account.advantage, algo.credit(made.steps))
    assert account.calls and account.calls[0].results
    np.testing.assert_array_equal(account.calls[-1].results[0], account.advantage)
    for _, call in (pair for one in account.calls for pair in one.walk()):
        if call.name == "GroupStat" and call.given["centre"] != "weighted" and call.given["centre"] != "none":
            np.testing.assert_allclose(told(call), call.results[0], **CLOSE)


def test_watching_leaves_no_trace():
    def profile(frame, event, value):
        pass

    sys.setprofile(profile)
    try:
        with pytest.raises(ZeroDivisionError):
            watch(lambda: 1 / 0, sizes=(3,))
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)


def test_the_command(run_of, capsys):
    run = run_of("gigpo")
    assert main(["explain", str(run), "1", "0.0"]) == 0
    out = capsys.readouterr().out
    assert "GiGPO.credit" in out and "among" in out and "advantage" in out
    assert main(["explain", str(run), "1", "0.0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for turn, value in zip(found["turns"], found["advantage"], strict=True):
        assert number(value) in out, turn
    parts = found["calls"][0]["calls"][0]["results"]
    np.testing.assert_allclose(np.add(*parts), found["advantage"])


def test_the_command_asks_the_model_where_a_critic_is_needed(run_of, capsys):
    assert main(["explain", str(run_of("ppo")), "2", "0.1"]) == 0
    assert "Tokens.need(name=value)" in capsys.readouterr().out


def test_wrong_input_is_told(run_of, capsys):
    run = str(run_of("gigpo"))
    for words, wanted in [
        ([run, "1", "77.0"], "There is no episode '77.0'"),
        ([run, "9", "0.0"], "no rollouts of step 9; there are those of steps 1-2"),
        ([run, "1"], "RUN STEP TRAJECTORY is expected"),
        ([run, "one", "0.0"], "'one' is no step"),
        (["/nowhere", "1", "0.0"], "is no run directory"),
        ([run, "1", "0.0", "--jsn"], "Did you mean '--json'"),
    ]:
        assert main(["explain", *words]) == 2
        assert wanted in capsys.readouterr().err


def test_episodes_are_found_by_both_names(run_of):
    groups = Past(run_of("gigpo")).groups(1)
    assert place_of("1.2", groups) == (1, 2) == place_of("6", groups)


def test_what_is_in_no_statistic_says_so(run_of):
    past = Past(run_of("gigpo"))
    groups = past.groups(1)
    one = groups[0].trajectories[0]
    one.stop, one.failure = StopReason.FAILED, Failure(Stage.STEP, "OSError: \x1b[31mgone")
    account = account_of_step(past, 1, groups)
    (line,) = lines(account, 0, 0, groups[0])
    assert "broke outside the policy" in line and "\x1b" not in line
    assert as_json(account, 0, 0)["turns"] == []
