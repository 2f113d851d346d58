"""Several environments as one: who plays, whose rules hold, and what is refused."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentrl import registry
from agentrl.config import Config
from agentrl.errors import ConfigError, NotForkable, UnknownName
from agentrl.mixture import Mixture, member_shares
from agentrl.training.curriculum import shares

PICK = Path(__file__).parent / "training" / "pick.py"
BOTH = f"webshop,{PICK}:Pick"


def test_the_seed_and_the_weights_say_whose_task_it_is() -> None:
    env = registry.make(BOTH, weights=[3, 1])
    found = [env.reset(seed=seed)[1]["member"] for seed in range(400)]
    assert found == [env.reset(seed=seed)[1]["member"] for seed in range(400)]
    counts = Counter(found)
    assert counts.keys() == {"webshop", "pick"} and 260 < counts["webshop"] < 340
    assert {registry.make(BOTH, weights=[0, 1]).reset(seed=s)[1]["member"] for s in range(20)} == {"pick"}


def test_the_members_rules_hold() -> None:
    env = registry.make(BOTH, webshop={"level": 1})
    shop = registry.make("webshop", level=1)
    observation, info = env.reset(seed=3, options={"member": "webshop"})
    assert observation == shop.reset(seed=3)[0] and info["member"] == "webshop"
    same = ("instructions", "max_turns", "reward_range", "reads_reasoning")
    assert all(getattr(env, name) == getattr(shop, name) for name in same)
    assert env.admissible() == shop.admissible() and env.expert() == shop.expert()
    assert env.noisy_expert(np.random.default_rng(0)) == shop.noisy_expert(np.random.default_rng(0))
    said = shop.expert()
    assert said is not None and env.step(said)[:4] == shop.step(said)[:4]
    assert env.state_key() == shop.state_key()
    env.reset(seed=3, options={"member": "pick"})
    assert env.max_turns == 3 and env.expert() in "abcdefgh"


def test_snapshots_cross_members() -> None:
    env = registry.make(BOTH)
    env.reset(seed=3, options={"member": "webshop"})
    said = env.expert()
    assert said is not None
    env.step(said)
    key, snapshot = env.state_key(), env.snapshot()
    env.reset(seed=4, options={"member": "pick"})
    env.restore(snapshot)
    assert isinstance(env, Mixture) and env.member == "webshop" and env.state_key() == key
    with pytest.raises(NotForkable, match="no snapshot of one of its members"):
        env.restore(("nobody", None))


def test_one_environment_under_several_names() -> None:
    env = registry.make("easy=webshop,hard=webshop", easy={"level": 0}, hard={"level": 2})
    easy, _ = env.reset(seed=1, options={"member": "easy"})
    hard, _ = env.reset(seed=1, options={"member": "hard"})
    assert easy == registry.make("webshop", level=0).reset(seed=1)[0] != hard


@pytest.mark.parametrize(
    ("name", "settings", "error", "message"),
    [
        ("webshop,webshop", {}, ConfigError, "two members called 'webshop'"),
        ("webshop,", {}, ConfigError, "empty part"),
        ("webshop,shop", {}, UnknownName, "Did you mean 'webshop'"),
        (BOTH, {"weights": [1, 2, 3]}, ConfigError, r"3 weights for 2 environments \(webshop, pick\)"),
        (BOTH, {"weights": [0, 0]}, ConfigError, "not all 0"),
        (BOTH, {"weights": [-1, 2]}, ConfigError, "not negative"),
        (BOTH, {"shop": {"level": 1}}, UnknownName, "member of the mixture 'shop'"),
        (BOTH, {"webshop": {"lvl": 1}}, UnknownName, "Did you mean 'env.level'"),
    ],
)
def test_wrong_mixtures(name: str, settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        registry.make(name, **settings)


def test_an_unknown_member_is_told() -> None:
    with pytest.raises(UnknownName, match="Unknown member of the mixture 'gym'"):
        registry.make(BOTH).reset(seed=0, options={"member": "gym"})


def test_shares() -> None:
    assert member_shares(["a", "b"], None) == {"a": 0.5, "b": 0.5}
    assert member_shares(["a", "b"], [1, 3]) == {"a": 0.25, "b": 0.75}


def test_a_run_on_several_environments_reports_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, then a curriculum by success; killed and resumed as any run; evaluated alone."""
    monkeypatch.syspath_prepend(str(PICK.parent))
    runs = importlib.import_module("runs")
    train = importlib.import_module("agentrl.training.command").main
    judge = importlib.import_module("agentrl.evaluation.command").main
    members = ["--env", f"short={PICK}:Pick,long={PICK}:Pick", "--env.long.page", "3", "--env.weights", "3,1"]
    for curriculum in ("weights", "success"):
        folder = tmp_path / curriculum
        flags = [w for w in runs.words(folder) if ":Pick" not in w and w != "--env"]
        assert train([*members, *flags, "--rollout.groups=8", f"--rollout.curriculum={curriculum}"]) == 0
        lines = runs.metrics(folder)
        steps = [line for line in lines if line["kind"] == "train"]
        assert all({"success/short", "success/long"} <= line.keys() for line in steps if line["tasks/short"] % 8)
        assert sum(line["tasks/short"] for line in steps) > sum(line.get("tasks/long", 0) for line in steps)
        last = [line for line in lines if line["kind"] == "eval"][-1]
        both = (last["eval/greedy_success/short"] + last["eval/greedy_success/long"]) / 2
        assert both == pytest.approx(last["eval/greedy_success"])
        groups = [g for dump in runs.rollouts(folder).values() for g in dump]
        assert {g.member for g in groups} == {"short", "long"}
        assert all(("please" in g.task) == (g.member == "long") for g in groups)
    assert judge(["--model", str(tmp_path / "success"), "--trial.episodes", "10", "--out", str(tmp_path / "e")]) == 0
    written = (tmp_path / "e" / "results.jsonl").read_text()
    assert written.count('"member": "short"') == written.count('"member": "long"') == 5


def test_the_yardsticks_play_all_members(capsys: pytest.CaptureFixture[str]) -> None:
    judge = importlib.import_module("agentrl.evaluation.command").main
    assert judge(["--env", BOTH, "--model", "expert", "--trial.episodes", "6"]) == 0
    out = capsys.readouterr().out
    assert "webshop, 3 tasks" in out and "pick, 3 tasks" in out


def test_a_mixture_needs_the_demonstrations_of_all() -> None:
    alone = [Config.model_validate({"env": {"name": n}}).resolved().warmup.episodes for n in ("webshop", "household")]
    both = Config.model_validate({"env": {"name": "webshop,household"}}).resolved()
    assert alone == [2000, 6000] and both.warmup.episodes == 8000 and both.env.demonstrations[1] == 3


def test_success_shifts_the_shares() -> None:
    weights = {"solved": 0.25, "hopeless": 0.25, "even": 0.25, "unseen": 0.25}
    history: dict[str, Any] = {"curriculum": {"solved": 1.0, "hopeless": 0.0, "even": 0.5}}
    found = shares("success", weights, history)
    assert sum(found.values()) == pytest.approx(1) and found["solved"] == found["hopeless"] < found["even"] / 5
    assert found["unseen"] == pytest.approx(found["even"]) and shares("weights", weights, history) == weights


def test_a_curriculum_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="chooses among several environments"):
        Config.model_validate({"rollout": {"curriculum": "success"}}).resolved()
