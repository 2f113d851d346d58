"""What a batch of rollouts says about the policy, as plain numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from agentrl.algorithms.steps import Steps
from agentrl.pack import rows_of
from agentrl.trajectory import Group, StopReason, Trajectory, Turn


def rollout_metrics(groups: Sequence[Group], *, seconds: float) -> dict[str, float]:
    """Metrics of a batch. Rates of outcomes are over the episodes that count: failures are given apart.

    ``component/NAME`` is what the environment tells in ``info["reward"]`` (recall, ...), summed over an episode.
    """
    every = [t for g in groups for t in g.trajectories]
    counted = [t for t in every if t.counts]
    turns = [u for t in counted for u in t.turns]
    played = [u for t in every for u in _own(t)]
    stops = Counter(t.stop for t in every)
    sampled = sum(len(n.ids) for g in groups for n in g.tree.nodes if n.sampled is not None)
    unique = sum(len(n.ids) for g in groups for n in g.tree.nodes)
    out = {
        "reward": _mean([t.reward for t in counted]),
        "success": _mean([float(t.won) for t in counted]),
        "score": _mean([t.score if t.score is not None else float(t.won) for t in counted]),
        "turns": _mean([float(len(t.turns)) for t in counted]),
        "tokens_per_turn": sampled / max(1, len(played)),
        "invalid": _mean([float(not u.valid) for u in turns]),
        "cut_turns": _mean([float(u.finish == "length") for u in turns]),
        "truncated": _mean([float(_cut(t)) for t in counted]),
        "failures": float(sum(t.failure is not None for t in every)),
        "zero_signal_groups": _mean([float(_uniform(g)) for g in groups]),
        "entropy": _entropy(groups),
        "drift": float(sum(t.drift for t in every)),
        "sampled_tokens": float(sampled),
        "unique_tokens": float(unique),
        "tokens_per_s": sampled / max(seconds, 1e-9),
        "time/rollout": seconds,
        "time/env": sum(u.step_s for u in played),
    }
    if any(u.tool_calls for u in played):
        out["tool_calls"] = _mean([float(sum(u.tool_calls for u in t.turns)) for t in counted])
    if any(t.forked_from or t.unforkable for t in every):
        out["forks"] = float(sum(t.forked_from is not None for t in every))
        out["unforkable"] = float(sum(t.unforkable for t in every))
        out["shared_turns"] = 1 - len(played) / max(1, sum(len(t.turns) for t in every))
    for member in dict.fromkeys(g.member for g in groups if g.member):
        of_member = [t for g in groups if g.member == member for t in g.trajectories if t.counts]
        out[f"tasks/{member}"] = float(sum(g.member == member for g in groups))
        out[f"reward/{member}"] = _mean([t.reward for t in of_member])
        out[f"success/{member}"] = _mean([float(t.won) for t in of_member])
    for name in sorted({name for t in counted for u in t.turns for name in u.components}):
        out[f"component/{name}"] = _mean([sum(u.components.get(name, 0.0) for u in t.turns) for t in counted])
    out |= _memory(groups)
    return out | {f"stop/{reason.value}": count / len(every) for reason, count in stops.items()}


def _memory(groups: Sequence[Group]) -> dict[str, float]:
    """What the policy did to its context, if it did anything."""
    counted = [t for g in groups for t in g.trajectories if t.counts]
    actions = sum(u.edits for t in counted for u in t.turns)
    if not actions:
        return {}
    rows = sum(len(rows_of(g, group)) for g, group in enumerate(groups))
    return {
        "memory/actions": actions / len(counted),
        "memory/failed": sum(u.failed_edits for t in counted for u in t.turns) / actions,
        "memory/saved_tokens": sum(u.saved for t in counted for u in t.turns) / len(counted),
        "memory/segments": rows / len(counted),
    }


def anchor_metrics(steps: Steps) -> dict[str, float]:
    """How often states are met again within a group (what GiGPO's step advantage lives on)."""
    sizes = Counter(zip(steps.group.tolist(), steps.key, strict=True))
    if not sizes:
        return {}
    return {
        "anchor/singleton": sum(1 for n in sizes.values() if n == 1) / len(sizes),
        "anchor/mean_size": float(np.mean(list(sizes.values()))),
    }


def staleness(groups: Sequence[Group], version: int) -> dict[str, float]:
    """How many updates older than ``version`` the weights were that sampled the tokens."""
    ages = [
        (version - v, n)
        for g in groups
        for node in g.tree.nodes
        if (s := node.sampled) is not None
        for v, n in Counter(s.versions or {s.version: len(node.ids)}).items()
    ]
    tokens = sum(n for _, n in ages)
    return {
        "staleness": sum(age * n for age, n in ages) / max(1, tokens),
        "staleness_max": float(max((age for age, _ in ages), default=0)),
    }


def _own(trajectory: Trajectory) -> list[Turn]:
    """The turns that were played for it, without those it shares with the episode it forked from."""
    return trajectory.turns[trajectory.forked_from[1] :] if trajectory.forked_from else trajectory.turns


def _cut(trajectory: Trajectory) -> bool:
    return trajectory.stop not in (StopReason.WON, StopReason.LOST)


def _uniform(group: Group) -> bool:
    """Whether all episodes that count have the same return: such a group teaches nothing."""
    rewards = [t.reward for t in group.trajectories if t.counts]
    return max(rewards, default=0.0) - min(rewards, default=0.0) < 1e-12


def _entropy(groups: Sequence[Group]) -> float:
    values = [x for g in groups for n in g.tree.nodes if n.sampled and n.sampled.entropies for x in n.sampled.entropies]
    return _mean(values)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0  # exact: episodes end in any order
