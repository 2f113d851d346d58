"""What a task is: a question, what has to be looked up for it, and what has to be computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agentrl.envs.python import verifier
from agentrl.envs.python.answers import plainly_equal
from agentrl.envs.python.tasks import Task as Computing
from agentrl.envs.search.expert import plain
from agentrl.envs.search.questions import Question
from agentrl.rewards.text import exact_match


class Plan(NamedTuple):
    """What is computed from what was read."""

    code: str
    """``{0}``, ``{1}``, ... are the values, ``{n}`` is the number that the question names."""
    n: int
    values: tuple[int, ...]
    decoys: tuple[int, ...]
    """Numbers that one who did not look may take for them."""
    titles: tuple[str, ...]
    """Whose passages hold the values."""
    as_read: str = ""
    """The code of one who takes the values in the order in which they are read; empty where that is right."""

    def cell(self, found: Sequence[str]) -> str:
        """The code of one who has read the passages of these titles and makes up the rest."""
        known = {plain(title) for title in found}
        each = zip(self.values, self.decoys, self.titles, strict=True)
        return self.code.format(*(value if plain(t) in known else decoy for value, decoy, t in each), n=self.n)


class Task(NamedTuple):
    """A task. Immutable; nothing but the question's text is ever shown to the policy."""

    question: Question
    """What is asked, with the passages on the way to the answer; its kind is info's ``task_type``."""
    computing: Computing | None = None
    """What is computed, and how its result is judged; None where the answer stands in a passage."""
    plan: Plan | None = None
    """For a question whose numbers have to be looked up."""
    source: str = "default"
    """By which rule TAPO's reward judges it (`agentrl.rewards.tapo`)."""

    @classmethod
    def of_question(cls, question: Question) -> Task:
        """A task whose answer stands in a passage."""
        size = f"-{len(question.hops)}" if question.hops else ""
        return cls(question._replace(kind=f"search-{question.kind}{size}"), source="nq")

    @classmethod
    def of_computing(cls, computing: Computing, source: str = "default") -> Task:
        """A task for which nothing has to be looked up."""
        return cls(
            Question(computing.question, (computing.answer,), f"compute-{computing.kind}"), computing, None, source
        )

    @property
    def answers(self) -> list[str]:
        """All that are right."""
        return list(self.question.answers)

    def right(self, text: str) -> bool:
        """Whether an answer is right: numbers as numbers, formulas as formulas, all else by its words.

        Raises:
            MissingExtra: the gold answer is a formula, and math-verify is not installed.
            EnvError: math-verify does not run.
        """
        if self.computing is None:
            return exact_match(text, self.answers)
        if self.computing.rule == "math":
            return verifier.equal(text, self.computing.answer)
        return plainly_equal(text, self.computing.answer)
