"""``agentrl eval``: how well does a policy do on tasks that it was not trained on?"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentrl.errors import AgentRLError, ConfigError, MissingExtra, RunError
from agentrl.evaluation import harness, rescore
from agentrl.evaluation.lineup import Lineup
from agentrl.evaluation.output import finish, tell
from agentrl.evaluation.players import Job
from agentrl.evaluation.policies import TEXT_POLICIES
from agentrl.evaluation.record import Outcome
from agentrl.evaluation.settings import EvalConfig
from agentrl.evaluation.store import CONFIG, Store
from agentrl.evaluation.suites import Suite
from agentrl.rollout.contexts import ContextSettings
from agentrl.run import read_config
from agentrl.settings import asks_help, help_text, load

USAGE = """usage: agentrl eval --model MODEL [--env NAME | --suite NAME] [--section.key VALUE ...]
       agentrl eval --resume DIR            go on with an evaluation
       agentrl eval --rescore DIR [--out DIR] [--scorer FILE.py:FUNCTION] [--env.key VALUE ...]

Evaluate a policy on held-out tasks. MODEL is a run directory, a checkpoint
folder, a hub id, 'tiny' (the embedded policy, warmed up and not yet trained),
'random', 'expert', 'noisy', a function (./file.py:name), or the URL of an
OpenAI-compatible endpoint. With a run directory or a checkpoint inside one, the
environment and the context are those of the run unless given.

With --out every episode is kept as it ends; the same command goes on where it
was stopped, and plays again what broke outside the policy. --rescore replays
the recorded actions and writes the results to another folder (DIR-rescored).
`agentrl compare DIR DIR` compares two.
"""


def main(argv: Sequence[str]) -> int:
    """Entry point of the subcommand. Returns the exit status."""
    words = list(argv)
    if asks_help(words):
        print(USAGE + "\n" + help_text(EvalConfig, words))
        return 0
    old = _take(words, "rescore")
    if old is not None:
        return rescore.main(Path(old), _take(words, "scorer"), words)
    before = _take(words, "resume")
    if before is not None:
        if not (Path(before) / CONFIG).is_file():
            raise RunError(f"'{before}' holds no evaluation: there is no {CONFIG}.")
        config = load(EvalConfig, [*words, "--out", before], toml=Path(before) / CONFIG)
    else:
        config = load(EvalConfig, [*_from_run(words), *words])
    if config.suite and any(w == "--env" or w.startswith(("--env.", "--env=")) for w in words):
        raise ConfigError(
            "--suite brings its environments; leave --env out, or write a suite of your own (a TOML file)."
        )
    return evaluate(config)


def evaluate(config: EvalConfig) -> int:
    """Play what is missing, write and tell the results. Returns the exit status."""
    suite = config.asked()
    if config.inspect and config.out is None:
        raise ConfigError("--inspect writes into the folder of the results: give --out DIR as well.")
    if config.inspect and find_spec("inspect_ai") is None:
        raise MissingExtra("inspect-ai", "inspect")
    for part in suite.parts:  # a wrong environment is told before anything starts
        part.env_settings().make(split=part.split).close()
    jobs = harness.jobs_of(suite, config.trial.seed)
    started = time.perf_counter()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(Store(config.out)) if config.out else None
        if store:
            store.settle(config, suite)
        found: dict[tuple[str, int, int], Outcome] = store.found if store else {}
        left = harness.missing(jobs, found)
        if store and len(left) < len(jobs):
            print(f"{len(jobs) - len(left)} of {len(jobs)} episodes are there already", file=sys.stderr)
        if left:
            _play(config, suite, left, store, found)
        outcomes = [found[job.key] for job in jobs]
        seconds = time.perf_counter() - started
        tell(config, suite, outcomes, seconds)
        if store:
            finish(config, suite, outcomes, seconds)
            print(f"written to {config.out}")
    first = outcomes[0].failure
    if first and all(o.failure for o in outcomes):
        print(f"error: every episode failed, the first one at '{first.stage}': {first.error}", file=sys.stderr)
        return 1
    return 0


def _play(
    config: EvalConfig,
    suite: Suite,
    jobs: Sequence[Job],
    store: Store | None,
    found: dict[tuple[str, int, int], Outcome],
) -> None:
    """Play episodes; each is kept as it ends."""
    lineup = Lineup(config, suite)
    t = config.trial
    with _Bar(len(jobs)) as bar:

        def on_end(outcome: Outcome) -> None:
            found[outcome.key] = outcome
            if store:
                store.append(outcome)
            bar.tick(outcome)

        async def run() -> None:
            async with lineup as players:
                await harness.play(jobs, players, on_end, concurrency=_lanes(config), give_up=t.give_up)
            if lineup.client and lineup.client.retries:
                print(f"{lineup.client.retries} requests were tried again", file=sys.stderr)

        try:
            asyncio.run(run())
        except (AgentRLError, KeyboardInterrupt):
            if store and found:
                print(f"{len(found)} episodes are kept in {config.out}; the same command goes on", file=sys.stderr)
            raise


def _lanes(config: EvalConfig) -> int:
    """Text policies hold a thread each and gain nothing by many."""
    return min(config.trial.concurrency, 8) if config.model.name in TEXT_POLICIES else config.trial.concurrency


class _Bar:
    """A progress bar on a terminal, nothing elsewhere."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.won, self.failed = total, 0, 0, 0

    def __enter__(self) -> _Bar:
        from agentrl.training.display import Display

        self.display = Display()
        return self

    def __exit__(self, *_: object) -> None:
        self.display.finish()

    def tick(self, outcome: Outcome) -> None:
        """An episode has ended."""
        self.done += 1
        self.won += outcome.won
        self.failed += outcome.failure is not None
        if self.display.live:
            note = f"success {self.won / max(1, self.done - self.failed):.1%}"
            note += f", {self.failed} broke" if self.failed else ""
            self.display.progress("episodes", self.done, self.total, note)


