"""Speed of the environment of search and Python together, how often policies win, and how long its texts are.

    python benchmarks/tools_speed.py                      # generated tasks of every level
    python benchmarks/tools_speed.py --levels 1 --episodes 1000 --sandbox landlock

Steps are the expert's: of tasks that need no sandbox (``search``), and of those that search and compute (``both``).
Tokens are those of an embedded policy that is made from the demonstrator's episodes. Times hold for what else the
machine does: the load is printed as well.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from agentrl.envs.tools import Tools
from agentrl.tiny import train_tokenizer

Policy = Callable[[Tools, np.random.Generator], str | None]


class Played(NamedTuple):
    """What came of some episodes."""

    won: float
    turns: float
    calls: float
    """Tool calls of an episode."""
    rate: float
    """Steps a second."""
    texts: list[list[str]]
    """Of each episode: what was read and what was said, by turns."""


def expert(env: Tools, rng: np.random.Generator) -> str | None:
    """The oracle."""
    return env.expert()


def noisy(env: Tools, rng: np.random.Generator) -> str | None:
    """The demonstrator."""
    return env.noisy_expert(rng)


def random(env: Tools, rng: np.random.Generator) -> str | None:
    """Uses a tool on, or answers with, two words in a row that it read."""
    words = env.episode.shown.replace("<", " <").split()
    at = int(rng.integers(max(1, len(words) - 1)))
    tag = ("search", "python", "answer")[int(rng.integers(3))]
    return f"<{tag}>{' '.join(words[at : at + 2]).strip('?.,()')}</{tag}>"


def by_heart(env: Tools, rng: np.random.Generator) -> str | None:
    """Looks everything up, and answers with a number that it read."""
    right, plan = env.expert() or "", env.episode.task.plan
    if "<python>" not in right or plan is None:
        return right
    return f"<answer>{plan.values[int(rng.integers(len(plan.values)))]}</answer>"


POLICIES: list[tuple[str, Policy, str]] = [
    ("demonstrator", noisy, "all"),
    ("random", random, "all"),
    ("does not compute", by_heart, "both"),
]
"""With the kind of tasks that each plays."""


def play(env: Tools, seeds: range, policy: Policy = expert) -> Played:
    """Play episodes, by the clock; the policy's own time is not counted."""
    rng = np.random.default_rng(0)
    stepping, steps, won, calls = 0.0, 0, 0, 0
    texts = []
    for seed in seeds:
        shown, info = env.reset(seed=seed)
        texts.append([shown])
        for _ in range(env.max_turns):
            if (said := policy(env, rng)) is None:
                break
            start = time.perf_counter()
            shown, _, over, _, info = env.step(said)
            stepping += time.perf_counter() - start
            steps, calls = steps + 1, calls + info["tool_calls"]
            texts[-1] += [said, *([] if over else [shown])]
            if over:
                break
        won += bool(info["won"])
    count = len(seeds)
    return Played(won / count, steps / count, calls / count, steps / max(stepping, 1e-9), texts)


def level(number: int, sandbox: str, episodes: int) -> None:
    """Figures of a level."""
    kinds = {tasks: Tools(level=number, tasks=tasks, sandbox=sandbox) for tasks in ("all", "search", "compute", "both")}
    found = {}
    for tasks, env in kinds.items():
        play(env, range(1))
        found[tasks] = play(env, range(episodes))
    every, demonstrated = found["all"], play(kinds["all"], range(4 * episodes), noisy)
    print(f"level {number}: {len(kinds['all'].source.corpus or ()):,} passages")
    print(f"  expert wins {every.won:.1%} in {every.turns:.1f} turns and {every.calls:.1f} calls")
    print("  " + ", ".join(f"{tasks} {one.rate:,.0f} steps/s" for tasks, one in found.items()))
    for label, policy, tasks in POLICIES:
        print(f"  {label} wins {play(kinds[tasks], range(episodes), policy).won:.1%} of {tasks}")
    tokenizer = train_tokenizer((t for texts in demonstrated.texts for t in texts), vocab_size=8192)
    sizes = [[len(tokenizer.encode(text)) for text in texts] for texts in every.texts]
    first, later = [s[0] for s in sizes], [size for s in sizes for size in s[2::2]]
    print(
        f"  tokens: first {statistics.mean(first):.0f} (longest {max(first)}), later {statistics.mean(later):.0f} "
        f"(longest {max(later)}), episode {statistics.mean(map(sum, sizes)):.0f}; vocabulary {len(tokenizer)}"
    )
    for env in kinds.values():
        env.close()


def milliseconds(action: Callable[[], object], count: int) -> float:
    """Mean time of a call."""
    start = time.perf_counter()
    for _ in range(count):
        action()
    return (time.perf_counter() - start) / count * 1e3


def snapshots(sandbox: str) -> None:
    """What a snapshot, a restore, and the next code after it cost."""
    for prompt in ("plain", "arpo"):
        env = Tools(level=1, tasks="compute", prompt=prompt, sandbox=sandbox, max_turns=10**6, max_calls=10**6)
        env.reset(seed=0)
        for _ in range(3):
            env.step("<python>x = 1</python>")
        there = env.snapshot()

        def again(env: Tools = env, there: object = there) -> None:
            env.restore(there)
            env.step("<python>x = 1</python>")

        taken = milliseconds(env.snapshot, 10_000) * 1e3
        restored = milliseconds(lambda e=env, t=there: e.restore(t), 10_000) * 1e3
        print(f"{prompt}: snapshot {taken:.2f} us, restore {restored:.2f} us", end=", ")
        print(f"code after a restore with 3 calls before {milliseconds(again, 50):.1f} ms")
        env.close()


def concurrent(sandbox: str, threads: int, episodes: int) -> None:
    """Episodes at once, one sandbox each."""
    envs = [Tools(level=1, tasks="both", sandbox=sandbox) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        for label in ("first episodes, sandboxes opened", "later ones"):
            start = time.perf_counter()
            played = list(pool.map(lambda env: play(env, range(episodes)), envs))
            seconds = time.perf_counter() - start
            steps = sum(one.turns for one in played) * episodes
            print(f"{threads} threads, {label}: {steps / seconds:,.0f} steps/s")
    for env in envs:
        env.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument("--levels", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--threads", type=int, default=64)
    args = parser.parse_args()
    for number in args.levels:
        level(number, args.sandbox, args.episodes)
    snapshots(args.sandbox)
    concurrent(args.sandbox, args.threads, 5)
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
