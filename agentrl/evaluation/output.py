"""What an evaluation tells and leaves: lines on the terminal, ``summary.json``, ``report.html``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

from agentrl.evaluation.policies import text_policy
from agentrl.evaluation.record import Outcome
from agentrl.evaluation.report import write_report
from agentrl.evaluation.settings import EvalConfig
from agentrl.evaluation.store import REPORT, SUMMARY, replace
from agentrl.evaluation.suites import Suite
from agentrl.evaluation.summary import Summary, by, by_member, kinds_line
from agentrl.run import writing


def tell(config: EvalConfig, suite: Suite, outcomes: Sequence[Outcome], seconds: float) -> None:
    """Print the tables."""
    whole = Summary.of(outcomes, seconds=seconds)
    print(heading(config, suite, whole))
    for note in notes(config, suite):
        print(note)
    print("\n".join(whole.lines()))
    parts = by(outcomes, lambda o: o.part, seconds=seconds) if len(suite.parts) > 1 else {}
    if not parts and (kinds := kinds_line(outcomes)):
        print(kinds)
    for name, part in {**parts, **by_member(outcomes, seconds=seconds)}.items():
        print(f"\n{name}, {part.tasks} tasks\n" + "\n".join(part.lines()))
        if name in parts and (kinds := kinds_line([o for o in outcomes if o.part == name])):
            print(kinds)


def heading(config: EvalConfig, suite: Suite, whole: Summary) -> str:
    """What was evaluated on what, in a line."""
    t, name = config.trial, config.model.name
    on = f"suite {suite.name} (version {suite.version})" if config.suite else f"{suite.name} ({t.split})"
    how = "" if text_policy(name) else f", temperature {t.temperature:g}"
    tried = f", {whole.episodes} episodes" if whole.episodes != whole.tasks else ""
    served = f" ({config.endpoint.served})" if config.endpoint.served else ""
    return f"{name}{served} on {on}, {whole.tasks} tasks{tried}{how}"


def notes(config: EvalConfig, suite: Suite) -> list[str]:
    """What one must know to read the numbers of a suite."""
    if not config.suite:
        return []
    if config.limit:
        return [f"the first {config.limit} tasks of each part only: a quick look, comparable to nothing"]
    return [f"comparable to: {' '.join(suite.comparable.split())}"] if suite.comparable else []


def summary_json(config: EvalConfig, suite: Suite, outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """All that is in ``summary.json``."""

    def plain(found: dict[str, Summary]) -> dict[str, Any]:
        return {name: asdict(one) for name, one in found.items()}

    whole: dict[str, Any] = {
        "config": config.model_dump(mode="json"),
        "suite": suite.model_dump(mode="json"),
        "finished": True,
        "summary": asdict(Summary.of(outcomes, seconds=seconds)),
        "parts": plain(by(outcomes, lambda o: o.part)),
        "members": plain(by(outcomes, lambda o: o.member)),
        "kinds": {p.name: plain(by([o for o in outcomes if o.part == p.name], lambda o: o.kind)) for p in suite.parts},
    }
    return cast(dict[str, Any], _finite(whole))


def _finite(tree: Any) -> Any:
    """With null for what is not known, which JSON has no number for."""
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def finish(config: EvalConfig, suite: Suite, outcomes: Sequence[Outcome], seconds: float) -> None:
    """Write ``summary.json``, ``report.html`` and, where it is asked for, the log of inspect_ai into ``--out``."""
    assert config.out is not None, "nothing is written without --out"
    whole = Summary.of(outcomes, seconds=seconds)
    with writing(config.out):
        replace(config.out / SUMMARY, json.dumps(summary_json(config, suite, outcomes, seconds), indent=2) + "\n")
        page = write_report(heading(config, suite, whole), notes(config, suite), suite, outcomes, whole)
        replace(config.out / REPORT, page)
    if config.inspect:
        from agentrl.evaluation.inspect_log import export

        print(f"inspect_ai's log: {export(config, suite, outcomes, config.out)}")
