"""Speed of the Python environment: episodes, cells, snapshots, replays, grading, the verifier.

    python benchmarks/python_speed.py                        # generated tasks of every level
    python benchmarks/python_speed.py --sandbox landlock --threads 64

Episodes are the expert's. An environment sets its sandbox back between episodes, so that only its first one pays for
opening it; a restore runs the cells again when the next one comes. Times hold for what else the machine does: the load
is printed as well.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from agentrl.envs.python import Python, verifier
from agentrl.envs.python.levels import LEVELS


def milliseconds(action: Callable[[], object], count: int) -> float:
    """Median time of a call."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def play(env: Python, seeds: range) -> tuple[int, int]:
    """Steps and wins of the expert."""
    steps = wins = 0
    for seed in seeds:
        _, info = env.reset(seed=seed)
        while (said := env.expert()) is not None:
            *_, info = env.step(said)
            steps += 1
        wins += bool(info["won"])
    return steps, wins


def levels(sandbox: str, episodes: int) -> None:
    """Steps a second by level, one thread."""
    for level in LEVELS:
        env = Python(level=level, sandbox=sandbox)
        play(env, range(1))
        start = time.perf_counter()
        steps, wins = play(env, range(episodes))
        seconds = time.perf_counter() - start
        print(
            f"level {level}: {steps / seconds:,.0f} steps/s, {seconds / episodes * 1e3:.1f} ms an episode, "
            f"{steps / episodes:.1f} steps, {wins} of {episodes} won"
        )
        env.close()


def sessions(sandbox: str, count: int) -> None:
    """What a first cell, a later one, a snapshot and a restore cost."""
    env = Python(level=0, sandbox=sandbox)
    cell = "<python>1 + 1</python>"

    def first(fresh: bool) -> float:
        times = []
        for seed in range(count):
            if fresh:
                env.close()
            env.reset(seed=seed)
            times.append(milliseconds(lambda: env.step(cell), 1))
        return statistics.median(times)

    print(f"first cell of an episode: {first(True):.1f} ms in a new sandbox, {first(False):.1f} ms in one set back")
    env = Python(level=0, sandbox=sandbox, max_calls=10**6)
    env.reset(seed=0)
    env.step(cell)
    print(f"later cell: {milliseconds(lambda: env.step(cell), count):.2f} ms")
    env.reset(seed=0)
    for _ in range(3):
        env.step(cell)
    there = env.snapshot()
    print(f"snapshot: {milliseconds(env.snapshot, 1000) * 1e3:.1f} us", end=", ")
    print(f"restore: {milliseconds(lambda: env.restore(there), 1000) * 1e3:.1f} us", end=", ")

    def again() -> None:
        env.restore(there)
        env.step(cell)

    print(f"next cell after a restore that runs 3 again: {milliseconds(again, count):.1f} ms")
    env.close()


def concurrent(sandbox: str, threads: int, episodes: int) -> None:
    """Episodes at once, one sandbox each."""
    envs = [Python(level=1, sandbox=sandbox) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        for label in ("first episodes, sandboxes opened", "later ones"):
            start = time.perf_counter()
            total = sum(steps for steps, _ in pool.map(lambda env: play(env, range(episodes)), envs))
            seconds = time.perf_counter() - start
            print(f"{threads} threads, {label}: {total / seconds:,.0f} steps/s")
    for env in envs:
        env.close()


def verdicts(sandbox: str, count: int) -> None:
    """What judging an answer costs."""
    env = Python(level=2, kinds="code", sandbox=sandbox)

    def graded() -> None:
        env.reset(seed=0)
        env.step(env.expert() or "")

    print(f"code with 6 tests graded: {milliseconds(graded, count):.1f} ms")
    env.close()
    print(f"number compared: {milliseconds(lambda: verifier.equal('1,234', '1234'), 1000) * 1e3:.0f} us")
    if verifier.is_installed():
        verifier.equal("\\sqrt{20}/2", "\\sqrt{5}")
        print(f"formula compared: {milliseconds(lambda: verifier.equal('-q + p', 'p - q'), count):.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--threads", type=int, default=64)
    args = parser.parse_args()
    levels(args.sandbox, args.episodes)
    sessions(args.sandbox, 50)
    concurrent(args.sandbox, args.threads, 5)
    verdicts(args.sandbox, 50)
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
