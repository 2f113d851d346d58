"""Policies that are no model: ``random``, ``expert``, ``noisy``, or a function in a file.

A text policy is ``policy(env, observation, rng) -> str``: what it says, or its calls in the form of
`agentrl.tool.encode_calls`. It runs in the environment's thread and may look at all of the environment (its admissible
actions, its tools). A class is made anew for each episode, so that it may remember what it saw::

    class Careful:
        def __call__(self, env, observation, rng):
            return "search[red kettle]"

    agentrl eval --env webshop --model ./careful.py:Careful
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from agentrl.env import TextEnv
from agentrl.errors import ConfigError, UnknownName
from agentrl.registry import import_file

TextPolicy = Callable[[TextEnv, str, np.random.Generator], str]
"""``policy(env, observation, rng)`` gives what to say."""


def expert_policy(env: TextEnv, observation: str, rng: np.random.Generator) -> str:
    """The environment's own oracle.

    Raises:
        ConfigError: it has none.
    """
    return _has(env.expert())


def noisy_policy(env: TextEnv, observation: str, rng: np.random.Generator) -> str:
    """The environment's fallible demonstrator, which warm-up imitates.

    Raises:
        ConfigError: it has none.
    """
    return _has(env.noisy_expert(rng))


def random_policy(env: TextEnv, observation: str, rng: np.random.Generator) -> str:
    """A uniformly random admissible action; blanks in angle brackets are filled with words of the observation.

    Raises:
        ConfigError: the environment does not list its actions.
    """
    actions = env.admissible()
    if not actions:
        raise ConfigError("The random policy needs an environment that lists its actions (admissible() gives none).")
    words = re.findall(r"\w+", observation) or ["x"]
    return re.sub(r"<[^<>]+>", lambda _: str(rng.choice(words)), str(rng.choice(actions)))


TEXT_POLICIES: dict[str, TextPolicy] = {"expert": expert_policy, "noisy": noisy_policy, "random": random_policy}


def text_policy(name: str) -> Callable[[], TextPolicy] | None:
    """What makes a text policy for an episode, or None where the name is that of a model.

    Raises:
        ConfigError: the file does not exist, or what it holds cannot be called.
        UnknownName: it has nothing of this name.
    """
    if name in TEXT_POLICIES:
        return lambda: TEXT_POLICIES[name]
    file, _, inside = name.rpartition(":")
    if not file.endswith(".py"):
        return None
    path = Path(file)
    if not path.is_file():
        raise ConfigError(f"There is no file '{file}' with the policy '{inside}'.")
    try:
        module = import_file(path)
    except Exception as error:
        raise ConfigError(f"Importing the policy's file '{file}' failed: {type(error).__name__}: {error}") from error
    found = getattr(module, inside, None)
    if found is None:
        raise UnknownName(f"policy in {path.name}", inside, [n for n, v in vars(module).items() if callable(v)])
    make: Callable[[], Any] = found if isinstance(found, type) else lambda: found
    if not callable(make()):
        raise ConfigError(f"'{name}' cannot be called; a policy is a function (env, observation, rng) -> str.")
    return make


def _has(said: str | None) -> str:
    if said is None:
        raise ConfigError("This environment has no expert (expert() gives None).")
    return said
