"""Steps a second of question answering over the embedded index, the cost of a snapshot, and how often policies win.

    python benchmarks/search_speed.py                            # all levels of the generated encyclopedia
    python benchmarks/search_speed.py --levels 1 --episodes 2000
    python benchmarks/search_speed.py --data ../shared/data/qa/hotpotqa_distractor_100.json

One process. Steps are the expert's; a search is a step. Times are of the processor, so that others do not count.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from agentrl.envs.search import Search

Policy = Callable[[Search, np.random.Generator], str | None]


class Played(NamedTuple):
    """What came of some episodes."""

    won: float
    recall: float
    turns: float
    words: list[int]
    """Of later observations."""
    first: list[int]
    """Of first observations."""
    rate: float
    """Steps a second."""
    reset_ms: float


def expert(env: Search, rng: np.random.Generator) -> str | None:
    """The oracle."""
    return env.expert()


def noisy(env: Search, rng: np.random.Generator) -> str | None:
    """The demonstrator."""
    return env.noisy_expert(rng)


def random(env: Search, rng: np.random.Generator) -> str | None:
    """Searches for or answers with two words in a row that it read."""
    words = env.episode.shown.replace("<", " <").split()
    at = int(rng.integers(max(1, len(words) - 1)))
    tag = "search" if rng.random() < 0.6 else "answer"
    return f"<{tag}>{' '.join(words[at : at + 2]).strip('?.,()')}</{tag}>"


def one_search(env: Search, rng: np.random.Generator) -> str | None:
    """Searches for the question itself once, then answers with a name in what was found, by chance."""
    if not env.episode.asked:
        return f"<search>{env.episode.question.text}</search>"
    names = [name for title in env.episode.found for name in env.source.named(title)] or ["nothing"]
    return f"<answer>{names[int(rng.integers(len(names)))]}</answer>"


POLICIES: dict[str, Policy] = {"noisy": noisy, "random": random, "one search": one_search}


def play(env: Search, episodes: int, policy: Policy) -> Played:
    """Play; the policy's own time is not counted."""
    rng = np.random.default_rng(0)
    words, first = list[int](), list[int]()
    stepping = resetting = recall = 0.0
    steps = won = 0
    for seed in range(episodes):
        start = time.process_time()
        shown, info = env.reset(seed=seed)
        resetting += time.process_time() - start
        first.append(len(shown.split()))
        for _ in range(env.max_turns):
            if (said := policy(env, rng)) is None:
                break
            start = time.process_time()
            shown, _, over, _, info = env.step(said)
            stepping += time.process_time() - start
            steps += 1
            if over:
                break
            words.append(len(shown.split()))
        won += bool(info["won"])
        recall += float(info.get("recall", 0.0))
    rate = steps / stepping if stepping else 0.0
    return Played(won / episodes, recall / episodes, steps / episodes, words, first, rate, resetting / episodes * 1e3)


def microseconds(action: Callable[[], Any], count: int = 20_000) -> float:
    """Mean time of a call without arguments."""
    start = time.process_time()
    for _ in range(count):
        action()
    return (time.process_time() - start) / count * 1e6


def environments(args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and settings of what is to be measured."""
    if args.data:
        yield args.data.rpartition("/")[2], {"data": args.data, "corpus": args.corpus, "split": "all"}
        return
    for level in args.levels:
        yield f"level {level}", {"level": level}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=None, help="a file of questions, as for --env.data")
    parser.add_argument("--corpus", default=None, help="its passages, as for --env.corpus")
    parser.add_argument("--levels", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--episodes", type=int, default=400)
    args = parser.parse_args()
    for name, settings in environments(args):
        start = time.process_time()
        env = Search(**settings)
        made = time.process_time() - start
        best = play(env, args.episodes, expert)
        print(f"{name}: {len(env.source.corpus or ()):,} passages, made and indexed in {made:.2f} s")
        print(f"  expert wins {best.won:.1%} in {best.turns:.1f} turns, recall {best.recall:.1%}")
        print(f"  {best.rate:,.0f} steps/s, reset {best.reset_ms:.3f} ms")
        print(f"  words: first {statistics.mean(best.first):.0f}, later {statistics.mean(best.words):.0f}", end="")
        print(f" (longest {max(best.words)})")
        for label, policy in POLICIES.items():
            print(f"  {label} wins {play(env, args.episodes, policy).won:.1%}")
        env.reset(seed=1)
        snapshot = env.snapshot()
        taken, restored = microseconds(env.snapshot), microseconds(lambda e=env, s=snapshot: e.restore(s))
        print(f"  snapshot {taken:.2f} us, restore {restored:.2f} us")


if __name__ == "__main__":
    main()
