"""The learner: how a batch is cut, packed or padded changes nothing; what must not be trained is not."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from batches import (
    VOCAB,
    distance,
    learner_of,
    random_groups,
    random_model,
    rows_and_loss,
    tell_truth,
    updated,
    weights,
)

from agentrl.algorithms import Steps, make
from agentrl.errors import ConfigError, TrainingError
from agentrl.pack import rows_of
from agentrl.scoring import output_head
from agentrl.tokentree import ROOT, Sampled, TokenTree
from agentrl.training.learner import Learner
from agentrl.training.rows import training_rows
from agentrl.trajectory import Failure, Group, Stage, StopReason, Trajectory, Turn

TOLERANCE = 1e-5


def moved(model: Any, after: dict[str, torch.Tensor]) -> float:
    return distance(weights(model), after)


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
@pytest.mark.parametrize("windows", [False, True])
def test_micro_batches_and_layouts_change_nothing(family: str, windows: bool) -> None:
    model, groups = random_model(1, family), random_groups(1, windows=windows)
    tell_truth(model, groups, noise=0.3)
    whole = updated(model, groups, microbatch_tokens=10**6, layout="flat")
    assert moved(model, whole) > 1e-2
    for budget in (1, 40, 150, 10**6):
        for layout in ("tree", "flat", "auto"):
            other = updated(model, groups, microbatch_tokens=budget, layout=layout)
            assert distance(whole, other) < TOLERANCE, (budget, layout)


@pytest.mark.parametrize("aggregate", ["token-mean", "seq-mean-token-mean", "traj-mean-token-mean", "constant"])
def test_every_aggregation_survives_micro_batches(aggregate: str) -> None:
    model, groups = random_model(2), random_groups(2, windows=True)
    tell_truth(model, groups, noise=0.3)
    algorithm = make("gigpo", aggregate=aggregate, entropy_coef=0.01)
    whole = updated(model, groups, algorithm, microbatch_tokens=10**6)
    assert distance(whole, updated(model, groups, algorithm, microbatch_tokens=30, layout="tree")) < TOLERANCE


def test_adamw_over_several_updates_and_minibatches() -> None:
    model, groups = random_model(3), random_groups(3, groups=6)
    tell_truth(model, groups, noise=0.1)
    found = []
    for budget in (50, 10**6):
        learner = learner_of(model, plain=False, lr=1e-4, minibatches=3, epochs=2, microbatch_tokens=budget)
        rows, loss = rows_and_loss(groups)
        learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=5)
        assert learner.updates == 6
        found.append(weights(learner.model))
    assert distance(*found) < TOLERANCE and moved(model, found[0]) > 2e-4


@pytest.mark.parametrize("parts", [{"minibatches": 1}, {"minibatches": 2, "epochs": 2}])
def test_old_logprobs_of_an_exact_engine_are_the_learners_own(parts: dict[str, int]) -> None:
    model, groups = random_model(4), random_groups(4)
    tell_truth(model, groups)
    engine = updated(model, groups, old_logprobs="engine", **parts)
    learner = updated(model, groups, old_logprobs="learner", **parts)
    assert distance(engine, learner) < TOLERANCE and moved(model, engine) > 1e-2
    assert distance(engine, updated(model, groups, exact=True, **parts)) == 0, "auto: the engine is exact"
    assert distance(learner, updated(model, groups, exact=False, **parts)) == 0, "auto: it is not"


def test_old_logprobs_of_an_inexact_engine_differ() -> None:
    model, groups = random_model(4), random_groups(4)
    tell_truth(model, groups, noise=0.5)
    algorithm = make("grpo", correction="none")
    engine = updated(model, groups, algorithm, old_logprobs="engine")
    assert distance(engine, updated(model, groups, algorithm, old_logprobs="learner")) > 1e-3


def test_the_ratio_starts_from_the_weights_before_the_first_minibatch() -> None:
    """With old_logprobs=learner the later minibatches of a batch must not start from their own weights."""
    model, groups = random_model(4), random_groups(4)
    tell_truth(model, groups)
    learner = learner_of(model, old_logprobs="learner", minibatches=1, epochs=3)
    rows, loss = rows_and_loss(groups)
    values = learner.update(groups, rows, loss, temperature=1.0, exact=False, seed=0)
    assert values["approx_kl"] > 1e-3
    assert values["engine_gap"] < 1e-5, "measured before the first update"


def test_failed_trajectories_change_nothing() -> None:
    model, groups = random_model(5), random_groups(5)
    tell_truth(model, groups, noise=0.2)
    clean = updated(model, groups)
    for number, group in enumerate(groups):  # three ways to be left out, with rewards that would turn everything
        for stop, failure in (
            (StopReason.FAILED, Failure(Stage.STEP, "x")),
            (StopReason.CANCELLED, None),
            (StopReason.DEADLINE, Failure(Stage.SAMPLE, "x")),
        ):
            start = group.tree.roots[0]
            said = group.tree.extend(start, [1, 2, 3], sampled=Sampled([-0.1, -0.1, -0.1]))
            turn = Turn(start, said, "", "", reward=1e6)
            group.trajectories.insert(number % 2, Trajectory(0, 0, [turn], stop, failure))
        group.trajectories.append(Trajectory(0, 0, [], StopReason.CONTEXT_FULL))  # no turn at all
        for index, trajectory in enumerate(group.trajectories):
            trajectory.index = index
    assert distance(clean, updated(model, groups)) == 0


def test_a_batch_without_an_episode_that_counts_asks_nothing_of_the_model() -> None:
    groups = random_groups(5)
    for trajectory in (t for group in groups for t in group.trajectories):
        trajectory.stop, trajectory.failure = StopReason.FAILED, Failure(Stage.STEP, "broken")
    learner, steps = learner_of(random_model(5), reference=True), Steps.of(groups)
    needs = frozenset({"entropies", "ref_logprobs"})
    token = learner.annotate(groups, steps, needs, temperature=1.0, exact=False).token
    assert token is not None and len(token.need("entropy")) == len(token.need("ref_logp")) == 0


def test_longer_siblings_only_pad() -> None:
    """A row's share of the gradient does not depend on how long its neighbours in the batch are."""
    model, groups = random_model(6), random_groups(6, groups=1, trajectories=2)
    tell_truth(model, groups, noise=0.2)
    (group,) = groups
    rows, loss = rows_and_loss(groups, make("grpo", aggregate="token-sum"))
    long = Trajectory(2, 2, stop=StopReason.LOST)
    said = group.tree.extend(group.tree.roots[0], [7] * 60, sampled=Sampled([-1.0] * 60))
    long.turns = [Turn(group.tree.roots[0], said, "", "")]
    group.trajectories.append(long)
    more, _ = rows_and_loss(groups)
    more[-1].advantage_T.zero_()
    more[:-1] = rows
    both = []
    for some in (rows, more):
        learner = learner_of(model, layout="flat", grad_clip=1e9)
        learner.update(groups, some, loss, temperature=1.0, exact=True, seed=0)
        both.append(weights(learner.model))
    assert distance(*both) < TOLERANCE


