"""Prompt contracts: how the policy is told what to do, and how it writes code and answers.

plain       short tags: <python>6 * 7</python>, <result>42</result>, <answer>42</answer>
functions   calls of the tool ``python``; anything else that is said is the answer
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentrl.envs.python.expert import Move
from agentrl.tags import Tags
from agentrl.tool import ToolCall, encode_calls

_OPENING = re.compile(r"\s*```[ \t]*(?:python3?|py)?[ \t]*\r?\n?", re.IGNORECASE)


@dataclass(frozen=True)
class Contract:
    """How a policy and the environment speak to each other."""

    instructions: str
    """The system message."""
    tags: Tags | None
    """None for function calls."""

    def write(self, move: Move) -> str:
        """A move as a policy writes it."""
        if self.tags is None:
            return encode_calls([ToolCall("python", {"code": move.text})]) if move.is_code else move.text
        name = "python" if move.is_code else self.tags.answer
        return f"<{name}>{move.text}</{name}>"


CONTRACTS: dict[str, Contract] = {
    "plain": Contract(
        "Answer the question. Compute: <python>code</python>. Then answer: <answer>words</answer>.",
        Tags({"python": "python"}, result="result"),
    ),
    "functions": Contract(
        "Answer the question. Compute with the tool python; names stay for its next call. Then write the answer alone: "
        "a number, a few words, a formula in LaTeX, or, where code is asked for, the whole code.",
        None,
    ),
}
"""By the setting ``prompt``."""


def bare_code(text: str) -> str:
    r"""Code without the fence that models like to put around it.

    >>> bare_code("```python\n6 * 7\n```"), bare_code("6 * 7")
    ('6 * 7', '6 * 7')
    """
    opening = _OPENING.match(text) if "```" in text else None
    if opening is None:
        return text
    body, fence, rest = text[opening.end() :].rpartition("```")
    return body.rstrip() if fence and not rest.strip() else text[opening.end() :]
