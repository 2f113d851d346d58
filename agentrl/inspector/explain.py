"""``agentrl explain``: how the advantage of each turn of an episode came about.

What is printed are the arrays and statistics that the credit code had in hand (`agentrl.inspector.trace`), callers
before what they called, as far as they concern one episode.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from agentrl.errors import ConfigError, RunError
from agentrl.inspector.account import Account, account_of_step
from agentrl.inspector.past import Past
from agentrl.inspector.trace import Array, Call, Comparison
from agentrl.inspector.words import read_words, run_of, step_number
from agentrl.settings import asks_help
from agentrl.trajectory import Group, Trajectory

USAGE = """usage: agentrl explain RUN STEP TRAJECTORY [--json] [--device D]

How the advantage of each turn of an episode came about: rewards, returns, who
it was compared with, mean, scale, shaping.

  RUN          a run directory, e.g. runs/last
  STEP         a step whose rollouts are kept
  TRAJECTORY   GROUP.EPISODE, e.g. 3.1: places in rollouts/step-N.jsonl.gz
  --json       the same as JSON
  --device D   where the model runs if the algorithm needs it (a critic, a
               reference); by default as in the run
"""
PER_LINE = 8
"""Turns side by side."""
MOST = 16
"""Members of a comparison that are listed."""


def main(argv: Sequence[str]) -> int:
    """Entry point of the subcommand. Returns the exit status."""
    if asks_help(argv):
        print(USAGE)
        return 0
    words = read_words(argv, ["RUN", "STEP", "TRAJECTORY"], flags=["--json"], values=["--device"])
    past, step = run_of(words["RUN"]), step_number(words["STEP"])
    groups = past.groups(step)
    group, index = place_of(words["TRAJECTORY"], groups)
    found = account_with_model(past, step, groups, device=words.get("--device"))
    if "--json" in words:
        json.dump(as_json(found, group, index), sys.stdout)
        print()
        return 0
    print("\n".join(heading(past, step, groups, group, index)))
    print("\n".join(lines(found, group, index, groups[group])))
    return 0


def account_with_model(past: Past, step: int, groups: list[Group], *, device: str | None = None) -> Account:
    """The credit of a step, with the model of the step before where the algorithm reads what only it knows.

    Raises:
        RunError: that model is needed and was not kept.
    """
    try:
        return account_of_step(past, step, groups)
    except ValueError as error:
        from agentrl.inspector.retake import before

        try:
            trainer = before(past, step, device=device)
        except RunError as missing:
            raise RunError(f"{error}. {missing}") from error
        try:
            t = past.config.rollout.temperature
            learner, needs, exact = trainer.learner, past.config.algo.needs, trainer.exact
            return account_of_step(
                past, step, groups, lambda g, s: learner.annotate(g, s, needs, temperature=t, exact=exact)
            )
        finally:
            trainer.close()


def place_of(word: str, groups: Sequence[Group]) -> tuple[int, int]:
    """Group and episode of ``3.1``, or of a number that counts all episodes of the step.

    Raises:
        ConfigError: there is no such episode.
    """
    every = [(g, t) for g, group in enumerate(groups) for t in range(len(group.trajectories))]
    parts = word.split(".")
    if all(part.isdigit() for part in parts):
        if len(parts) == 2 and (int(parts[0]), int(parts[1])) in every:
            return int(parts[0]), int(parts[1])
        if len(parts) == 1 and int(word) < len(every):
            return every[int(word)]
    raise ConfigError(
        f"There is no episode '{word}' in this step: it has {len(groups)} groups of "
        f"{'/'.join(sorted({str(len(g.trajectories)) for g in groups}))} episodes. Give GROUP.EPISODE, from 0.0 to "
        f"{'.'.join(map(str, every[-1])) if every else 'none'}."
    )


def heading(past: Past, step: int, groups: Sequence[Group], group: int, index: int) -> list[str]:
    """What the episode is."""
    one, of = groups[group].trajectories[index], groups[group]
    outcome = f"{one.stop.value}, return {number(one.reward)}, {len(one.turns)} turns"
    outcome += f", forked from {group}.{one.forked_from[0]} after turn {one.forked_from[1]}" if one.forked_from else ""
    task = f"{of.member or of.env}:{of.task_seed}"
    return [f"step {step}, episode {group}.{index}, task {plain(task)}, {past.config.algo.name}", outcome]


def lines(account: Account, group: int, index: int, of: Group) -> list[str]:
    """The account of an episode, as text."""
    one = of.trajectories[index]
    why = left_out(account, group, one)
    if why:
        return [why]
    rows = account.rows_of(group, index)
    steps = account.steps
    turns = steps.step[rows].tolist()
    name_width = max([24, *(len(_title(c)) + 2 * d for call in account.calls for d, c in call.walk())]) + 2
    pad = " " * name_width
    out = [*(f"note: {note}" for note in account.notes), ""]
    out += _table("turn", [str(t) for t in turns], name_width)
    out += _table("reward (environment)", [number(r) for r in steps.reward[rows]], name_width)
    if not steps.valid[rows].all():
        out += _table("valid action", ["yes" if v else "no" for v in steps.valid[rows]], name_width)
    for name in sorted({name for row in rows for name in steps.components[row]}):
        out += _table(f"  of it {plain(name)}", [number(steps.components[r].get(name, 0.0)) for r in rows], name_width)
    for call in account.calls:
        for depth, inner in call.walk():
            out += _call(account, inner, rows, depth, name_width)
    out += ["", *_table("advantage", [_told(account, account.advantage, r) for r in rows], name_width)]
    out += _table("times trained", [_told(account, account.times, r) for r in rows], name_width)
    if any("~" in line for line in out):
        out.append(f"{pad}(~ mean over the turn's tokens)")
    return out


def left_out(account: Account, group: int, one: Trajectory) -> str:
    """Why an episode has no advantage; empty where it has one."""
    if one.failure is not None:
        return f"It broke outside the policy ({plain(one.failure.error)}), so it is in no statistic and not trained."
    if not one.counts:
        return f"It ended as '{one.stop.value}' with {len(one.turns)} turns, so it is in no statistic and not trained."
    if account.replaced(group, one.index):
        return f"{account.algo.name} trained on a remembered episode in its place."
    if group not in account.place:
        return (
            f"Its group was left out of the step: {account.algo.name} trains on groups whose returns differ, and on no "
            f"more than a step holds."
        )
    return ""


def as_json(account: Account, group: int, index: int) -> dict[str, Any]:
    """The account of an episode as plain values; rows are its turns."""
    rows = account.rows_of(group, index)

    def values(column: Array) -> list[Any]:
        found = [account.at(column, row).tolist() for row in rows]
        return [one[0] for one in found] if len(column) == len(account.steps) else found

    def call(one: Call) -> dict[str, Any]:
        return {
            "name": one.name,
            "about": one.about,
            "given": one.given,
            "results": [values(result) for result in one.results],
            "comparisons": [comparison(c) for c in one.comparisons if np.isin(c.rows, rows).any()],
            "calls": [call(inner) for inner in one.calls],
        }

    def comparison(c: Comparison) -> dict[str, Any]:
        members = [{"who": member(account, int(u)), "value": float(v)} for u, v in zip(c.units, c.values, strict=True)]
        told = {"centre": c.centre, "spread": c.spread, "factor": c.factor, "why": c.why, "members": members}
        mine = np.isin(c.rows, rows)
        return {**told, "turns": account.steps.step[c.rows[mine]].tolist(), "values": c.own[mine].tolist()}

    return {
        "turns": account.steps.step[rows].tolist(),
        "reward": account.steps.reward[rows].tolist(),
        "advantage": values(account.advantage),
        "times": values(account.times),
        "calls": [call(one) for one in account.calls],
        "notes": account.notes,
    }


def member(account: Account, row: int) -> str:
    """A row as group.episode:turn."""
    steps = account.steps
    if not len(steps.where):
        return f"{steps.group[row]}.{steps.traj[row]}:{steps.step[row]}"
    group, trajectory, turn = steps.where[row].tolist()
    return f"{account.place[group] if account.place else group}.{trajectory}:{turn}"


def number(x: float) -> str:
    """Six digits."""
    return f"{float(x):.6g}"


def plain(text: str) -> str:
    """Without control characters, in one line of a bearable length."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= 120 else shown[:119] + "…"


