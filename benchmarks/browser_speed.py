"""How fast and how large the environments in a browser are.

    python benchmarks/browser_speed.py [--pages 1,4,16]

Prints the time to start Chromium, to reset and to step (medians, the expert acting), the memory of the browser's
processes (proportional set size, so that what they share counts once), and steps per second of several environments
in threads of their own.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from agentrl.env import TextEnv
from agentrl.envs.gui.browser import GuiBrowser, MiniWob
from agentrl.envs.gui.browser.chromium import chromium


def memory_mb(leader: int) -> float:
    """Proportional set size of all processes of a group, in MB."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            group = int((folder / "stat").read_text().rpartition(")")[2].split()[2])
            if group == leader:
                rollup = (folder / "smaps_rollup").read_text()
                total += int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1])
        except (OSError, StopIteration):
            continue
    return total / 1024


def episodes(env: TextEnv, count: int, first: int = 0) -> tuple[list[float], list[float]]:
    """Seconds of resets and of steps, the expert acting."""
    resets, steps = [], []
    for seed in range(first, first + count):
        start = time.perf_counter()
        env.reset(seed=seed)
        resets.append(time.perf_counter() - start)
        over = False
        while not over and (action := env.expert()) is not None:
            start = time.perf_counter()
            over = env.step(action)[2]
            steps.append(time.perf_counter() - start)
    return resets, steps


def many(make: Callable[[], TextEnv], pages: int, count: int) -> str:
    """Several environments at once."""
    envs = [make() for _ in range(pages)]
    for env in envs:
        env.reset(seed=0)
    memory = memory_mb(chromium().pid)
    done: list[int] = []
    threads = [
        threading.Thread(target=lambda e=e, i=i: done.append(len(episodes(e, count, 100 * i)[1])))
        for i, e in enumerate(envs)
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(done) / (time.perf_counter() - start)
    for env in envs:
        env.close()
    return f"{pages} pages: {memory:.0f} MB, {rate:.1f} steps/s with resets"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", default="1,4,16")
    parser.add_argument("--episodes", type=int, default=20)
    arguments = parser.parse_args()
    start = time.perf_counter()
    pid = chromium().pid
    print(f"start {time.perf_counter() - start:.2f} s, {memory_mb(pid):.0f} MB without a page")
    for name, make in (("gui-browser level 2", lambda: GuiBrowser(level=2)), ("miniwob core", MiniWob)):
        env = make()
        env.reset(seed=0)
        resets, steps = episodes(env, arguments.episodes)
        env.close()
        ms = [1000 * statistics.median(values) for values in (resets, steps)]
        print(f"{name}: reset {ms[0]:.0f} ms, step {ms[1]:.0f} ms (medians of {len(resets)} and {len(steps)})")
        for pages in map(int, arguments.pages.split(",")):
            print(f"  {many(make, pages, max(2, arguments.episodes // pages))}", flush=True)


if __name__ == "__main__":
    main()
