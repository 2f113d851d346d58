"""Suites: named, versioned lists of environments with splits, seeds, limits and metrics.

Those that come along lie beside this file, in the form of a user's own (``--suite ./mine.toml``)::

    name = "mine"
    version = "1"
    about = "What it asks."
    comparable = "What its numbers may be put beside."
    metrics = ["success", "score"]
    needs = "the data, and where one gets them"       # where a setting below says {data}

    [[parts]]
    name = "shop"
    env = "webshop"
    settings = { level = 2, data = "{data}" }         # of the environment's constructor
    split = "eval"
    tasks = 200                                       # seeds from `first` on
    attempts = 4                                      # at each: gives pass@k and pass^k
    max_turns = 15

``{data}`` is what ``--data`` names. What a part leaves open (sampling, the context, deadlines) is the command's.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from agentrl import registry
from agentrl.env import EVAL_SEED_BASE
from agentrl.envsettings import EnvSettings
from agentrl.errors import ConfigError, DataError, UnknownName
from agentrl.sections import Section

HERE = Path(__file__).parent
DATA = "{data}"
Metric = Literal["success", "score", "reward", "turns", "tool_calls", "tokens", "tokens_read", "cost", "episode_s"]


class Part(Section):
    """One environment of a suite."""

    name: str
    """How tables call it; unique in the suite."""
    env: str
    """A registered environment, or a file and class."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The environment's own settings."""
    split: str = "eval"
    """Which tasks."""
    tasks: int
    """How many."""
    first: int = 0
    """Number of the first."""
    attempts: int = 1
    """At each task."""
    max_turns: int | None = None
    """Turns per episode; none: the environment's own limit."""
    max_new_tokens: int | None = None
    """Sampled tokens per turn; none: the command's."""
    token_budget: int | None = None
    """Sampled tokens per episode."""
    max_tool_calls: int | None = None
    """Tool calls per episode."""
    max_invalid: int | None = None
    """Invalid actions after which an episode is ended."""

    def env_settings(self) -> EnvSettings:
        """As the commands take them.

        Raises:
            ConfigError: a setting that the environment does not have.
        """
        return EnvSettings.model_validate({"name": self.env, **self.settings})

    def seed(self, task: int) -> int:
        """The environment's seed for a task."""
        return EVAL_SEED_BASE + task


class Suite(Section):
    """A list of parts, and what their numbers mean."""

    name: str
    version: str = "1"
    """Changes whenever numbers of before can no longer be compared."""
    about: str = ""
    """What it asks."""
    comparable: str = ""
    """What its numbers may be put beside."""
    needs: str = ""
    """The data it needs, and where one gets them; empty where it needs none."""
    metrics: tuple[Metric, ...] = ("success", "score")
    """What its table shows."""
    parts: list[Part]

    def with_data(self, data: Path | None) -> Suite:
        """Put a folder or file in the place of ``{data}``.

        Raises:
            DataError: the suite needs data, and none are given or they are not there.
        """
        if not any(DATA in str(part.settings) for part in self.parts):
            if data is not None:
                raise ConfigError(f"The suite '{self.name}' needs no data; leave --data out.")
            return self
        if data is None:
            raise DataError(f"The suite '{self.name}' needs data: {self.needs} Name them with --data PATH.")
        if not data.exists():
            raise DataError(f"There is nothing at --data {data}. The suite '{self.name}' needs: {self.needs}")
        parts = [p.model_copy(update={"settings": _filled(p.settings, str(data))}) for p in self.parts]
        return self.model_copy(update={"parts": parts})

    def limited(self, limit: int | None) -> Suite:
        """With the first ``limit`` tasks of each part only."""
        if limit is None:
            return self
        return self.model_copy(
            update={"parts": [p.model_copy(update={"tasks": min(p.tasks, limit)}) for p in self.parts]}
        )


def names() -> list[str]:
    """The suites that come along."""
    return sorted(path.stem for path in HERE.glob("*.toml"))


def load_suite(name: str) -> Suite:
    """A suite by name, or from a TOML file.

    Raises:
        UnknownName: no suite of this name, or a part names no environment that there is.
        DataError: the file is missing or broken; the message names it and what is wrong.
    """
    own = name.endswith(".toml")
    if not own and name not in names():
        raise UnknownName("suite", name, names(), "A file works too: --suite ./mine.toml")
    path = Path(name) if own else HERE / f"{name}.toml"
    try:
        suite = Suite.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"There is no suite file '{path}'.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"The suite '{path}' cannot be read: {error}") from None
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DataError(f"The suite '{path}' is not right: {told}") from None
    _check(suite, path)
    return suite


def _check(suite: Suite, path: Path) -> None:
    if not suite.parts:
        raise DataError(f"The suite '{path}' has no [[parts]].")
    called = [part.name for part in suite.parts]
    if twice := {name for name in called if called.count(name) > 1}:
        raise DataError(f"The suite '{path}' has two parts called {', '.join(sorted(twice))}.")
    for part in suite.parts:
        if min(part.tasks, part.attempts) < 1 or part.first < 0:
            raise DataError(f"The suite '{path}', part '{part.name}': tasks and attempts must be 1 or more, first 0.")
        registry.spec(part.env)


def _filled(value: Any, data: str) -> Any:
    if isinstance(value, str):
        return value.replace(DATA, data)
    if isinstance(value, dict):
        return {key: _filled(one, data) for key, one in value.items()}
    return [_filled(one, data) for one in value] if isinstance(value, list) else value
