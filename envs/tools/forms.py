"""Forms of questions whose answer is computed from facts that stand only in the corpus.

    ago       "In 2014, how many years ago was it that Amber Works was founded?"        2014 - 1873
    gap       "How many years passed from when Amber Works was founded to when Iron Foods was founded?"
    lead      "How many years before Iron Foods was founded was it that Amber Works was founded?"
    age       "How old was Ada Kemp when Azure College opened?"
    total     "What is the sum of the population of Cedar Bay and the population of Iron Ford?"
    excess    "By how much is the length in miles of the Amber Otter larger than the length in miles of ...?"
    trips     "How many miles are 12 trips along the whole of Amber Otter?"
    average   of three numbers, whole
    reign     "For how many years did Ada Kemp lead Amber Works?"
    span      "How many years passed between the first and the last film of Ada Kemp?"

Instead of a name a chain may stand, as in `agentrl.envs.search.questions`. Operands and their order follow from the
wording: "from when A to when B" is B - A, "before A was it that B" is A - B. Answers are found without running code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Values = Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Form:
    """Questions that differ in their operands alone."""

    operands: tuple[str, ...]
    """A sort of `computed.SORTS` for each; equal ones but years are about the same relation."""
    wordings: tuple[str, ...]
    """``{0}``, ``{1}``, ... are the operands in words, ``{n}`` is a number that the question names."""
    code: str
    """``{0}``, ``{1}``, ... are the values of all operands, one after the other."""
    answer: Callable[[Values, int], int]
    fits: Callable[[Values], bool] = lambda v: True
    """Whether the question can be asked of such values."""
    named: tuple[int, int] = (0, 0)
    """Least and most of ``{n}``."""
    slips: tuple[str, ...]
    """What one computes who misread the question."""
    reverses: bool = False
    """Whether the values are wanted in another order than they are read; the first slip takes them as they are."""


FORMS: dict[str, Form] = {
    "ago": Form(
        operands=("event",),
        wordings=(
            "In {n}, how many years ago was it that {0}?",
            "How many years before {n} was it that {0}?",
            "How many years had passed in {n} since {0}?",
        ),
        code="{n} - {0}",
        answer=lambda v, n: n - v[0],
        named=(2001, 2030),
        slips=("{0} - {n}", "{n} + {0}"),
    ),
    "gap": Form(
        operands=("event", "event"),
        wordings=(
            "How many years passed from when {0} to when {1}?",
            "How many years after {0} was it that {1}?",
            "First {0}. How many years later was it that {1}?",
        ),
        code="{1} - {0}",
        answer=lambda v, n: v[1] - v[0],
        fits=lambda v: v[0] < v[1],
        slips=("{0} - {1}", "{1} + {0}"),
        reverses=True,
    ),
    "lead": Form(
        operands=("event", "event"),
        wordings=(
            "How many years before {0} was it that {1}?",
            "By the time that {0}, how many years had passed since {1}?",
            "When {0}, how many years ago was it that {1}?",
        ),
        code="{0} - {1}",
        answer=lambda v, n: v[0] - v[1],
        fits=lambda v: v[1] < v[0],
        slips=("{1} - {0}", "{0} + {1}"),
    ),
    "age": Form(
        operands=("birth", "event"),
        wordings=(
            "How old was {0} when {1}?",
            "What was the age of {0} when {1}?",
            "When {1}, how many years old was {0}?",
        ),
        code="{1} - {0}",
        answer=lambda v, n: v[1] - v[0],
        fits=lambda v: 0 < v[1] - v[0] < 90,
        slips=("{0} - {1}", "{1} + {0}"),
        reverses=True,
    ),
    "total": Form(
        operands=("number", "number"),
        wordings=(
            "What is the sum of {0} and {1}?",
            "What do {0} and {1} add up to?",
            "Add {0} to {1}. What is the result?",
        ),
        code="{0} + {1}",
        answer=lambda v, n: v[0] + v[1],
        slips=("{0} - {1}", "{1} - {0}"),
    ),
    "excess": Form(
        operands=("number", "number"),
        wordings=(
            "By how much is {0} larger than {1}?",
            "Subtract {1} from {0}. What is left?",
            "What is the difference between {0} and {1}, which is smaller?",
        ),
        code="{0} - {1}",
        answer=lambda v, n: v[0] - v[1],
        fits=lambda v: v[1] < v[0],
        slips=("{1} - {0}", "{0} + {1}"),
    ),
    "trips": Form(
        operands=("river",),
        wordings=(
            "How many miles are {n} trips along the whole of {0}?",
            "Somebody rows {n} times along all of {0}. How many miles is that?",
            "{n} boats each go the whole length of {0}. How many miles do they go together?",
        ),
        code="{n} * {0}",
        answer=lambda v, n: n * v[0],
        named=(12, 98),
        slips=("{n} + {0}", "{0} // {n}"),
    ),
    "average": Form(
        operands=("number", "number", "number"),
        wordings=(
            "What is the average of {0}, {1} and {2}?",
            "What is the mean of {0}, {1} and {2}?",
            "Add up {0}, {1} and {2}, then divide by three. What is the result?",
        ),
        code="({0} + {1} + {2}) // 3",
        answer=lambda v, n: sum(v) // 3,
        fits=lambda v: sum(v) % 3 == 0,
        slips=("{0} + {1} + {2}", "({0} + {1} + {2}) // 2"),
    ),
    "reign": Form(
        operands=("term",),
        wordings=(
            "For how many years did {0}?",
            "How many years did {0}?",
            "Over how many years did {0}?",
        ),
        code="{1} - {0}",
        answer=lambda v, n: v[1] - v[0],
        slips=("{0} - {1}", "{1} + {0}"),
        reverses=True,
    ),
    "span": Form(
        operands=("works",),
        wordings=(
            "How many years passed between the first and the last of the {0}?",
            "How many years lie between the oldest and the newest of the {0}?",
            "By how many years is the newest of the {0} younger than the oldest?",
        ),
        code="abs({0} - {1})",
        answer=lambda v, n: abs(v[0] - v[1]),
        fits=lambda v: v[0] != v[1],
        slips=("{0} + {1}", "{0} - {0}"),
    ),
}
"""By name."""