def _call(account: Account, call: Call, rows: Array, depth: int, width: int) -> list[str]:
    indent = "  " * depth
    out = []
    for n, result in enumerate(call.results):
        name = _title(call) if n == 0 else " " * len(call.name) + f" [{n + 1}]"
        out += _table(indent + name, [_told(account, result, r) for r in rows], width)
    if call.about and not call.comparisons:
        out.insert(0, f"{indent}# {_sentence(call.about)}")
    if len(call.results[0]) == len(account.steps):
        for c in call.comparisons:
            out += [f"{indent}    {line}" for line in _comparison(account, c, rows, call)]
    return out


def _comparison(account: Account, c: Comparison, rows: Array, call: Call) -> Iterator[str]:
    """Who a turn was compared with, and the sum that was done."""
    mine = np.isin(c.rows, rows)
    if not mine.any():
        return
    of_turns = account.steps.step[c.rows[mine]]
    told = f"turn{'s' if len(of_turns) > 1 else ''} {', '.join(map(str, of_turns))}"
    if c.why:
        members = "" if len(c.units) == 1 else f" ({len(c.units)} values of {number(c.values[0])})"
        yield f"{told}: {c.why}{members}"
        return
    by_row = call.given.get("unit") == "row"
    mine_too = set(rows.tolist())
    listed = []
    for unit, value in list(zip(c.units.tolist(), c.values.tolist(), strict=True))[:MOST]:
        name = member(account, unit)
        mark = "*" if unit in mine_too else ""
        listed.append(f"{name if by_row else name.split(':')[0]}{mark} {number(value)}")
    more = f", and {len(c.units) - MOST} more" if len(c.units) > MOST else ""
    yield f"{told} among {len(c.units)}: {', '.join(listed)}{more}"
    results = call.results[0][c.rows[mine]]
    for x, result in dict.fromkeys(zip(c.own[mine].tolist(), results.tolist(), strict=True)):
        yield f"    {_sum(x, c)} = {number(result)}"


