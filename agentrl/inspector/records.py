"""What the page knows of a step: a line per episode for the list, and all of a group for whoever opens it.

Plain values for JSON. Numbers that are only looked at have five digits. What the learner saw of a token (its
log-probability, the ratio, whether it was clipped) is there where the step could be taken again, else absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agentrl.errors import AgentRLError
from agentrl.inspector.account import Account, account_of_step
from agentrl.inspector.explain import left_out, lines
from agentrl.inspector.past import Past
from agentrl.inspector.retake import Seen, SeenTurns, before, seen_by_the_loss
from agentrl.pack import rows_of
from agentrl.tool import decode_calls
from agentrl.trajectory import Group, StopReason, Trajectory, Turn

TAG = re.compile(r"<([A-Za-z_][\w-]*)>.*?</\1>", re.DOTALL)
NO_TOOLS = {"think", "answer", "reason", "plan"}
SMALL = 256 << 20
"""Bytes of a checkpoint's weights up to which steps are taken again unasked."""


@dataclass
class StepRecord:
    """A step as the page shows it."""

    step: int
    groups: list[dict[str, Any]]
    episodes: list[dict[str, Any]]
    """A line each, in the order of the groups."""
    ids: set[int] = field(default_factory=set)
    """Token ids that occur."""
    notes: list[str] = field(default_factory=list)


def record_of(past: Past, step: int, *, learner: str = "auto", device: str | None = None) -> StepRecord:
    """Read a step.

    Args:
        past: The run.
        step: Its step.
        learner: Whether to take the step again for what the learner saw: ``always``, ``never``, or ``auto``, where
            the checkpoint before it was kept and is small.
        device: Where to; None: as in the run.
    """
    groups = past.groups(step)
    account, seen, notes = _looked_at(past, step, groups, learner, device)
    record = StepRecord(step, [], [], notes=notes)
    for g, group in enumerate(groups):
        record.groups.append(_group(step, g, group, account, seen))
        record.episodes += [_line(step, g, group, t, record.groups[-1]["trajs"][i]) for i, t in _numbered(group)]
        record.ids.update(i for node in group.tree.nodes for i in node.ids)
    return record


def _numbered(group: Group) -> Iterable[tuple[int, Trajectory]]:
    return enumerate(group.trajectories)


def _looked_at(
    past: Past, step: int, groups: list[Group], learner: str, device: str | None
) -> tuple[Account | None, SeenTurns, list[str]]:
    """The credit of a step, and what the loss saw; None and nothing where they cannot be had, and why."""
    problem = ""
    if learner != "never" and _worth_it(past, step, learner):
        try:
            return _taken_again(past, step, groups, device)
        except AgentRLError as error:
            problem = str(error)
    elif step - 1 not in past.checkpoints:
        problem = f"the checkpoint of step {step - 1} was not kept"
    else:
        problem = "the step was not taken again (--learner always does)"
    notes = [f"The learner's log-probabilities and ratios are not recorded: {problem}."]
    try:
        account = account_of_step(past, step, groups)
    except (AgentRLError, ValueError) as error:
        return None, {}, [*notes, f"Advantages are not recorded: {error}."]
    return account, {}, notes + account.notes


def _worth_it(past: Past, step: int, learner: str) -> bool:
    folder = past.checkpoints.get(step - 1)
    if folder is None:
        return False
    return learner == "always" or sum(f.stat().st_size for f in folder.glob("*.safetensors")) <= SMALL


def _taken_again(
    past: Past, step: int, groups: list[Group], device: str | None
) -> tuple[Account, SeenTurns, list[str]]:
    trainer = before(past, step, device=device)
    try:
        learner, needs, t = trainer.learner, past.config.algo.needs, past.config.rollout.temperature
        account = account_of_step(
            past, step, groups, lambda g, s: learner.annotate(g, s, needs, temperature=t, exact=trainer.exact)
        )
        steps = account.steps
        sizes = {
            (int(traj), int(turn)): int(n) for traj, turn, n in zip(steps.traj, steps.step, steps.tokens, strict=True)
        }
        _, seen = seen_by_the_loss(lambda: trainer.learn(trainer.worth_training(groups), step), sizes)
    finally:
        trainer.close()
    return account, seen, account.notes


def _group(step: int, g: int, group: Group, account: Account | None, seen: SeenTurns) -> dict[str, Any]:
    nodes = []
    for node in group.tree.nodes:
        entry: list[Any] = [node.parent, node.ids]
        if node.sampled is not None:
            entropies = node.sampled.entropies
            entry += [_short(node.sampled.logprobs), _short(entropies) if entropies else None, node.sampled.version]
        nodes.append(entry)
    rows: dict[int, list[Any]] = {}
    for row in rows_of(g, group):
        rows.setdefault(row.trajectory, []).append([row.leaf, list(row.turns)])
    return {
        "step": step,
        "group": g,
        "env": group.member or group.env,
        "kind": group.kind,
        "seed": group.task_seed,
        "task": group.task,
        "trained": account is not None and g in account.place,
        "nodes": nodes,
        "trajs": [_trajectory(g, group, i, t, rows.get(i, []), account, seen) for i, t in _numbered(group)],
    }