def test_only_sampled_tokens_are_predicted() -> None:
    """The head runs where a sampled token is predicted and nowhere else: no gradient through observations' logits."""
    model, groups = random_model(7), random_groups(7)
    tell_truth(model, groups)
    seen: list[torch.Tensor] = []
    learner = learner_of(model)
    output_head(learner.model).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    rows, loss = rows_and_loss(groups)
    learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=0)
    expected = []
    for group in groups:
        for trajectory in group.trajectories:
            for turn in trajectory.turns:
                hidden = model.model(torch.tensor([group.tree.ids(turn.sampled)])).last_hidden_state[0].detach()
                expected.append(hidden[group.tree.nodes[turn.context].end - 1 : -1])
    found_KD, expected_KD = torch.cat(seen), torch.cat(expected)
    assert len(found_KD) == len(expected_KD)
    distance_KK = torch.cdist(expected_KD, found_KD, compute_mode="donot_use_mm_for_euclid_dist")
    assert distance_KK.amin(1).max() < 1e-3 and distance_KK.amin(0).max() < 1e-3
    assert len(expected_KD) < sum(len(n.ids) for g in groups for n in g.tree.nodes)


def test_gradient_of_observation_logits_is_zero() -> None:
    """Nudge the logits of one position by a parameter of its own: the loss moves for sampled tokens alone."""
    model, groups = random_model(8), random_groups(8, groups=1, trajectories=1)
    groups[0].trajectories[0].turns = groups[0].trajectories[0].turns[:3]
    tell_truth(model, groups)
    (group,), (trajectory,) = groups, groups[0].trajectories
    rows, loss = rows_and_loss(groups)
    for data in rows:
        data.advantage_T.fill_(1.0)
    ids = group.tree.ids(trajectory.turns[-1].sampled)
    sampled = {
        i
        for turn in trajectory.turns
        for i in range(group.tree.nodes[turn.context].end, group.tree.nodes[turn.sampled].end)
    }
    assert 0 < len(sampled) < len(ids) - 1
    for position in range(1, len(ids)):
        nudged = [token for token in range(VOCAB) if token != ids[position]]
        grads = _gradient_of_nudge(model, groups, rows, loss, position - 1, nudged)
        if position in sampled:
            assert grads.abs().min() > 0
        else:
            assert torch.equal(grads, torch.zeros_like(grads)), position


