"""``agentrl replay``: take a dumped step again and say whether everything comes out as it was logged.

What is compared, in the order in which a step is made, with the line of metrics that the run wrote and with its next
checkpoint:

    rollouts    outcomes, counted again from the dump
    credit      mean and mean size of the advantages
    packing     trained tokens, and tokens that went through the model
    loss        all parts of the loss, ratios, clipping, mismatch
    gradient    its norm, the learning rate
    weights     every tensor of the checkpoint after the step

The first stage that differs is where to look. Numbers are compared exactly; another device, thread count or number
of processes rounds otherwise, which is told apart (``rounding``) from what really differs.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from agentrl.inspector.past import Past
from agentrl.inspector.words import number, read_words, run_of, step_number
from agentrl.settings import asks_help

USAGE = """usage: agentrl replay RUN STEP [--json] [--device D] [--tolerance X]

Take a step again from the checkpoint before it and the rollouts it was made
of: credit, packing, loss, gradient, weights. Says what is equal and where it
differs. The run is not touched. Exit status 1 if something differs.

  --json          the same as JSON
  --device D      cpu, cuda, ..; by default as in the run
  --tolerance X   relative difference up to which a number counts as rounding
                  (1e-4)
"""

Verdict = Literal["equal", "rounding", "differs", "not recorded"]
STAGES = ("rollouts", "credit", "packing", "loss", "gradient", "weights")
CREDIT = ("advantage", "advantage_abs", "replayed", "value", "value_explained")
PACKING = ("tokens", "tokens_forwarded")
GRADIENT = ("grad_norm", "critic_grad_norm", "lr", "skipped_updates")
TINY = 1e-7
"""Absolute difference that is rounding whatever the number's size (KL terms, mismatches near 0)."""


@dataclass(frozen=True)
class Line:
    """One number of a step, as logged and as it came out again."""

    stage: str
    name: str
    logged: float | None
    again: float
    verdict: Verdict


@dataclass(frozen=True)
class Replay:
    """What came of taking a step again."""

    step: int
    lines: list[Line]

    @property
    def verdict(self) -> Verdict:
        """The worst of all lines."""
        found = {line.verdict for line in self.lines}
        return "differs" if "differs" in found else "rounding" if "rounding" in found else "equal"

    def of(self, stage: str) -> list[Line]:
        """The lines of a stage."""
        return [line for line in self.lines if line.stage == stage]


def main(argv: Sequence[str]) -> int:
    """Entry point of the subcommand. Returns the exit status."""
    if asks_help(argv):
        print(USAGE)
        return 0
    words = read_words(argv, ["RUN", "STEP"], flags=["--json"], values=["--device", "--tolerance"])
    past, step = run_of(words["RUN"]), step_number(words["STEP"])
    found = replay(past, step, device=words.get("--device"), tolerance=number(words, "--tolerance", 1e-4))
    if "--json" in words:
        json.dump({"step": step, "verdict": found.verdict, "lines": [asdict(x) for x in found.lines]}, sys.stdout)
        print()
    else:
        print("\n".join(told(found)))
    return int(found.verdict == "differs")


def replay(past: Past, step: int, *, device: str | None = None, tolerance: float = 1e-4) -> Replay:
    """Take a step again.

    Args:
        past: The run.
        step: Its step.
        device: Where; None: as in the run.
        tolerance: Relative difference up to which numbers differ by rounding only.

    Raises:
        RunError: the checkpoint before the step, or its rollouts, were not kept.
    """
    import torch

    from agentrl.algorithms import Steps
    from agentrl.inspector.retake import before, weights_of
    from agentrl.training.metrics import anchor_metrics, rollout_metrics

    groups = past.groups(step)
    logged = next((line for line in past.metrics if line["step"] == step and line["kind"] == "train"), {})
    trainer = before(past, step, device=device)
    try:
        kept = trainer.worth_training(groups)
        outcomes = rollout_metrics(groups, seconds=math.nan) | anchor_metrics(Steps.of(groups))
        outcomes["dropped_groups"] = float(len(groups) - len(kept))
        learnt = trainer.learn(kept, step)
        lines = _compared({**outcomes, **learnt}, set(outcomes) - set(learnt), logged, tolerance)
        after = past.checkpoints.get(step)
        if after is not None:
            folder_weights = weights_of(after)
            own = _saved_names(trainer.policy.model, folder_weights)
            for name, tensor in folder_weights.items():
                gap = float((own[name] - tensor).abs().max()) if name in own else math.inf
                size = float(tensor.abs().max())
                same = name in own and torch.equal(own[name], tensor)
                lines.append(Line("weights", name, 0.0, gap, _verdict(same, gap, size, tolerance)))
    finally:
        trainer.close()
    return Replay(step, lines)


def told(found: Replay) -> list[str]:
    """The report as text."""
    out = [f"step {found.step}, taken again: {_sentence(found)}", ""]
    for stage in STAGES:
        lines = found.of(stage)
        known = [line for line in lines if line.verdict != "not recorded"]
        if not known:
            out.append(f"{stage:<10} not recorded" + (": no checkpoint after it" if stage == "weights" else ""))
            continue
        off = [line for line in known if line.verdict != "equal"]
        what = "tensors" if stage == "weights" else "numbers"
        out.append(f"{stage:<10} {_worst(known):<9} {len(known) - len(off)} of {len(known)} {what} equal to the bit")
        for line in off[:12] if found.verdict == "differs" else off[:4]:
            told = f"largest gap {line.again:.3g}" if stage == "weights" else f"{line.logged!r} -> {line.again!r}"
            out.append(f"             {line.verdict:<9} {line.name}: {told}")
        if len(off) > 12:
            out.append(f"             and {len(off) - 12} more")
    return out


def _sentence(found: Replay) -> str:
    if found.verdict == "differs":
        first = next(s for s in STAGES if any(line.verdict == "differs" for line in found.of(s)))
        return f"DIFFERS, from '{first}' on"
    return "equal to the bit" if found.verdict == "equal" else "equal up to rounding"


def _worst(lines: Sequence[Line]) -> str:
    found = {line.verdict for line in lines}
    return next(v for v in ("differs", "rounding", "equal") if v in found)


def _compared(
    again: Mapping[str, float], outcomes: set[str], logged: Mapping[str, Any], tolerance: float
) -> list[Line]:
    lines = []
    for name, value in again.items():
        if name.startswith("time/") or name == "tokens_per_s":
            continue
        stage = "rollouts" if name in outcomes else stage_of(name)
        if name not in logged:
            lines.append(Line(stage, name, None, value, "not recorded"))
            continue
        before = float(logged[name])
        same = before == value or (math.isnan(before) and math.isnan(value))
        lines.append(Line(stage, name, before, value, _verdict(same, abs(before - value), abs(before), tolerance)))
    return lines


def stage_of(name: str) -> str:
    """Where in a step a metric of the learner's is made."""
    if name in CREDIT:
        return "credit"
    if name in PACKING:
        return "packing"
    return "gradient" if name in GRADIENT else "loss"


def _verdict(same: bool, gap: float, size: float, tolerance: float) -> Verdict:
    if same:
        return "equal"
    return "rounding" if gap <= max(TINY, tolerance * size) else "differs"


def _saved_names(model: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A model's tensors under the names of its checkpoint: those of adapters lose the adapter's name there."""
    own = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    if not set(wanted) <= set(own):
        own = {name.replace(".default.", "."): tensor for name, tensor in own.items()} | own
    return own
