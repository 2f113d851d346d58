"""``agentrl replay``: equal for every dumped step; where something was changed, it says from where on it differs."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil

import pytest

from agentrl.cli import main
from agentrl.errors import RunError
from agentrl.inspector.past import Past
from agentrl.inspector.replay import STAGES, replay, told


def digest(folder):
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.rglob("*")) if f.is_file()}


def changed(run, tmp_path, change):
    """A copy of a run whose second step's first group was changed."""
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (file,) = (copy / "rollouts").glob("*2.jsonl.gz")
    groups = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    change(groups)
    file.write_bytes(gzip.compress("".join(json.dumps(g) + "\n" for g in groups).encode()))
    return replay(Past(copy), 2)


@pytest.mark.parametrize(
    "name", ["gigpo", *(pytest.param(n, marks=pytest.mark.slow) for n in ("arpo", "aepo", "tapo", "dcpo", "ppo"))]
)
def test_a_dumped_step_is_equal(run_of, name, capsys):
    run = run_of(name)
    before = digest(run)
    found = replay(Past(run), 2)
    assert found.verdict == "equal", told(found)
    for stage in STAGES:
        assert found.of(stage), stage
    assert {"grad_norm"} <= {line.name for line in found.of("gradient")}
    assert {"tokens", "tokens_forwarded"} <= {line.name for line in found.of("packing")}
    assert digest(run) == before, "the run is not touched"


def test_the_command_says_so(run_of, capsys):
    assert main(["replay", str(run_of("gigpo")), "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "equal"


def test_another_reward_differs_from_the_rollouts_on(run_of, tmp_path):
    def change(groups):
        for group in groups:
            group["trajectories"][0]["turns"][-1]["reward"] += 0.5

    found = changed(run_of("gigpo"), tmp_path, change)
    assert found.verdict == "differs"
    assert "from 'rollouts' on" in told(found)[0]
    assert any(line.verdict == "differs" for line in found.of("weights"))


def test_another_logprob_differs_from_the_loss_on(run_of, tmp_path):
    def change(groups):
        sampled = next(node for node in groups[0]["tree"] if "logprobs" in node)
        sampled["logprobs"][0] -= 1.0

    found = changed(run_of("gigpo"), tmp_path, change)
    assert "from 'loss' on" in told(found)[0]
    assert all(line.verdict == "equal" for stage in ("rollouts", "credit", "packing") for line in found.of(stage))
    assert "engine_gap" in {line.name for line in found.of("loss") if line.verdict == "differs"}


def test_without_the_checkpoint_before_it(run_of, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run_of("gigpo"), copy)
    shutil.rmtree(copy / "checkpoints" / "step-000001")
    with pytest.raises(RunError, match=r"needs the checkpoint of step 1; .* those of steps 0, 2"):
        replay(Past(copy), 2)
    shutil.rmtree(copy / "checkpoints" / "step-000002")
    found = replay(Past(copy), 1)
    assert found.verdict == "equal" and not found.of("weights")
    assert "weights    not recorded: no checkpoint after it" in told(found)
