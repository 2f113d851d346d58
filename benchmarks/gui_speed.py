"""Figures of the simulated screens: steps a second, resets, snapshots, wins, lengths; the expert plays.

python benchmarks/gui_speed.py [--level 1] [--episodes 200]
"""

from __future__ import annotations

import argparse
import re
import statistics
import time

import numpy as np

from agentrl.envs.gui import Gui


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--level", type=int, default=1)
    parser.add_argument("--episodes", type=int, default=200)
    arguments = parser.parse_args()
    env, rng = Gui(level=arguments.level), np.random.default_rng(0)
    seconds = {"reset": 0.0, "step": 0.0}
    firsts, laters, turns, won, demonstrated = [], [], [], 0, 0
    for seed in range(arguments.episodes):
        begun = time.process_time()
        shown, _ = env.reset(seed=seed)
        seconds["reset"] += time.process_time() - begun
        firsts.append(pieces(shown))
        steps = 0
        while (said := env.expert()) is not None and steps < env.max_turns:
            begun = time.process_time()
            shown, _, over, _, info = env.step(said)
            seconds["step"] += time.process_time() - begun
            steps += 1
            won += bool(info["won"])
            if over:
                break
            laters.append(pieces(shown))
        turns.append(steps)
        demonstrated += demonstrates(env, seed, rng)
    begun = time.perf_counter()
    for _ in range(10_000):
        env.restore(env.snapshot())
    pair = (time.perf_counter() - begun) / 10_000
    n = arguments.episodes
    print(f"level {arguments.level}: expert {won / n:.1%}, demonstrator {demonstrated / n:.1%}")
    print(f"turns {statistics.mean(turns):.1f}, longest {max(turns)}")
    print(f"{sum(turns) / seconds['step']:,.0f} steps/s, reset {1e3 * seconds['reset'] / n:.2f} ms")
    print(f"snapshot and restore {1e6 * pair:.2f} us")
    print(
        f"words and marks: first {statistics.mean(firsts):.0f}, later {statistics.mean(laters or [0]):.0f}, "
        f"longest {max([*firsts, *laters])}"
    )


def demonstrates(env: Gui, seed: int, rng: np.random.Generator) -> bool:
    """Whether the demonstrator wins an episode."""
    env.reset(seed=seed)
    for _ in range(env.max_turns):
        *_, over, _, info = env.step(env.noisy_expert(rng) or "")
        if over:
            return bool(info["won"])
    return False


def pieces(text: str) -> int:
    """Words and single marks in a text: about the tokens that a large tokenizer makes of it, or a few less."""
    return len(re.findall(r"\w+|[^\w\s]", text))


if __name__ == "__main__":
    main()
