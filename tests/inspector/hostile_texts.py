"""A run whose texts try to break out of the page."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

EVIL = '</script><script>window.broken=1</script><img src=x onerror="window.broken=2"><!--\u2028\u202e{{7*7}}${1}\ud800'
"""Ends scripts, comments and attributes; U+2028 and a lone surrogate end naive JSON."""


def hostile_run(run: Path, to: Path) -> Path:
    """A copy of a run with `EVIL` in every text of the first step: task, kind, actions, answers, failures."""
    folder = to / "evil-run"
    shutil.copytree(run, folder)
    file = folder / "rollouts" / "step-000001.jsonl.gz"
    groups = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    for group in groups:
        group["task"] += EVIL
        group["kind"] = group["member"] = EVIL
        for t in group["trajectories"]:
            for turn in t["turns"]:
                for name in ("text", "action", "observation", "state_key", "finish"):
                    turn[name] += EVIL
                turn["components"] = {EVIL: 1.0}
                turn["tool_calls"] = 1
        broken = group["trajectories"][-1]
        broken["stop"], broken["failure"], broken["won"] = "failed", {"stage": "step", "error": EVIL}, False
    text = "".join(json.dumps(g) + "\n" for g in groups)
    file.write_bytes(gzip.compress(text.encode()))
    with (folder / "metrics.jsonl").open("a") as metrics:
        metrics.write(json.dumps({"step": 2, "kind": "train", EVIL: 1.0, "nan": float("nan")}) + "\n")
    return folder
