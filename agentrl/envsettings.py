"""The ``env`` section of every command: a name, and the environment's own constructor arguments.

``--env webshop --env.level 2`` becomes ``registry.make("webshop", level=2)``. Keys, types, defaults
and sentences come from the constructor's signature and docstring (Google style), so that ``--help``
shows them and a wrong key or value is an error before anything starts.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict

from agentrl import registry
from agentrl.env import TextEnv
from agentrl.mixture import member_shares
from agentrl.settings import ANYTHING, REQUIRED, Section, Setting
from agentrl.tool import read_docstring


class EnvSettings(Section):
    """Which environment, and how it is made. Further keys are its constructor's."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)
    bare: ClassVar[str] = "name"

    name: str = "webshop"
    """A registered environment (`agentrl envs list`), a file and class (./my_env.py:MyEnv), or several with commas."""

    @classmethod
    def free_keys(cls, values: Mapping[str, Any]) -> Mapping[str, Setting] | None:
        return env_keys(str(values["name"]))

    @property
    def shares(self) -> dict[str, float]:
        """The members of a mixture and their shares of the tasks; empty for one environment alone."""
        if not registry.is_mixture(self.name):
            return {}
        return member_shares(list(registry.members(self.name)), self.kwargs.get("weights"))

    @property
    def demonstrations(self) -> tuple[int, int]:
        """Demonstrations that the embedded policy needs, and passes over them; for a mixture those of its members."""
        found = [registry.spec(name).load().demonstrations for name in registry.members(self.name).values()]
        return sum(episodes for episodes, _ in found), max(passes for _, passes in found)

    @property
    def reading_weight(self) -> float:
        """`TextEnv.reading_weight`; for a mixture the largest of its members."""
        return max(registry.spec(name).load().reading_weight for name in registry.members(self.name).values())

    @property
    def kwargs(self) -> dict[str, Any]:
        """The environment's own settings as given."""
        return dict(self.model_extra or {})

    def make(self, *, split: str = "train") -> TextEnv:
        """Make the environment.

        Raises:
            UnknownName: unknown environment, split or setting.
        """
        return registry.make(self.name, split=split, **self.kwargs)


def env_keys(name: str) -> dict[str, Setting] | None:
    """The settings an environment's constructor takes, or None where it takes any (``**kwargs``).

    ``split`` is not among them: the commands set it.

    Raises:
        UnknownName: there is no such environment.
    """
    if registry.is_mixture(name):
        return _mixture_keys(name)
    spec = registry.spec(name)
    cls = spec.load()
    if registry.accepted_kwargs(cls) is None:
        return None
    docs = {**read_docstring(cls)[1], **read_docstring(cls.__init__)[1]}
    found = {}
    for key, parameter in _parameters(cls).items():
        if key == "split":
            continue
        empty = inspect.Parameter.empty
        kind = ANYTHING if parameter.annotation is empty else parameter.annotation
        default = REQUIRED if parameter.default is empty else parameter.default
        found[key] = Setting(key, kind, spec.kwargs.get(key, default), docs.get(key, ""))
    return found


def _mixture_keys(name: str) -> dict[str, Setting]:
    """The weights, and each member's settings behind its name; settings of a member that takes any are left out."""
    found = {"weights": Setting("weights", list[float] | None, None, "How many tasks each member gets, relatively.")}
    for member, env in registry.members(name).items():
        for key, one in (env_keys(env) or {}).items():
            found[f"{member}.{key}"] = Setting(f"{member}.{key}", one.kind, one.default, one.about)
    return found


def _parameters(cls: type[TextEnv]) -> dict[str, inspect.Parameter]:
    """Constructor parameters with annotations resolved where they can be."""
    try:
        return dict(inspect.signature(cls, eval_str=True).parameters)
    except (NameError, TypeError):  # a name known to the type checker only
        unknown = inspect.signature(cls).parameters.items()
        return {k: p.replace(annotation=inspect.Parameter.empty) for k, p in unknown}
