"""``agentrl train``: read the configuration, say what will happen, train; Ctrl-C saves and leaves."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentrl.config import Config
from agentrl.errors import ConfigError
from agentrl.settings import asks_help, help_text, load

if TYPE_CHECKING:
    from agentrl.training.world import World

USAGE = """usage: agentrl train [--env NAME] [--model NAME] [--algo NAME] [--KEY VALUE ...]
       agentrl train --resume RUN_DIRECTORY
       agentrl train --config FILE.toml

Train an agent. Everything has a default: `agentrl train` alone trains the
embedded policy on a generated shop.

  --config FILE.toml   read settings from a file; flags win over it
  --resume DIR         continue a run (other settings come from the run itself;
                       train.steps may be raised)
  --dry-run            print the resolved plan and what it will cost, then stop
  --processes N        N processes on this machine, each with a GPU where there
                       are some; several machines: torchrun or accelerate launch
                       with -m agentrl.cli train ...
"""


def main(argv: Sequence[str]) -> int:
    """Entry point of the subcommand. Returns the exit status."""
    words = list(argv)
    if asks_help(words):
        print(USAGE + "\n" + help_text(Config, words))
        return 0
    resumed = _take_value(words, "--resume", "runs/last")
    dry = _take_flag(words, "--dry-run")
    processes = _number(_take_value(words, "--processes", "4"))
    if resumed is not None:
        path = Path(resumed)
        from agentrl.run import read_config

        read_config(path)  # says so if this is no run
        config = load(Config, words, toml=path / "config.toml")
    else:
        path = Path()
        config = load(Config, words)
    config = _with_directory(config.resolved(), path if resumed else None)
    if dry:
        from agentrl.training.plan import describe

        print(describe(config, processes))
        return 0
    if processes > 1 and "RANK" not in os.environ:
        from agentrl.training.launch import launch

        again = ["--resume", str(path)] if resumed else ["--run.dir", str(config.run.dir)]
        return launch([*words, *again], processes, path if resumed else Path(str(config.run.dir)))
    return _run(config, resumed=path if resumed else None)


def _run(config: Config, *, resumed: Path | None) -> int:
    _prepare_libraries()
    from agentrl.training.launch import end_with_parent
    from agentrl.training.world import PeerError, open_world

    end_with_parent()

    world = open_world(parallel=config.train.parallel, deadline=config.train.peer_deadline)
    try:
        status = _train(config, resumed, world)
        world.close()
        return status
    except PeerError as error:
        if world.leads and not error.said:
            raise
        return 2


def _train(config: Config, resumed: Path | None, world: World) -> int:
    from agentrl.training.display import Display
    from agentrl.training.opening import resume, start

    display = Display(silent=not world.leads)
    config = world.first(lambda: config)  # the directory's name has the time in it
    if world.size > 1:
        _remember_ctrl_c(world)
    started = time.monotonic()
    trainer = resume(resumed, config, display, world) if resumed else start(config, display, world)
    display.say(f"run directory: {trainer.run.path}")
    status = 0
    try:
        trainer.train()
    except KeyboardInterrupt:
        display.finish()
        display.say("stopped; saving")
        trainer.save()
        status = 130
    finally:
        display.finish()
        trainer.close()
    display.say(f"{'stopped' if status else 'finished'} after {time.monotonic() - started:.0f} s: {trainer.run.path}")
    again = f"agentrl train --resume {trainer.run.path}" if status else f"agentrl eval --model {trainer.run.path}"
    display.say(f"next: {again}")
    return status


def _remember_ctrl_c(world: World) -> None:
    """The first one stops all processes after this step, a second one at once."""

    def pressed(number: int, frame: object) -> None:
        signal.signal(number, signal.default_int_handler)
        world.stopping = True
        if world.leads:
            print("stopping after this step (again: at once)", file=sys.stderr)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pressed)


def _number(given: str | None) -> int:
    if given is None:
        return 1
    if not given.isdigit() or int(given) < 1:
        raise ConfigError(f"--processes {given} must be a number of 1 or more.")
    return int(given)


def _prepare_libraries() -> None:
    """Use all cores unless the user says otherwise."""
    import torch

    from agentrl.models import quiet_libraries

    quiet_libraries()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, os.cpu_count() or 1))


def _with_directory(config: Config, path: Path | None) -> Config:
    chosen = path or config.run.dir
    if chosen is None:
        stem = config.env.name.rpartition(":")[2].lower()
        chosen = Path("runs") / f"{stem}-{config.algo.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    return config.model_copy(update={"run": config.run.model_copy(update={"dir": chosen})})


def _take_value(words: list[str], flag: str, example: str) -> str | None:
    """Remove ``flag VALUE`` or ``flag=VALUE`` and return the value."""
    for i, word in enumerate(words):
        if word == flag:
            if i + 1 >= len(words) or words[i + 1].startswith("--"):
                raise ConfigError(f"{flag} needs a value: {flag} {example}")
            value = words[i + 1]
            del words[i : i + 2]
            return value
        if word.startswith(flag + "="):
            del words[i]
            return word.partition("=")[2]
    return None


def _take_flag(words: list[str], flag: str) -> bool:
    if flag in words:
        words.remove(flag)
        return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