def _gradient_of_nudge(model: Any, groups: Any, rows: Any, loss: Any, position: int, tokens: list[int]) -> Any:
    """Gradient of the loss with respect to logits added at one position, over an update of the learner."""
    learner = learner_of(model, layout="flat")
    nudge = torch.zeros(len(tokens), requires_grad=True)
    body, head = learner.model.model, learner.model.lm_head
    at: dict[str, torch.Tensor] = {}

    def remember(_: Any, __: Any, output: Any) -> None:
        at["hidden"] = output.last_hidden_state[0, position].detach()

    def add(_: Any, inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        here = (inputs[0].detach() == at["hidden"]).all(-1)
        out = logits.clone()
        out[:, tokens] = out[:, tokens] + here[:, None] * nudge
        return out

    body.register_forward_hook(remember)
    head.register_forward_hook(add)
    learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=0)
    return nudge.grad if nudge.grad is not None else torch.zeros_like(nudge)


# -- what is not finite -----------------------------------------------------------------------------------


def test_nan_advantages_are_skipped_and_counted() -> None:
    model, groups = random_model(9), random_groups(9, groups=2)
    tell_truth(model, groups)
    learner = learner_of(model, plain=False, max_skipped=2)
    rows, loss = rows_and_loss(groups)
    good = copy.deepcopy(rows)
    by_id = {id(a): a for a in rows}
    for data in by_id.values():
        data.advantage_T[0] = math.nan
    for attempt in (1, 2):
        values = learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=0)
        assert moved(model, weights(learner.model)) == 0
        assert values["skipped_updates"] == learner.skipped == attempt
    with pytest.raises(TrainingError, match=r"3 updates in a row.*not finite.*Lower train\.lr"):
        learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=0)
    assert moved(model, weights(learner.model)) == 0
    assert learner.optimizer.state_dict()["state"] == {}, "not even the moments of AdamW have seen it"
    learner._skipped_in_a_row = 0
    for data, fine in zip(rows, good, strict=True):
        data.advantage_T = fine.advantage_T
    learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=0)
    after = weights(learner.model)
    assert moved(model, after) > 0 and all(torch.isfinite(w).all() for w in after.values())


def test_one_good_update_starts_the_count_anew() -> None:
    model, groups = random_model(9), random_groups(9, groups=2)
    tell_truth(model, groups)
    learner = learner_of(model, max_skipped=1)
    good, loss = rows_and_loss(groups)
    bad, _ = rows_and_loss(groups)
    bad[0].advantage_T[0] = math.inf
    for rows in (bad, good, bad, good, bad):
        learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=0)
    assert learner.skipped == 3
    with pytest.raises(TrainingError):
        learner.update(groups, bad, loss, temperature=1.0, exact=True, seed=0)


def test_nan_logits_are_skipped() -> None:
    model, groups = random_model(9), random_groups(9, groups=2)
    tell_truth(model, groups)
    learner = learner_of(model)
    with torch.no_grad():
        learner.model.lm_head.weight[3, 0] = math.nan
    before = weights(learner.model)
    rows, loss = rows_and_loss(groups)
    values = learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=0)
    assert values["skipped_updates"] == 1
    assert all(
        torch.equal(a, b) or name == "lm_head.weight"
        for (name, a), b in zip(before.items(), weights(learner.model).values(), strict=True)
    )
    assert torch.equal(before["lm_head.weight"].nan_to_num(), learner.model.lm_head.weight.detach().nan_to_num())


def test_nothing_to_train() -> None:
    learner = learner_of(random_model())
    _, loss = rows_and_loss(random_groups(0))
    values = learner.update([], [], loss, temperature=1.0, exact=True, seed=0)
    assert values["tokens"] == 0 and learner.updates == 0


# -- reference, adapters ----------------------------------------------------------------------------------