def _sum(x: float, c: Comparison) -> str:
    text = number(x)
    if c.centre:
        text = f"({text} - {number(c.centre)})" if c.centre > 0 else f"({text} + {number(-c.centre)})"
    if c.factor != 1:
        text += f" * {number(c.factor)}"
    return text if c.spread is None else f"{text} / {number(c.spread)}"


def _title(call: Call) -> str:
    given = {k: v for k, v in call.given.items() if call.name != "GroupStat" or v != _USUAL.get(k)}
    told = ", ".join(f"{k}={v if not isinstance(v, str) else plain(v)}" for k, v in given.items())
    return f"{call.name}({told})" if told else call.name


_USUAL = {"centre": "mean", "scale": "sample", "unit": "traj", "singleton": "zero"}


def _told(account: Account, values: Array, row: int) -> str:
    """A row's value; the mean over its tokens, with ~, where they differ."""
    found = account.at(values, row)
    if found.dtype == np.bool_:
        return "yes" if bool(found[0]) else "no"
    if len(found) == 0:
        return ""
    return number(found[0]) if np.ptp(found) == 0 else f"{number(found.mean())}~"


def _sentence(about: str) -> str:
    about = re.sub(r"^\[[A-Z]\] ", "", about)  # the shape, for those who read the code
    return about if len(about) <= 110 else about[:109] + "…"


def _table(name: str, values: Sequence[str], width: int) -> list[str]:
    """A name and values in columns; more than fit a line go on below."""
    out = []
    for first in range(0, len(values), PER_LINE):
        cells = "".join(f" {value:>11}" for value in values[first : first + PER_LINE])
        out.append(f"{name if first == 0 else '':<{width}}{cells}")
    return out
