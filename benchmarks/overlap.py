"""What playing ahead gains where environments are slow, and some much slower than others.

    python benchmarks/overlap.py [--steps 12] [--mean 0.3] [--tail 1.5] [--update 1]

Trains the embedded policy on the generated shop, whose steps sleep for a random time (Pareto: mean ``--mean`` seconds,
shape ``--tail``), once for each way of overlapping, one after the other, from the same warmed-up policy. ``--update``
repeats the passes over each batch, for learners that are slower. Printed per step, without the first: seconds, seconds
for which the learner waited, staleness of the trained tokens in policy versions, groups carried over and dropped.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from agentrl.env import StepResult
from agentrl.envs.webshop import WebShop
from agentrl.run import read_metrics
from agentrl.training.command import main as train

WAYS = {
    "one after the other": [],
    "ahead 1": ["--rollout.ahead", "1"],
    "ahead 2": ["--rollout.ahead", "2"],
    "stragglers .75": ["--rollout.straggler_share", "0.75"],
    "ahead 1, stragglers .75": ["--rollout.ahead", "1", "--rollout.straggler_share", "0.75"],
}


class LateShop(WebShop):
    """The shop, with late answers."""

    def step(self, text: str) -> StepResult:
        """Sleep, then step."""
        mean, tail = float(os.environ["LATE_MEAN"]), float(os.environ["LATE_TAIL"])  # 0 while the policy is warmed up
        time.sleep(min(20 * mean, mean * (tail - 1) / tail * random.SystemRandom().paretovariate(tail)))
        return super().step(text)


def run(more: list[str], folder: Path) -> None:
    """Train."""
    words = f"--env {Path(__file__).resolve()}:LateShop --run.dir {folder} --run.tensorboard false --eval.every 0"
    assert train([*words.split(), "--engine.deterministic", "false", "--rollout.groups", "8", *more]) == 0


def measure(way: list[str], args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Means over the steps of one run but the first."""
    run([*way, "--train.steps", str(args.steps), "--train.epochs", str(args.update)], folder)
    steps = [line for line in read_metrics(folder) if line["kind"] == "train"][1:]

    def mean(name: str) -> float:
        return sum(line.get(name, 0.0) for line in steps) / len(steps)

    whole = mean("time/rollout") + (0.0 if way else mean("time/update"))  # with a way: from one batch to the next
    waited = mean("time/wait") if way else mean("time/rollout")
    return {"seconds": whole, "waited": waited} | {
        name: mean(name) for name in ("time/update", "staleness", "carried_groups", "stale_groups", "sampled_tokens")
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--mean", type=float, default=0.3)
    parser.add_argument("--tail", type=float, default=1.5)
    parser.add_argument("--update", type=int, default=1)
    args = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"LATE_MEAN": "0", "LATE_TAIL": str(args.tail)}
        run(["--train.steps", "0"], Path(folder) / "warm-up")
        os.environ["LATE_MEAN"] = str(args.mean)
        for i, (name, way) in enumerate(WAYS.items()):
            found[name] = measure(way, args, Path(folder) / str(i))
    first = next(iter(found.values()))["seconds"]
    print(f"{'':<26}{'s/step':>8}{'gain':>7}{'waited':>8}{'update':>8}{'age':>6}{'carried':>9}{'dropped':>9}")
    for name, row in found.items():
        print(
            f"{name:<26}{row['seconds']:>8.2f}{first / row['seconds']:>6.2f}x{row['waited']:>8.2f}"
            f"{row['time/update']:>8.2f}{row['staleness']:>6.2f}{row['carried_groups']:>9.2f}{row['stale_groups']:>9.2f}"
        )


if __name__ == "__main__":
    main()