def test_reference_kl_starts_at_zero_and_pulls_back() -> None:
    model, groups = random_model(10), random_groups(10)
    tell_truth(model, groups)
    free, held = make("grpo"), make("grpo", kl_coef=5.0)
    found = {}
    for algorithm in (free, held):
        learner = learner_of(model, plain=False, reference=True)
        rows, loss = rows_and_loss(groups, algorithm)
        first, *_, last = (learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=0) for _ in range(15))
        assert learner.reference is not None and distance(weights(model), weights(learner.reference)) == 0
        assert not any(p.requires_grad for p in learner.reference.parameters())
        found[algorithm.kl_coef] = (first, last)
    assert found[5.0][0]["ref_kl"] == pytest.approx(0, abs=1e-6) and found[5.0][1]["ref_kl"] > 1e-6
    assert found[5.0][1]["approx_kl"] < 0.5 * found[0.0][1]["approx_kl"], "held where it started from"
    assert "ref_kl" not in found[0.0][0]


def lora(model: Any, rank: int = 4) -> Any:
    pytest.importorskip("peft")
    from agentrl.models import add_lora

    torch.manual_seed(0)
    return add_lora(copy.deepcopy(model), rank)


def test_lora_trains_adapters_only_and_its_reference_is_the_model_without_them() -> None:
    model, groups = random_model(11), random_groups(11)
    tell_truth(model, groups)
    learner = learner_of(lora(model), reference=True)
    assert learner.adapters and learner.reference is None
    before = weights(learner.model)
    rows, loss = rows_and_loss(groups, make("grpo", kl_coef=0.1))
    first = learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=0)
    second = learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=0)
    after = weights(learner.model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("lora_" in name for name in changed)
    assert {n for n, p in learner.model.named_parameters() if p.requires_grad} >= changed
    assert first["ref_kl"] == pytest.approx(0, abs=1e-6) and second["ref_kl"] > 1e-6
    with learner.model.disable_adapter():
        ids = torch.arange(9)[None]
        torch.testing.assert_close(learner.model(ids).logits, model(ids).logits)


def test_lora_tree_equals_rows() -> None:
    model, groups = random_model(11), random_groups(11)
    tell_truth(model, groups, noise=0.2)
    adapted = lora(model)
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.1)
    tree = updated(adapted, groups, layout="tree", microbatch_tokens=60)
    assert distance(tree, updated(adapted, groups, layout="flat", microbatch_tokens=10**6)) < TOLERANCE
    assert moved(adapted, tree) > 1e-3


def test_a_head_that_caps_logits_is_refused() -> None:
    model = random_model()
    plain = model.forward

    def capped(*args: Any, **kwargs: Any) -> Any:
        out = plain(*args, **kwargs)
        out.logits = torch.tanh(out.logits) * 0.5 + 1
        return out

    model.forward = capped
    with pytest.raises(ConfigError, match="cannot be trained here yet: logits differ"):
        Learner(model, learner_of(random_model()).settings, dtype=torch.float32)


# -- equalities between algorithms and between ways to cut -------------------------------------------------


def test_gigpo_without_omega_is_grpo() -> None:
    model, groups = random_model(12), random_groups(12)
    tell_truth(model, groups, noise=0.1)
    grpo = updated(model, groups, make("grpo", norm="none", invalid_penalty=0.1))
    assert distance(grpo, updated(model, groups, make("gigpo", omega=0))) == 0
    assert distance(grpo, updated(model, groups, make("gigpo", omega=1))) > 1e-4


def _two_cuts(seed: int) -> tuple[list[Group], list[Group]]:
    """The same episodes as transcripts, and with every prompt entered anew so that each turn is a row."""
    together = random_groups(seed)
    apart = []
    for group in together:
        other = Group(group.task_seed, group.env, TokenTree(), [])
        for trajectory in group.trajectories:
            turns = []
            for turn in trajectory.turns:
                context = other.tree.extend(ROOT, group.tree.ids(turn.context))
                ids = group.tree.nodes[turn.sampled].ids
                said = other.tree.extend(context, ids, sampled=Sampled([-1.0] * len(ids)))
                turns.append(Turn(context, said, "", "", reward=turn.reward, valid=turn.valid))
                turns[-1].state_key = turn.state_key
            other.trajectories.append(Trajectory(trajectory.index, 0, turns, StopReason.LOST))
        apart.append(other)
    return together, apart


