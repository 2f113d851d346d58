"""Tools: typed functions that the policy may call.

The JSON schema comes from the annotations, the descriptions from the docstring (Google style)::

    def search(query: str, topk: int = 3) -> str:
        '''Search the corpus.

        Args:
            query: What to look for.
            topk: How many passages to return.
        '''

`ToolError` is shown to the model. Any other exception is an infrastructure failure: the rollout
records it as such and the trajectory is left out of the loss.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from agentrl.env import StepResult, TextEnv
from agentrl.errors import ConfigError, ToolError
from agentrl.tags import Tags


@dataclass(frozen=True)
class ToolCall:
    """One call as the policy made it."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Tool:
    """A function with its JSON schema; build it with `Tool.of`."""

    name: str
    description: str
    function: Callable[..., Any]
    arguments: type[BaseModel]

    @classmethod
    def of(cls, function: Callable[..., Any], *, name: str | None = None) -> Tool:
        """Make a tool of a typed function.

        Raises:
            ConfigError: a parameter has no annotation, so that no schema can be made.
        """
        label = name or function.__name__
        summary, docs = read_docstring(function)
        fields: dict[str, Any] = {}
        for parameter in inspect.signature(function, eval_str=True).parameters.values():
            if parameter.annotation is inspect.Parameter.empty:
                raise ConfigError(f"Tool '{label}': annotate the parameter '{parameter.name}'.")
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[parameter.name] = (parameter.annotation, default)
        model: type[BaseModel] = create_model(label, __config__=ConfigDict(extra="forbid"), **fields)
        for key, text in docs.items():
            if key in model.model_fields:
                model.model_fields[key].description = text
        model.model_rebuild(force=True)
        return cls(label, summary, function, model)

    @property
    def schema(self) -> dict[str, Any]:
        """The tool in the function-calling form of OpenAI-compatible endpoints and chat templates."""
        parameters = self.arguments.model_json_schema()
        parameters.pop("title", None)
        for prop in parameters.get("properties", {}).values():
            prop.pop("title", None)
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}

    def __call__(self, arguments: dict[str, Any]) -> str:
        """Run with checked arguments.

        Raises:
            ToolError: the arguments do not fit the schema (or the tool says so itself).
        """
        result = self.function(**self.check(arguments))
        return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)

    def check(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Arguments as the function takes them.

        Raises:
            ToolError: they do not fit the schema.
        """
        try:
            checked = self.arguments.model_validate(arguments)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors())
            raise ToolError(f"{self.name}: {problems}") from error
        return {name: getattr(checked, name) for name in type(checked).model_fields}


def encode_calls(calls: Sequence[ToolCall]) -> str:
    """The text by which calls reach ``env.step``: ``[{"name": ..., "arguments": {...}}, ...]``."""
    return json.dumps([{"name": c.name, "arguments": c.arguments} for c in calls], ensure_ascii=False)


def decode_calls(text: str) -> list[ToolCall] | None:
    """The inverse of `encode_calls`; None where the text is not a list of calls."""
    if not text.lstrip().startswith("["):
        return None
    try:
        items = json.loads(text)
        calls = [ToolCall(item["name"], item["arguments"]) for item in items]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return calls if all(isinstance(call.name, str) for call in calls) else None


class ToolEnv(TextEnv):
    """An environment whose actions are calls of `functions`, and an answer.

    The policy writes them in one of two forms: as function calls (anything else that it says is its answer), or, where
    ``tags`` are given, as tags in text. Subclasses call `use` and write `answer`.
    """

    functions: dict[str, Tool]
    tags: Tags | None = None
    """The names of the tags; None for function calls."""

    def use(self, *functions: Callable[..., Any], tags: Tags | None = None) -> None:
        """Offer typed functions to the policy, by their schemas or, with ``tags``, by tags that the instructions name.

        Raises:
            ConfigError: a tag stands for a tool that is not among the functions.
        """
        made = [Tool.of(f) for f in functions]
        self.functions = {tool.name: tool for tool in made}
        self.tags = tags
        self.tools = [] if tags else [tool.schema for tool in made]
        if tags and (missing := set(tags.tools.values()) - set(self.functions)):
            raise ConfigError(f"Tags for {', '.join(sorted(missing))}, but the tools are {', '.join(self.functions)}.")

    def answer(self, text: str) -> StepResult:
        """Judge a final answer. Same result as ``step``."""
        raise ConfigError(f"{type(self).__name__} does not define answer(text).")

    def step(self, text: str) -> StepResult:
        if self.tags is None:
            calls = decode_calls(text)
            return self.answer(text) if calls is None else self.call(calls)
        action = self.tags.read(text)
        if action.problem:
            return action.problem, 0.0, False, False, {"valid": False, "tool_calls": 0, "tools": []}
        if not action.tool:
            return self.answer(action.content)
        first = next(iter(self.functions[action.tool].arguments.model_fields))
        shown, reward, terminated, truncated, info = self.call([ToolCall(action.tool, {first: action.content})])
        return self.tags.show(shown), reward, terminated, truncated, info

    def call(self, calls: Sequence[ToolCall]) -> StepResult:
        """Carry out calls, one after the other; ``info["tools"]`` names those that gave a result."""
        outputs, done = [], []
        for call in calls:
            try:
                tool = self.functions.get(call.name)
                if tool is None:
                    raise ToolError(f"There is no tool '{call.name}'. Tools: {', '.join(self.functions)}.")
                outputs.append(tool(call.arguments))
                done.append(call.name)
            except ToolError as error:
                outputs.append(f"Error: {error}")
        info = {"valid": len(done) == len(calls), "tool_calls": len(calls), "tools": done}
        return "\n".join(outputs), 0.0, False, False, info


def read_docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Split a Google-style docstring into its summary and the text of each argument."""
    text = inspect.getdoc(function) or ""
    head, _, tail = text.partition("\nArgs:")
    section = re.split(r"\n\S", tail, maxsplit=1)[0]
    found = re.findall(r"^\s+(\w+)(?:\s*\([^)]*\))?:\s*(.+(?:\n\s{6,}.+)*)", section, flags=re.MULTILINE)
    return " ".join(head.split()), {name: " ".join(value.split()) for name, value in found}
