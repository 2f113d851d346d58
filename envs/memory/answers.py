"""Several answers in one text: ``Cedar Bay; 1950; yes``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentrl.envs.memory.cases import Asked
from agentrl.rewards.text import exact_match

BETWEEN = "; "
"""What stands between answers."""


def join(answers: Sequence[str]) -> str:
    """Answers as one text; a semicolon inside of one becomes a comma.

    >>> join(["Cedar Bay", "Stop; go"])
    'Cedar Bay; Stop, go'
    """
    return BETWEEN.join(answer.replace(";", ",") for answer in answers)


def split(text: str) -> list[str]:
    """The inverse of `join`; numbers in front are taken off, as long as they count on from 1.

    >>> split("1. Cedar Bay; 2) 1950;yes")
    ['Cedar Bay', '1950', 'yes']
    """
    parts = text.split(";")
    return [re.sub(rf"^\s*{n}[.)]\s+(?=\S)", "", part, count=1).strip() for n, part in enumerate(parts, 1)]


def right(text: str, questions: Sequence[Asked]) -> list[bool] | None:
    """Which questions are answered exactly (after normalisation); None where there is not one answer for each."""
    if text.count(";") != len(questions) - 1:
        return None
    return [exact_match(part, list(question.answers)) for part, question in zip(split(text), questions, strict=True)]
