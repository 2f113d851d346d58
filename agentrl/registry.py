"""Environments by name, lazily: a name stands for ``"module:Class"`` and nothing is imported until it is made.

Names come from three places: this table, installed packages (entry-point group ``agentrl.envs``)
and paths (``./my_env.py:MyEnv`` or ``my_package.module:MyEnv``). Every registered environment is
also known to Gymnasium once agentrl is imported: ``gymnasium.make("agentrl/WebShop-v0")``.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium

from agentrl.env import TextEnv
from agentrl.errors import AgentRLError, ConfigError, EnvError, UnknownName


@dataclass(frozen=True)
class EnvSpec:
    """How to make an environment."""

    name: str
    entry_point: str
    about: str = ""
    kwargs: dict[str, Any] = field(default_factory=dict)
    gymnasium_id: str = ""

    def load(self) -> type[TextEnv]:
        """Import the class.

        Raises:
            ConfigError: the module or class is missing, fails to import, or is no `TextEnv`.
        """
        module_name, _, class_name = self.entry_point.partition(":")
        path = Path(module_name)
        is_file = module_name.endswith(".py")
        if is_file and not path.is_file():
            raise ConfigError(f"Environment file '{module_name}' does not exist.")
        try:
            module = import_file(path) if is_file else importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise ConfigError(f"Environment '{self.name}': no module named '{error.name}'.") from error
        except Exception as error:
            raise ConfigError(f"Environment '{self.name}': importing {module_name} failed: {error!r}") from error
        found = getattr(module, class_name, None)
        if found is None:
            known = [n for n, v in vars(module).items() if inspect.isclass(v) and issubclass(v, TextEnv)]
            raise UnknownName("environment class", class_name, [n for n in known if n != "TextEnv"])
        if not (inspect.isclass(found) and issubclass(found, TextEnv)):
            raise ConfigError(f"'{self.entry_point}' is not a subclass of agentrl.env.TextEnv.")
        return found


_BUILTIN = (
    EnvSpec(
        "webshop",
        "agentrl.envs.webshop:WebShop",
        "Shopping by search, pages and options: the WebShop benchmark, native, or a generated shop.",
        gymnasium_id="agentrl/WebShop-v0",
    ),
    EnvSpec(
        "household",
        "agentrl.envs.household:Household",
        "Chores in a house by text: ALFWorld, native, on generated houses or the real games.",
        gymnasium_id="agentrl/Household-v0",
    ),
    EnvSpec(
        "search",
        "agentrl.envs.search:Search",
        "Multi-hop question answering by searching: a generated encyclopedia, or files of questions and any corpus.",
        gymnasium_id="agentrl/Search-v0",
    ),
    EnvSpec(
        "python",
        "agentrl.envs.python:Python",
        "Questions that need computing, with a Python session in a sandbox: generated, mathematical, or coding tasks.",
        gymnasium_id="agentrl/Python-v0",
    ),
    EnvSpec(
        "tools",
        "agentrl.envs.tools:Tools",
        "Questions that take a search engine and Python: ARPO's, AEPO's and TAPO's prompts, rewards and budgets.",
        gymnasium_id="agentrl/Tools-v0",
    ),
    EnvSpec(
        "memory",
        "agentrl.envs.memory:Memory",
        "More to read than the context holds: several questions at once by searching, long logs, inventories.",
        gymnasium_id="agentrl/Memory-v0",
    ),
    EnvSpec(
        "gui",
        "agentrl.envs.gui:Gui",
        "A phone by its screens: mail, calendar, shop and other apps as numbered widgets, with state-based goals.",
        gymnasium_id="agentrl/Gui-v0",
    ),
    EnvSpec(
        "gui-browser",
        "agentrl.envs.gui.browser:GuiBrowser",
        "The tasks of gui on pages in headless Chromium, by mouse, keyboard and accessibility tree.",
        gymnasium_id="agentrl/GuiBrowser-v0",
    ),
    EnvSpec(
        "miniwob",
        "agentrl.envs.gui.browser:MiniWob",
        "Small tasks on web pages: MiniWoB++ in headless Chromium.",
        gymnasium_id="agentrl/MiniWob-v0",
    ),
)
_specs: dict[str, EnvSpec] = {}


def register(name: str, entry_point: str, *, about: str = "", **kwargs: Any) -> None:
    """Register an environment under a name for this process; ``kwargs`` are constructor defaults."""
    _add(EnvSpec(name, entry_point, about, kwargs, f"agentrl/{name}-v0"))


def specs() -> dict[str, EnvSpec]:
    """All registered environments by name, those of installed packages included."""
    known = dict(_specs)
    for point in entry_points(group="agentrl.envs"):
        known.setdefault(point.name, EnvSpec(point.name, point.value, f"from {point.value}"))
    return known


def spec(name: str) -> EnvSpec:
    """Find an environment by name or by ``path:Class``.

    Raises:
        UnknownName: no such name; the message offers the nearest.
    """
    if is_mixture(name):
        members(name)
        return EnvSpec(name, "agentrl.mixture:Mixture", "Several environments as one.", {"names": name})
    if ":" in name:
        return EnvSpec(name, name)
    known = specs()
    if name not in known:
        raise UnknownName("environment", name, known, "A file works too: --env ./my_env.py:MyEnv")
    return known[name]


def is_mixture(name: str) -> bool:
    """Whether a name stands for several environments (``webshop,household`` or ``easy=webshop,hard=webshop``)."""
    return "," in name or "=" in name


def members(name: str) -> dict[str, str]:
    """The environments that a name stands for, by what they are called in it.

    >>> members("webshop"), members("easy=webshop,hard=webshop")
    ({'webshop': 'webshop'}, {'easy': 'webshop', 'hard': 'webshop'})

    Raises:
        UnknownName: no such environment.
        ConfigError: an empty name, or one that is used twice.
    """
    if not is_mixture(name):
        return {name: spec(name).name}
    found: dict[str, str] = {}
    for part in name.split(","):
        alias, _, env = part.strip().rpartition("=")
        alias = (alias or (Path(env).stem if ":" in env else env)).strip()
        if not alias or not env:
            raise ConfigError(f"'{name}' has an empty part; write a mixture as webshop,household or easy=webshop,...")
        if alias in found:
            raise ConfigError(
                f"'{name}' has two members called '{alias}'; call them differently: first={env},second={env}"
            )
        found[alias] = spec(env).name
    return found


def accepted_kwargs(cls: type[TextEnv]) -> dict[str, inspect.Parameter] | None:
    """Constructor parameters by name, or None where the constructor takes any (``**kwargs``)."""
    parameters = dict(inspect.signature(cls).parameters)
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return None
    return parameters


def make(name: str, *, split: str = "train", **kwargs: Any) -> TextEnv:
    """Make an environment.

    Args:
        name: A registered name or ``path:Class``.
        split: Passed on where the constructor has a parameter of that name. (Training and evaluation
            never share a seed in any case, see `agentrl.env.EVAL_SEED_BASE`.)
        **kwargs: Constructor arguments.

    Raises:
        UnknownName: unknown environment, split or constructor argument.
        EnvError: the constructor failed.
    """
    found = spec(name)
    cls = found.load()
    arguments = {**found.kwargs, **kwargs}
    accepted = accepted_kwargs(cls)
    if accepted is None or "split" in accepted:
        if split not in cls.splits:
            raise UnknownName("split", split, cls.splits)
        arguments["split"] = split
    if accepted is not None:
        for key in arguments:
            if key not in accepted:
                raise UnknownName(f"setting of environment '{name}'", f"env.{key}", [f"env.{k}" for k in accepted])
        missing = [k for k, p in accepted.items() if k not in arguments and _required(p)]
        if missing:
            raise ConfigError(f"Environment '{name}' needs {', '.join(missing)}: give --env.{missing[0]} VALUE.")
    try:
        return cls(**arguments)
    except AgentRLError:
        raise
    except Exception as error:
        raise EnvError(f"Environment '{name}' cannot be made: {type(error).__name__}: {error}") from error


def _required(parameter: inspect.Parameter) -> bool:
    variadic = parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and not variadic


def _add(one: EnvSpec) -> None:
    _specs[one.name] = one
    gymnasium.register(id=one.gymnasium_id, entry_point=one.entry_point, kwargs=dict(one.kwargs))


def import_file(path: Path) -> ModuleType:
    """Import a file under a name of its own, once per path."""
    full = path.resolve()
    name = f"agentrl_user_{full.stem}_{hashlib.blake2b(str(full).encode(), digest_size=4).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, full)
    if found is None or found.loader is None:
        raise ConfigError(f"'{path}' cannot be imported as Python.")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


for _one in _BUILTIN:
    _add(_one)
