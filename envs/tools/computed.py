"""Drawing questions whose answer is computed from facts that stand only in the corpus (`forms`)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agentrl.envs.python.tasks import Task as Computing
from agentrl.envs.search.encyclopedia import World
from agentrl.envs.search.questions import Hop, Question, given_away, some_chain, worded
from agentrl.envs.search.schema import RELATIONS, Relation
from agentrl.envs.tools.forms import FORMS, Form
from agentrl.envs.tools.levels import Level
from agentrl.envs.tools.tasks import Plan, Task
from agentrl.errors import ConfigError

TRIES = 4000
WORKS_OF = {"films": ("director", "released"), "books": ("author", "printed")}
"""What people have made: the relation to them, and to its year."""


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
    slips = tuple(slip.format(*values, n=n) for slip in form.slips)
    decoys = tuple(decoy for operand in found for decoy in operand.decoys)
    plan = Plan(form.code, n, values, decoys, tuple(titles), slips[0] if form.reverses else "")
    computing = Computing(
        kind=f"both-{name}",
        question=text,
        answer=answer,
        code=form.code.format(*values, n=n),
        slips=slips,
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
