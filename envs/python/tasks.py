"""What a task is: a question, how its answer is judged, and what its demonstrator does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentrl.envs.python.cases import Tests

Rule = Literal["plain", "math", "tests"]
"""How an answer is judged: as a number or a text (`answers`), as mathematics (`verifier`), or as code (`grading`)."""


@dataclass(frozen=True)
class Task:
    """A question. Immutable; nothing but `question` and `files` is ever shown to the policy or its sandbox."""

    kind: str
    """What sort of task it is (info's ``task_type``)."""
    question: str
    """The first observation, but for what the prompt contract puts around it."""
    answer: str = ""
    """The right answer; for the rule ``tests`` a solution, empty where none is known."""
    rule: Rule = "plain"
    """How answers are judged."""
    code: str = ""
    """The cell that gives the answer; empty where none is known or needed."""
    look: str = ""
    """A cell that a demonstrator runs before it, to see the data."""
    slips: tuple[str, ...] = ()
    """Cells (for the rule ``tests``: solutions) of one who misread the question."""
    tricky: bool = False
    """Whether most of those who misread it misread it in the same way: the first of its slips."""
    guesses: tuple[str, ...] = ()
    """Answers of one who did not compute."""
    files: tuple[tuple[str, bytes], ...] = ()
    """Files that lie in the work folder from the start: name and content."""
    tests: Tests | None = None
    """What a solution is held to, for the rule ``tests``."""
    key: str = ""
    """What tells a generated task from others, by which it is for training or for evaluation."""
