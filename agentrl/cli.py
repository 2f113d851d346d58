"""The command ``agentrl``: finds the subcommand, runs it, and turns what goes wrong into one clear message.

Subcommands are imported when they are called, so that ``agentrl envs list`` loads no model library.

Exit status: 0 done; 1 something broke, or a check failed; 2 the input was wrong; 130 interrupted.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agentrl.errors import AgentRLError, UnknownName


class Command(NamedTuple):
    """A subcommand: where its ``main(argv) -> int | None`` is, and a sentence."""

    entry: str
    about: str


COMMANDS = {
    "train": Command("agentrl.training.command:main", "Train a policy on an environment."),
    "eval": Command("agentrl.evaluation.command:main", "Evaluate a policy on held-out tasks."),
    "serve-vllm": Command("agentrl.engines.serve_vllm:main", "Serve a model by vLLM, ready for training."),
    "compare": Command("agentrl.evaluation.compare:main", "Compare two evaluations, task by task."),
    "inspect": Command("agentrl.inspector.command:main", "See what happened in a run, in a page of its own."),
    "explain": Command("agentrl.inspector.explain:main", "Tell how the advantage of each turn came about."),
    "replay": Command("agentrl.inspector.replay:main", "Take a step of a run again and say what differs."),
    "envs": Command("agentrl.listing:envs", "List, show, check and create environments."),
    "algos": Command("agentrl.listing:algos", "List and show algorithms."),
    "sandbox": Command("agentrl.sandboxes.command:main", "Run code in a sandbox; say which kinds work here."),
    "play": Command("agentrl.play:main", "Play an environment yourself, in the terminal."),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the program; returns the exit status."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads of torch must not starve environments
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [w for w in words if w != "--debug"]
    try:
        status = run(words)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has left, as in `agentrl envs list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if debug:
            traceback.print_exc()
            return 2 if isinstance(error, AgentRLError) else 1
        return complain(error)


def run(words: Sequence[str]) -> int:
    """Run a command line without the program's name.

    Raises:
        UnknownName: there is no such subcommand.
    """
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if words[0] == "--version":
        from agentrl import __version__

        print(f"agentrl {__version__}")
        return 0
    if words[0] not in COMMANDS:
        raise UnknownName("command", words[0], COMMANDS, "See agentrl --help.")
    return find(COMMANDS[words[0]].entry)(words[1:]) or 0


def find(entry: str) -> Callable[[Sequence[str]], int | None]:
    """Import a subcommand's function from ``module:name``."""
    module, _, name = entry.partition(":")
    function: Callable[[Sequence[str]], int | None] = getattr(importlib.import_module(module), name)
    return function


def usage() -> str:
    """The text of ``agentrl --help``."""
    rows = "\n".join(f"  {name:<10} {command.about}" for name, command in COMMANDS.items())
    return (
        "usage: agentrl COMMAND [ARGUMENTS]     (agentrl COMMAND --help tells more)\n\n"
        f"{rows}\n\n"
        "  --version  print the version\n"
        "  --debug    show the traceback of an error\n\n"
        "Start with: agentrl train --env webshop"
    )


def complain(error: Exception) -> int:
    """Tell on stderr what went wrong; returns the exit status."""
    if isinstance(error, AgentRLError):
        print(f"error: {error}", file=sys.stderr)
        return 2
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing '{error.filename}'" if error.filename else ""
        print(f"error: The disk is full{where}. What was written before is whole; free some space.", file=sys.stderr)
        return 2
    line = " ".join(f"{type(error).__name__}: {error}".split())
    print(f"agentrl broke: {line[:500]}. Run again with --debug for the traceback.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
