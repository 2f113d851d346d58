"""Checking settings by name, and opening the source of tasks that they ask for."""

from __future__ import annotations

from agentrl.envs.tools.files import Filed
from agentrl.envs.tools.prompts import CONTRACTS
from agentrl.envs.tools.scoring import REWARDS
from agentrl.envs.tools.sources import SPLITS, Generated, Source
from agentrl.errors import ConfigError, UnknownName
from agentrl.sandboxes.backends import NAMES


def check_names(prompt: str, reward: str | None, split: str, sandbox: str) -> None:
    """Raises UnknownName for what is not known, and ConfigError for what does not go together."""
    for name, value, known in (
        ("prompt contract", prompt, CONTRACTS),
        ("reward", reward or "em", REWARDS),
        ("split", split, SPLITS),
    ):
        if value not in known:
            raise UnknownName(name, value, known)
    if sandbox not in NAMES and not sandbox.startswith(("http://", "https://")):
        raise UnknownName("sandbox backend", sandbox, NAMES)
    if reward in ("arpo", "tapo") and prompt != reward:
        raise ConfigError(
            f"env.reward={reward} judges the form of --env.prompt {reward}; take both, or another reward."
        )


def open_source(data: str | None, corpus: str | None, level: int, world: int, split: str, tasks: str) -> Source:
    """Tasks of files where ``data`` names some, else generated ones.

    Raises:
        UnknownName: a level or kind is not known.
        ConfigError: there are no such tasks, or a corpus is given for the generated world.
        DataError: a file is missing or broken.
    """
    if data is not None:
        return Filed(data, corpus, split, tasks)
    if corpus is not None:
        raise ConfigError("The generated tasks are about a corpus of their own: give --env.data with --env.corpus.")
    return Generated(level, world, split, tasks)
