"""What a batch says about the policy."""

from __future__ import annotations

import pytest

from agentrl.tokentree import ROOT, Sampled, TokenTree
from agentrl.training.metrics import rollout_metrics
from agentrl.trajectory import Failure, Group, Stage, StopReason, Trajectory, Turn


def test_what_an_environment_tells_of_its_reward_is_summed_over_episodes_that_count() -> None:
    group = Group(0, "test", TokenTree(), [])
    node = group.tree.extend(ROOT, [1])
    for index, told in enumerate(([{"recall": 0.5}, {"recall": 0.25, "format": -1.0}], [{}], [{"recall": 9.0}])):
        made = Trajectory(index, index, stop=StopReason.LOST)
        for components in told:
            sampled = group.tree.extend(node, [2], sampled=Sampled([-1.0]))
            made.turns.append(Turn(node, sampled, "", "", components=components))
        group.trajectories.append(made)
    group.trajectories[2].failure = Failure(Stage.STEP, "broken")
    values = rollout_metrics([group], seconds=1.0)
    assert values["component/recall"] == pytest.approx(0.75 / 2)
    assert values["component/format"] == pytest.approx(-1 / 2)