def _take(words: list[str], name: str) -> str | None:
    """Take a flag that is no setting out of the words."""
    for i, word in enumerate(words):
        if word.startswith(f"--{name}="):
            del words[i]
            return word.partition("=")[2]
        if word == f"--{name}":
            if i + 1 == len(words) or words[i + 1].startswith("--"):
                raise ConfigError(f"--{name} needs a value.")
            value = words[i + 1]
            del words[i : i + 2]
            return value
    return None


def _from_run(words: Sequence[str]) -> list[str]:
    """Flags that repeat a run's environment and context, where the model comes from a run."""
    name = next((words[i + 1] for i, w in enumerate(words[:-1]) if w in ("--model", "--model.name")), "")
    name = next((w.partition("=")[2] for w in words if w.startswith(("--model=", "--model.name="))), name)
    path = Path(name)
    run = next((p for p in (path, *path.resolve().parents[:2]) if name and (p / "config.toml").is_file()), None)
    if run is None or path.suffix == ".py" or ".py:" in name:
        if not name and not any(w.startswith("--config") for w in words):
            raise ConfigError("Say what to evaluate: --model runs/last, --model random, --model expert. See --help.")
        return []
    config = read_config(run)
    flags: list[str] = []
    given = any(w.startswith("--env") and w[5:6] in ("", "=") for w in words)
    suite = any(w == "--suite" or w.startswith("--suite=") for w in words)
    if not given and not suite:
        flags += _flags("env", config["env"])
    for key in ("context", *ContextSettings.model_fields, "max_turns", "max_new_tokens"):
        if key in config["rollout"]:  # runs of before have fewer
            flags += [f"--trial.{key}", str(config["rollout"][key])]
    return [*flags, "--model.max_context", str(config["model"]["max_context"])]


def _flags(section: str, values: Mapping[str, Any]) -> list[str]:
    """A section of a configuration as flags."""
    flags = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            flags += _flags(f"{section}.{key}", value)
        elif isinstance(value, list):
            flags += [f"--{section}.{key}", ",".join(map(str, value))]
        else:
            flags += [f"--{section}.{key}", str(value).lower() if isinstance(value, bool) else str(value)]
    return flags


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
