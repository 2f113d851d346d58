"""``agentrl inspect``: a run as one HTML file, or served from this machine where it is too large for a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from agentrl.errors import ConfigError
from agentrl.inspector.page import vocabulary, write_page
from agentrl.inspector.past import Past, decoder
from agentrl.inspector.records import StepRecord, record_of
from agentrl.inspector.words import read_words, run_of, step_number
from agentrl.run import writing
from agentrl.settings import asks_help

USAGE = """usage: agentrl inspect RUN [--step N] [--out FILE.html] [--serve [--port P]]

See what happened: training curves, all episodes with filters and text search,
each group's tree of tokens, each episode as a conversation and token by token.
One HTML file that needs no network and no server (RUN/inspect.html).

  --step N        this step's rollouts only
  --out FILE      write the page there
  --learner WHEN  whether to take steps again, from the checkpoint before them,
                  for the learner's log-probabilities and ratios: auto (where
                  the model is small), always, never
  --device D      where the model runs for it; by default as in the run
  --serve         show the page at http://127.0.0.1:PORT instead, reading steps
                  when they are asked for: for runs too large for one file
  --port P        the port (8777; 0 is any)
"""
WHEN = ("auto", "always", "never")


def main(argv: Sequence[str]) -> int:
    """Entry point of the subcommand. Returns the exit status."""
    if asks_help(argv):
        print(USAGE)
        return 0
    values = ["--step", "--out", "--learner", "--device", "--port"]
    words = read_words(argv, ["RUN"], flags=["--serve"], values=values)
    past = run_of(words["RUN"])
    learner = words.get("--learner", "auto")
    if learner not in WHEN:
        raise ConfigError(f"--learner {learner} must be one of: {', '.join(WHEN)}.")
    if "--serve" in words:
        from agentrl.inspector.server import serve

        serve(past, learner=learner, device=words.get("--device"), port=step_number(words.get("--port", "8777")))
        return 0
    steps = [step_number(words["--step"])] if "--step" in words else past.steps
    out = Path(words.get("--out", past.path / "inspect.html"))
    with writing(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        count = inspect_run(past, steps, out, learner=learner, device=words.get("--device"))
    size = out.stat().st_size / 1e6
    print(f"{count} episodes of {len(steps)} steps: {out} ({size:.1f} MB)")
    return 0


def inspect_run(
    past: Past, steps: Sequence[int], out: Path, *, learner: str = "auto", device: str | None = None
) -> int:
    """Write the page of some steps of a run; returns the number of episodes."""
    ids: set[int] = set()
    count = 0
    told = sys.stderr.isatty()

    def records() -> Iterator[StepRecord]:
        nonlocal count
        for n, step in enumerate(steps, 1):
            record = record_of(past, step, learner=learner, device=device)
            ids.update(record.ids)
            count += len(record.episodes)
            if told:
                print(f"\rstep {step}, {n} of {len(steps)}", end="\n" if n == len(steps) else "", file=sys.stderr)
            yield record

    write_page(past, records(), lambda: vocabulary(decoder(past), ids), out)
    return count
