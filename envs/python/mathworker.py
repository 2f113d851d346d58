"""The process in which math-verify runs: questions in, verdicts out, one JSON line each.

It knows nothing of agentrl, so that it starts quickly. Before each question it lets the kernel end it after
``seconds`` more of processor time: that stops what no exception can (a power of powers, a factorial), whatever else
runs on the machine. Nothing of an answer is ever evaluated as Python: it is read by a grammar of LaTeX.
"""

from __future__ import annotations

import json
import logging
import math
import resource
import sys
from typing import Any

MEMORY = 1 << 30
"""Bytes of data at most."""


def main() -> None:
    from math_verify import LatexExtractionConfig, parse, verify

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.CRITICAL)
    config = [LatexExtractionConfig(boxed_match_priority=0)]

    def read(text: str) -> Any:
        return parse(f"\\boxed{{{text}}}", config, parsing_timeout=None)

    print("ready", flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        used = resource.getrusage(resource.RUSAGE_SELF)
        until = math.ceil(used.ru_utime + used.ru_stime + question["seconds"])
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
        try:
            gold, answer = read(question["gold"]), read(question["answer"])
            equal = bool(gold) and bool(answer) and bool(verify(gold, answer, timeout_seconds=None))
        except Exception:  # too deep, too large, or a fault of the library: it could not be shown to be equal
            equal = False
        print(json.dumps({"equal": equal}), flush=True)


if __name__ == "__main__":
    main()
