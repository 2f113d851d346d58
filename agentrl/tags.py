"""Actions as tags in text: ``<search>capital of France</search>`` calls a tool, ``<answer>Paris</answer>`` answers.

So write the policies of Search-R1 (arXiv 2503.09516), ARPO (2507.19849) and TAPO (2510.07038), each with its own
names. A reply is one action: exactly one pair of known tags, with any text around it. What stands in
``<think>...</think>`` is no action, whatever it quotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agentrl.rewards.text import replaced


class Action(NamedTuple):
    """What a reply asks for: one of a call, an answer, or a problem."""

    tool: str = ""
    """The tool that is called."""
    content: str = ""
    """What stands between the tags, without the white space around it."""
    problem: str = ""
    """Why the reply is no action, for the policy to read."""


@dataclass(frozen=True)
class Tags:
    """The names of the tags.

    >>> tags = Tags({"search": "search", "code": "python"})
    >>> tags.read("Let me see. <code>6 * 7</code>")
    Action(tool='python', content='6 * 7', problem='')
    >>> tags.read("<answer>42</answer>"), tags.show("42")
    (Action(tool='', content='42', problem=''), '<information>42</information>')
    """

    tools: Mapping[str, str] = field(default_factory=dict)
    """Tag -> the tool that it calls; what stands in it is the tool's first argument."""
    answer: str = "answer"
    """Tag of the final answer."""
    result: str = "information"
    """Tag that is put around what a tool returns."""

    def read(self, text: str) -> Action:
        """The action of a reply, in linear time. Never raises."""
        acted = replaced(text, "think")
        found = [name for name in (*self.tools, self.answer) for _ in range(acted.count(f"<{name}>"))]
        if len(found) != 1:
            several = f"Several actions ({', '.join(f'<{name}>' for name in found[:4])}) in one reply"
            return Action(problem=f"{several if found else 'No action'}. Write exactly one of {self.listed()}.")
        name = found[0]
        start = acted.index(f"<{name}>") + len(name) + 2
        end = acted.find(f"</{name}>", start)
        if end < 0:
            return Action(problem=f"<{name}> is not closed. Write {self.pair(name)}.")
        content = acted[start:end].strip()
        if not content:
            return Action(problem=f"<{name}> is empty. Write {self.pair(name)}.")
        return Action("" if name == self.answer else self.tools[name], content)

    def show(self, result: str) -> str:
        """A tool's result as the policy reads it; it cannot close its own tag."""
        return f"<{self.result}>{result.replace(f'</{self.result}>', f'</ {self.result}>')}</{self.result}>"

    def listed(self) -> str:
        """All tags, for messages to the policy."""
        return ", ".join(self.pair(name) for name in (*self.tools, self.answer))

    @staticmethod
    def pair(name: str) -> str:
        """A tag as one writes it."""
        return f"<{name}>...</{name}>"
