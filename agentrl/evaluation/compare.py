"""``agentrl compare``: is B better than A on the same tasks, and by how much?

Differences are paired by task: the attempts of each side at a task are averaged, and the interval is a bootstrap over
the tasks' differences, which is tighter than what two separate intervals allow to say. Tasks are the same where part,
number, seed and first observation are. An episode that broke outside the policy is in no pair.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentrl.errors import ConfigError, RunError
from agentrl.evaluation.record import Outcome
from agentrl.evaluation.statistics import bootstrap, mcnemar
from agentrl.evaluation.store import read, read_summary

USAGE = """usage: agentrl compare A B [--tasks] [--out FILE.json]

Paired differences B - A of two evaluations (folders of agentrl eval --out, or
results.jsonl files) on the tasks that both have played.

  --tasks       also list every task on which they differ
  --out FILE    write the figures as JSON
"""

METRICS: dict[str, Callable[[Outcome], float]] = {
    "success": lambda o: float(o.won),
    "score": lambda o: o.value,
    "reward": lambda o: o.reward,
    "turns": lambda o: o.turns,
    "tool_calls": lambda o: o.tool_calls,
    "tokens": lambda o: o.tokens,
    "cost": lambda o: o.cost,
    "seconds": lambda o: o.seconds,
}
IN_PERCENT = {"success"}
Key = tuple[str, int]


@dataclass(frozen=True)
class Difference:
    """A metric on the tasks that both played."""

    a: float
    b: float
    difference: float
    """B - A."""
    low: float
    high: float
    """95%, bootstrap over tasks."""

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Pair:
    """A task that both played: its outcomes without failures."""

    key: Key
    a: tuple[Outcome, ...]
    b: tuple[Outcome, ...]

    def delta(self, metric: Callable[[Outcome], float]) -> float:
        """B - A, of the means over attempts."""
        return _mean(self.b, metric) - _mean(self.a, metric)


@dataclass(frozen=True)
class Comparison:
    """All that `agentrl compare` says."""

    pairs: list[Pair]
    warnings: list[str]

    def difference(self, metric: str, pairs: Sequence[Pair] | None = None) -> Difference:
        """Of a metric, over all pairs or some."""
        chosen, value = self.pairs if pairs is None else pairs, METRICS[metric]
        deltas = [pair.delta(value) for pair in chosen]
        a = sum(_mean(pair.a, value) for pair in chosen) / len(chosen)
        b = sum(_mean(pair.b, value) for pair in chosen) / len(chosen)
        return Difference(a, b, sum(deltas) / len(deltas), *bootstrap(deltas))

    def split(self) -> tuple[int, int, int]:
        """Tasks on which B wins more often, less often, as often as A."""
        deltas = [pair.delta(METRICS["success"]) for pair in self.pairs]
        return sum(d > 0 for d in deltas), sum(d < 0 for d in deltas), sum(d == 0 for d in deltas)

    def groups(self) -> dict[str, list[Pair]]:
        """Pairs by part and by kind of task, where there are several."""
        found: dict[str, list[Pair]] = {}
        parts = {pair.key[0] for pair in self.pairs}
        for pair in self.pairs:
            kind = pair.a[0].kind
            if len(parts) > 1:
                found.setdefault(pair.key[0], []).append(pair)
            if kind:
                found.setdefault(f"{pair.key[0]}: {kind}" if len(parts) > 1 else kind, []).append(pair)
        return found if len(found) > 1 else {}


def compare(a: Sequence[Outcome], b: Sequence[Outcome]) -> Comparison:
    """Pair two evaluations by task.

    Raises:
        ConfigError: they share no task, or what has the same name and number is another task.
    """
    of_a, of_b = _by_task(a), _by_task(b)
    shared = [key for key in of_a if key in of_b]
    if not shared:
        raise ConfigError(
            f"The two evaluations share no task: A has {_named(of_a)}, B has {_named(of_b)}. Evaluate both on the same."
        )
    known = [key for key in shared if _identity(of_a[key]) and _identity(of_b[key])]
    other = [key for key in known if _identity(of_a[key]) != _identity(of_b[key])]
    if other:
        part, task = other[0]
        raise ConfigError(
            f"{len(other)} of {len(shared)} tasks differ though they have the same number (first: {part} {task}, "
            f"'{of_a[other[0]][0].opening[:80]}' and '{of_b[other[0]][0].opening[:80]}'). The environment, its data or "
            f"its settings are not the same; such numbers cannot be compared."
        )
    warnings = []
    for name, mine, yours in (("A", of_a, of_b), ("B", of_b, of_a)):
        if alone := [key for key in mine if key not in yours]:
            warnings.append(f"{len(alone)} tasks are in {name} alone and left out (first: {alone[0][0]} {alone[0][1]})")
    pairs = [Pair(key, _played(of_a[key]), _played(of_b[key])) for key in shared]
    whole = [pair for pair in pairs if pair.a and pair.b]
    if len(whole) < len(pairs):
        warnings.append(f"{len(pairs) - len(whole)} tasks broke outside the policy on a side and are left out")
    if not whole:
        raise ConfigError("No task was played by both: all broke outside the policy on a side.")
    return Comparison(whole, warnings)


def main(argv: Sequence[str]) -> int:
    """Entry point of the subcommand. Returns the exit status."""
    words = list(argv)
    if any(w in ("-h", "--help") for w in words):
        print(USAGE)
        return 0
    listing = "--tasks" in words
    words = [w for w in words if w != "--tasks"]
    out: Path | None = None
    if "--out" in words:
        at = words.index("--out")
        if at + 1 == len(words):
            raise ConfigError("--out needs the name of a file.")
        out = Path(words[at + 1])
        del words[at : at + 2]
    if len(words) != 2 or any(w.startswith("--") for w in words):
        raise ConfigError("Name two evaluations: agentrl compare A B. See agentrl compare --help.")
    folders = [Path(w) for w in words]
    found = compare(read(folders[0]), read(folders[1]))
    for warning in [*_settings(*folders), *found.warnings]:
        print(f"warning: {warning}", file=sys.stderr)
    print("\n".join(lines(found, *words)))
    if listing:
        print("\n".join(task_lines(found)))
    if out:
        try:
            out.write_text(json.dumps(as_json(found), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise RunError(f"'{out}' could not be written: {error.strerror}.") from error
    return 0


def lines(found: Comparison, a: str, b: str) -> list[str]:
    """For people."""
    out = [f"A = {a}", f"B = {b}", f"{len(found.pairs)} tasks played by both", ""]
    out.append(f"{'':<12}{'A':>9}{'B':>9}{'B - A':>10}   95% interval")
    for name in METRICS:
        d = found.difference(name)
        if d.a or d.b:
            out.append(_row(name, d, name in IN_PERCENT))
    more, less, same = found.split()
    out.append(f"\nB wins more often on {more} tasks, less often on {less}, as often on {same}")
    if all(len(p.a) == len(p.b) == 1 for p in found.pairs):
        out.append(f"McNemar's exact test of success: p = {mcnemar(more, less):.3g}")
    if groups := found.groups():
        out.append("\nsuccess by kind of task")
        for name, pairs in groups.items():
            out.append(_row(f"{name} ({len(pairs)})", found.difference("success", pairs), True))
    return out


def task_lines(found: Comparison) -> list[str]:
    """Every task on which success or score differ, the largest gains of B first."""
    value = METRICS["score"]
    changed = [p for p in found.pairs if p.delta(value) or p.delta(METRICS["success"])]
    changed.sort(key=lambda p: -p.delta(value))
    out = [f"\n{len(changed)} tasks differ", f"{'task':<20}{'A':>8}{'B':>8}{'B - A':>9}   ended A / B"]
    for p in changed:
        ends = " / ".join(",".join(dict.fromkeys(o.stop for o in side)) for side in (p.a, p.b))
        a, b = _mean(p.a, value), _mean(p.b, value)
        out.append(f"{f'{p.key[0]} {p.key[1]}':<20}{a:>8.3f}{b:>8.3f}{b - a:>+9.3f}   {ends}")
    return out


def as_json(found: Comparison) -> dict[str, Any]:
    """All figures as plain values."""
    more, less, same = found.split()
    value = METRICS["score"]
    return {
        "tasks": len(found.pairs),
        "warnings": found.warnings,
        "metrics": {name: asdict(found.difference(name)) for name in METRICS},
        "groups": {name: asdict(found.difference("success", pairs)) for name, pairs in found.groups().items()},
        "success": {"more": more, "less": less, "same": same, "mcnemar": mcnemar(more, less)},
        "per_task": [
            {"part": p.key[0], "task": p.key[1], "a": _mean(p.a, value), "b": _mean(p.b, value)} for p in found.pairs
        ],
    }


def _row(name: str, d: Difference, percent: bool) -> str:
    mark = " *" if d.clear else ""
    if percent:
        interval = f"[{100 * d.low:+.1f}, {100 * d.high:+.1f}]"
        return f"{name:<12}{d.a:>9.1%}{d.b:>9.1%}{100 * d.difference:>+10.1f}   {interval}{mark}"
    return f"{name:<12}{d.a:>9.3f}{d.b:>9.3f}{d.difference:>+10.3f}   [{d.low:+.3f}, {d.high:+.3f}]{mark}"


def _settings(a: Path, b: Path) -> list[str]:
    """Warnings about settings of the trial that differ."""
    found = [read_summary(f).get("config", {}).get("trial", {}) if f.is_dir() else {} for f in (a, b)]
    if not all(found):
        return []
    matter = ("temperature", "top_p", "max_turns", "max_new_tokens", "context", "split")
    return [
        f"trial.{key} differs: A {found[0].get(key)}, B {found[1].get(key)}"
        for key in matter
        if found[0].get(key) != found[1].get(key)
    ]


def _by_task(outcomes: Sequence[Outcome]) -> dict[Key, list[Outcome]]:
    found: dict[Key, list[Outcome]] = {}
    for o in outcomes:
        found.setdefault((o.part, o.task), []).append(o)
    return found


def _identity(outcomes: Sequence[Outcome]) -> tuple[int, str] | None:
    """Seed and first observation; None where no attempt got as far as an observation."""
    return next(((o.seed, o.digest) for o in outcomes if o.opening), None)


def _played(outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    return tuple(o for o in outcomes if o.failure is None)


def _mean(outcomes: Sequence[Outcome], metric: Callable[[Outcome], float]) -> float:
    return sum(map(metric, outcomes)) / len(outcomes)


def _named(tasks: dict[Key, list[Outcome]]) -> str:
    return ", ".join(dict.fromkeys(part for part, _ in tasks)) or "nothing"
