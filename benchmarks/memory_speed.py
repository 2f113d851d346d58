"""Steps a second of the environment `memory`, the cost of a snapshot, and how often policies win.

    python benchmarks/memory_speed.py --level 1 --task log

One process, one thread. Actions are those of the demonstrator with flaws, played once before the clock runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from agentrl.envs.memory import Memory
from agentrl.envs.memory.tasks import TASKS

Script = tuple[int, list[str]]


def play(env: Memory, seed: int, act: Callable[[], str | None]) -> tuple[list[str], bool, int]:
    """The actions of an episode, whether it was won, and the words of its transcript."""
    shown, _ = env.reset(seed=seed)
    words, actions, won = len(shown.split()), [], False
    while len(actions) < env.max_turns and (said := act()) is not None:
        shown, *_, info = env.step(said)
        words += len(said.split()) + len(shown.split())
        actions.append(said)
        won = info["won"]
    return actions, won, words


def rate(env: Memory, scripts: list[Script]) -> tuple[float, float]:
    """Steps a second, and microseconds of a reset."""
    stepping = resetting = 0.0
    for seed, actions in scripts:
        start = time.perf_counter()
        env.reset(seed=seed)
        middle = time.perf_counter()
        for said in actions:
            env.step(said)
        resetting += middle - start
        stepping += time.perf_counter() - middle
    return sum(len(actions) for _, actions in scripts) / stepping, resetting / len(scripts) * 1e6


def microseconds(action: Callable[[], object], count: int = 20_000) -> float:
    """Mean time of a call."""
    start = time.perf_counter()
    for _ in range(count):
        action()
    return (time.perf_counter() - start) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, default="objectives")
    parser.add_argument("--level", type=int, default=1)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5, help="rounds over the episodes")
    args = parser.parse_args()
    start = time.perf_counter()
    env = Memory(task=args.task, level=args.level)
    print(f"construction: {time.perf_counter() - start:.2f} s")
    oracle = [play(env, seed, env.expert) for seed in range(args.episodes)]
    flawed = []
    for seed in range(args.episodes):
        rng = np.random.default_rng(seed)
        flawed.append(play(env, seed, lambda rng=rng: env.noisy_expert(rng)))  # type: ignore[misc]
    for name, played in (("expert", oracle), ("flawed", flawed)):
        turns, words = [len(actions) for actions, *_ in played], [words for *_, words in played]
        print(
            f"{name}: wins {np.mean([won for _, won, _ in played]):.0%}, turns {np.mean(turns):.1f} (most {max(turns)})"
        )
        print(f"  words of a transcript {np.mean(words):.0f} (most {max(words)})")
    scripts = [(seed, actions) for seed, (actions, *_) in enumerate(flawed)]
    rates = sorted(rate(env, scripts) for _ in range(args.rounds))
    steps, reset = rates[len(rates) // 2]
    print(f"{steps:,.0f} steps/s (median of {args.rounds}), reset {reset:.0f} us")
    env.reset(seed=1)
    snapshot = env.snapshot()
    print(
        f"snapshot: {microseconds(env.snapshot):.2f} us, restore: {microseconds(lambda: env.restore(snapshot)):.2f} us"
    )


if __name__ == "__main__":
    main()