@pytest.mark.parametrize("aggregate", ["token-mean", "token-sum", "traj-mean-token-mean", "traj-mean-token-sum"])
@pytest.mark.parametrize("algorithm", ["grpo", "gigpo"])
def test_cutting_a_trajectory_into_rows_changes_nothing(aggregate: str, algorithm: str) -> None:
    model, (together, apart) = random_model(13), _two_cuts(13)
    tell_truth(model, together, noise=0.1)
    tell_truth(model, apart, noise=0.0)
    for a, b in zip(together, apart, strict=True):  # the very same engine
        for one, two in zip(a.trajectories, b.trajectories, strict=True):
            for turn, other in zip(one.turns, two.turns, strict=True):
                source, target = a.tree.nodes[turn.sampled].sampled, b.tree.nodes[other.sampled].sampled
                assert source is not None and target is not None
                target.logprobs = list(source.logprobs)
    assert len(rows_of(0, apart[0])) > len(rows_of(0, together[0]))
    made = make(algorithm, aggregate=aggregate)
    one = updated(model, together, made)
    assert distance(one, updated(model, apart, made)) < TOLERANCE and moved(model, one) > 1e-3


def test_minibatches_are_whole_groups_in_an_order_of_the_seed() -> None:
    model, groups = random_model(14), random_groups(14, groups=6)
    tell_truth(model, groups, noise=0.1)
    rows, loss = rows_and_loss(groups)

    def after(seed: int) -> dict[str, torch.Tensor]:
        learner = learner_of(model, minibatches=3)
        learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=seed)
        assert learner.updates == 3
        return weights(learner.model)

    assert distance(after(1), after(1)) == 0 and distance(after(1), after(2)) > 1e-4


def test_state_dict_continues_to_the_bit(tmp_path: Path) -> None:
    model, groups = random_model(15), random_groups(15)
    tell_truth(model, groups, noise=0.1)
    rows, loss = rows_and_loss(groups, make("grpo", kl_coef=0.1))

    def update(learner: Learner, seed: int) -> None:
        learner.update(groups, rows, loss, temperature=1.0, exact=True, seed=seed)

    options: dict[str, Any] = {"plain": False, "reference": True, "lr_warmup": 5, "minibatches": 2}
    straight = learner_of(model, **options)
    for seed in range(4):
        update(straight, seed)
    first = learner_of(model, **options)
    for seed in range(2):
        update(first, seed)
    torch.save(first.state_dict(), tmp_path / "learner.pt")
    second = learner_of(first.model, **options)  # its reference would be the trained model, but for the state
    second.load_state_dict(torch.load(tmp_path / "learner.pt", weights_only=True))
    for seed in range(2, 4):
        update(second, seed)
    assert distance(weights(straight.model), weights(second.model)) == 0
    assert (second.updates, second.skipped) == (straight.updates, straight.skipped) == (8, 0)


def test_what_is_selected_how_often() -> None:
    """0 is not at all, 2 as if the row stood there twice; a batch without any is no update."""
    model, groups = random_model(8), random_groups(8)
    tell_truth(model, groups)
    steps, algorithm = Steps.of(groups), make("grpo")
    advantage = algorithm.credit(steps)
    assert training_rows(groups, steps, advantage, np.zeros(len(steps), int)) == []
    learner = learner_of(model)
    assert learner.update(groups, [], algorithm.loss(), temperature=1.0, exact=True, seed=0) == {"tokens": 0.0}
    assert moved(model, weights(learner.model)) == 0
    of_first = (steps.traj == 0).astype(int)
    twice = training_rows(groups, steps, advantage, 2 * of_first)
    assert [r.trajectory for r in twice] == [0, 0] and all(r.mask_T.all() for r in twice)
    mixed = training_rows(groups, steps, advantage, 1 + (steps.step == 0))
    first = [r for r in mixed if r.trajectory == 0]
    assert [int(r.mask_T.sum()) for r in first] == [steps.tokens[steps.traj == 0].sum(), steps.tokens[0]]
    masked = training_rows(groups, steps, advantage, steps.token.row > 0)  # by token: all but the first turn
    assert sum(int(r.mask_T.sum()) for r in masked) == steps.tokens.sum() - steps.tokens[0]


def test_advantages_that_are_not_finite_end_the_run() -> None:
    groups = random_groups(9)
    steps = Steps.of(groups)
    bad = np.zeros(len(steps))
    bad[1] = np.nan
    with pytest.raises(TrainingError, match=r"advantages are not finite; look at credit\(\) and rewards\(\)"):
        training_rows(groups, steps, bad)
    with pytest.raises(ValueError, match="give one for each"):
        training_rows(groups, steps, np.zeros(len(steps) + 1))
