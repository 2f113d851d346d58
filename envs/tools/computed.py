"""Questions whose answer is computed from facts that stand only in the corpus.

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

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agentrl.envs.python.tasks import Task as Computing
from agentrl.envs.search.encyclopedia import World
from agentrl.envs.search.questions import Hop, Question, given_away, some_chain, worded
from agentrl.envs.search.schema import RELATIONS, Relation
from agentrl.envs.tools.levels import Level
from agentrl.envs.tools.tasks import Plan, Task
from agentrl.errors import ConfigError

TRIES = 4000
WORKS_OF = {"films": ("director", "released"), "books": ("author", "printed")}
"""What people have made: the relation to them, and to its year."""
Values = Sequence[int]


class Operand(NamedTuple):
    """Something whose numbers are computed with."""

    text: str
    """In words."""
    values: tuple[int, ...]
    decoys: tuple[int, ...]
    """The same of something else."""
    titles: tuple[str, ...]
    """Whose passages hold the values."""
    hops: tuple[Hop, ...]


@dataclass(frozen=True, kw_only=True)
class Form:
    """Questions that differ in their operands alone."""

    operands: tuple[str, ...]
    """A sort of `SORTS` for each; equal ones but years are about the same relation."""
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


def draw(world: World, level: Level, split: str, name: str, rng: random.Random) -> Task:
    """A computed question about one part of the world.

    Args:
        split: ``train`` or ``eval``: the part of the world.
        name: A key of `FORMS`.

    Raises:
        ConfigError: the world has nothing of the kind.
    """
    form = FORMS[name]
    for _ in range(TRIES):
        task = _tried(world, level, split, name, form, rng)
        if task is not None and not given_away(task.question):
            return task
    raise ConfigError(f"The world '{world.level.name}' has no questions of the form '{name}'.")


def _tried(world: World, level: Level, split: str, name: str, form: Form, rng: random.Random) -> Task | None:
    drawing = _Drawing(world, level, split, rng)
    operands = [drawing.operand(sort) for sort in form.operands]
    found = [operand for operand in operands if operand is not None]
    titles = [title for operand in found for title in operand.titles]
    hops = _in_order(found)
    if len(found) < len(operands) or len(set(titles)) < len(found) or len(hops) > level.searches:
        return None
    values = tuple(value for operand in found for value in operand.values)
    if not form.fits(values):
        return None
    n = rng.randint(*form.named)
    text = worded(world, form.wordings, rng).format(*(operand.text for operand in found), n=n)
    answer = str(form.answer(values, n))
    plan = Plan(form.code, n, values, tuple(d for o in found for d in o.decoys), tuple(titles))
    computing = Computing(
        kind=f"both-{name}",
        question=text,
        answer=answer,
        code=form.code.format(*values, n=n),
        slips=tuple(slip.format(*values, n=n) for slip in form.slips),
        guesses=tuple(map(str, values)),
    )
    question = Question(text, (answer,), f"both-{name}", hops, tuple(hop.title for hop in hops))
    return Task(question, computing, plan)


def _in_order(operands: Sequence[Operand]) -> tuple[Hop, ...]:
    """The passages of all operands, none twice."""
    hops = [hop for operand in operands for hop in operand.hops]
    return tuple({hop.title: hop for hop in reversed(hops)}.values())[::-1]


class _Drawing:
    """Operands of one question."""

    def __init__(self, world: World, level: Level, split: str, rng: random.Random) -> None:
        self.world, self.level, self.split, self.rng = world, level, split, rng
        self.relation: Relation | None = None
        """What all numbers of the question are."""

    def operand(self, sort: str) -> Operand | None:
        """An operand; None where this try failed."""
        return SORTS[sort](self)

    def _numbered(self, relations: Sequence[Relation], word: Callable[[Relation, str], str]) -> Operand | None:
        """Something with a number; ``word`` says it, given the relation and the thing in words."""
        if not relations:
            return None
        relation = self.rng.choice(relations)
        depth = self.rng.randint(0, self.level.depth)
        chain = some_chain(self.world, self.split, depth, relation.subject, self.rng)
        value = self.world.value(chain.end, relation.name) if chain else None
        if chain is None or not isinstance(value, int):
            return None
        decoys = (self._of_another(relation),)
        hops = (*chain.hops, Hop(chain.end, chain.end, str(value)))
        return Operand(word(relation, chain.phrase), (value,), decoys, (chain.end,), hops)

    def _of_another(self, relation: Relation) -> int:
        """The number of something else."""
        return int(
            self.world.value(self.rng.choice(self.world.things[self.split, relation.subject]), relation.name) or 0
        )

    def event(self) -> Operand | None:
        """Something that happened in a year."""
        events = [r for r in self.world.relations if r.event]
        return self._numbered(events, lambda r, x: r.event.format(x=x))

    def birth(self) -> Operand | None:
        """Somebody with a year of birth."""
        return self._numbered(self._known("born"), lambda r, x: x)

    def river(self) -> Operand | None:
        """A river with its length."""
        return self._numbered(self._known("length"), lambda r, x: x)

    def number(self) -> Operand | None:
        """A number of the same sort as the others of the question."""
        if self.relation is None:
            numbers = [r for r in self.world.relations if r.object == "number"]
            if not numbers:
                return None
            self.relation = self.rng.choice(numbers)
        return self._numbered([self.relation], lambda r, x: worded(self.world, r.phrases, self.rng).format(x=x))

    def term(self) -> Operand | None:
        """Who led what, with the first and the last year, which stand in one passage."""
        led = [name for name in self.world.terms if self.world.side[name] == self.split]
        if not led:
            return None
        place = self.rng.choice(led)
        term, other = (self.rng.choice(self.world.terms[place]) for _ in range(2))
        hop = Hop(place, place, f"{term.first} to {term.last}")
        years, decoys = (term.first, term.last), (other.first, other.last)
        return Operand(f"{term.leader} lead {place}", years, decoys, (place, place), (hop,))

    def works(self) -> Operand | None:
        """The two films or books of somebody, with their years."""
        noun, (maker, made) = self.rng.choice(list(WORKS_OF.items()))
        person = self.rng.choice(self.world.things[self.split, "person"])
        works = self.world.works(person, maker)
        years = [self.world.value(work, made) for work in works]
        if len(works) != 2 or not all(isinstance(year, int) for year in years):
            return None
        read = [Hop(work, work, str(year)) for work, year in zip(works, years, strict=True)]
        values = tuple(int(year) for year in years if year is not None)
        decoys = tuple(self._of_another(RELATIONS[made]) for _ in works)
        hops = (Hop(person, person, ", ".join(works)), *read)
        return Operand(f"{noun} of {person}", values, decoys, tuple(works), hops)

    def _known(self, name: str) -> list[Relation]:
        return [RELATIONS[name]] if name in self.world.level.relations else []


SORTS: dict[str, Callable[[_Drawing], Operand | None]] = {
    "event": _Drawing.event,
    "birth": _Drawing.birth,
    "river": _Drawing.river,
    "number": _Drawing.number,
    "term": _Drawing.term,
    "works": _Drawing.works,
}
"""Sorts of operands."""