def _trajectory(
    g: int, group: Group, i: int, one: Trajectory, rows: list[Any], account: Account | None, seen: SeenTurns
) -> dict[str, Any]:
    turns = [_turn(turn) for turn in one.turns]
    why = ""
    if account is not None:
        why = "\n".join(lines(account, g, i, group)).strip("\n")
        if not left_out(account, g, one):
            for row in account.rows_of(g, i).tolist():
                turn = turns[int(account.steps.step[row])]
                turn["adv"] = _plain(account.at(account.advantage, row))
                turn["times"] = _plain(account.at(account.times, row))
                known = seen.get((int(account.steps.traj[row]), int(account.steps.step[row])))
                if known is not None:
                    turn |= _seen(known)
    return {
        "index": i,
        "seed": one.seed,
        "stop": one.stop.value,
        "failure": [one.failure.stage.value, one.failure.error] if one.failure else None,
        "won": one.won,
        "score": one.score,
        "reward": _five(one.reward),
        "forked": list(one.forked_from) if one.forked_from else None,
        "unforkable": one.unforkable,
        "drift": one.drift,
        "rows": rows,
        "why": why,
        "turns": turns,
    }


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "c": turn.context,
        "s": turn.sampled,
        "text": turn.text,
        "action": turn.action,
        "obs": turn.observation,
        "reward": _five(turn.reward),
        "parts": {name: _five(value) for name, value in turn.components.items()},
        "state": turn.state_key,
        "valid": turn.valid,
        "tools": turn.tool_calls,
        "edits": [turn.edits, turn.failed_edits, turn.saved],
        "finish": turn.finish,
        "seconds": [round(turn.sample_s, 3), round(turn.step_s, 3)],
    }


def _seen(known: Seen) -> dict[str, Any]:
    def column(values: Sequence[float]) -> list[float | None]:
        return [_five(x) if live else None for x, live in zip(values, known.live, strict=True)]

    return {
        "logp": column(known.logp),
        "old": column(known.old),
        "ratio": column(known.ratio),
        "clipped": [i for i, (c, live) in enumerate(zip(known.clipped, known.live, strict=True)) if c and live],
    }


def _line(step: int, g: int, group: Group, one: Trajectory, told: dict[str, Any]) -> dict[str, Any]:
    """What the list shows and filters by."""
    nodes = group.tree.nodes
    sampled = sum(len(nodes[n].ids) for u in one.turns for n in group.tree.between(u.context, u.sampled))
    advantages = [np.mean(u["adv"]) for u in told["turns"] if u.get("adv") is not None]
    return {
        "step": step,
        "group": g,
        "index": told["index"],
        "env": group.member or group.env,
        "kind": group.kind,
        "won": one.won,
        "reward": _five(one.reward),
        "adv": _five(float(np.mean(advantages))) if advantages else None,
        "turns": len(one.turns),
        "tokens": sampled,
        "stop": one.stop.value,
        "failed": one.failure is not None,
        "invalid": sum(not u.valid for u in one.turns),
        "truncated": one.stop not in (StopReason.WON, StopReason.LOST, StopReason.FAILED, StopReason.CANCELLED),
        "tools": tools_of(one),
        "forked": one.forked_from is not None,
        "forks": any(t.forked_from is not None for t in group.trajectories),
        "task": group.task[:160],
    }


def tools_of(one: Trajectory) -> list[str]:
    """Names of the tools that an episode called, as far as its actions tell."""
    found: dict[str, None] = {}
    for turn in one.turns:
        if not turn.tool_calls:
            continue
        calls = decode_calls(turn.action)
        names = [call.name for call in calls] if calls else [n for n in TAG.findall(turn.action) if n not in NO_TOOLS]
        found.update(dict.fromkeys(name[:40] for name in names or ["(unnamed)"]))
    return list(found)


def _five(x: float) -> float | None:
    """With five digits; None where JSON has no number for it."""
    return float(f"{float(x):.5g}") if math.isfinite(x) else None


def _short(values: Sequence[float]) -> list[float | None]:
    return [_five(x) for x in values]


def _plain(values: Any) -> Any:
    """A number, or a list where the tokens of a turn differ."""
    listed = values.tolist()
    if all(x == listed[0] for x in listed):
        return _five(listed[0]) if listed else None
    return _short(listed)
