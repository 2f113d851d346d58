"""How the policy is told what to do, and how it writes what it does.

plain      short tags: <search>Ada Kemp</search> or <read>3</read>, <answer>Cedar Bay; yes</answer>
functions  calls of the tool ``search`` or ``read``; anything else that is said is the answers

The tool that edits the context is no matter of the environment: the context ``memory`` brings it.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentrl.envs.memory.answers import join
from agentrl.envs.memory.cases import Move
from agentrl.tags import Tags
from agentrl.tool import ToolCall, encode_calls

FORMS = ("plain", "functions")
"""By the setting ``prompt``."""
_ALL = "answer all questions at once, in their order"
_TASKS = {
    "objectives": "Answer several questions. Search as often as needed{search}. Then {all}{answer}.",
    "log": "Read a log page by page{read}, and {all}{answer}.",
    "inventory": "Read page by page{read} what became of things; no page can be read twice. "
    "Questions follow the last page; {all}{answer}.",
}


@dataclass(frozen=True)
class Form:
    """How a policy and the environment speak to each other."""

    task: str
    """Name of the task."""
    tool: str
    """Name of the tool, and of its tag."""
    argument: str
    """What the tool's first argument is called."""
    tags: Tags | None
    """None for function calls."""

    @property
    def instructions(self) -> str:
        """The system message."""
        if self.tags is None:
            how = {"search": " (call search)", "read": " (call read)", "answer": ", alone, separated by semicolons"}
        else:
            how = {
                "search": ": <search>words</search>",
                "read": " (<read>1</read>)",
                "answer": ": <answer>first; second</answer>",
            }
        return _TASKS[self.task].format(all=_ALL, **how)

    def write(self, move: Move) -> str:
        """A move as a policy writes it."""
        if move.answers:
            said = join(move.answers)
            return said if self.tags is None else f"<answer>{said}</answer>"
        if self.tags is not None:
            return f"<{self.tool}>{move.look}</{self.tool}>"
        value = int(move.look) if self.argument == "page" else move.look
        return encode_calls([ToolCall(self.tool, {self.argument: value})])


def form(prompt: str, task: str) -> Form:
    """The form of a task's moves; ``prompt`` is one of `FORMS`."""
    tool, argument = ("search", "query") if task == "objectives" else ("read", "page")
    return Form(task, tool, argument, Tags({tool: tool}) if prompt == "plain" else None)
