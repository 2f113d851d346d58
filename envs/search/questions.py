"""Questions about the generated world, each with the passages that it takes and what is to be read there.

    bridge       the end of a chain: "What is the country of the birthplace of Ada Kemp?"
    comparison   of two things: "Who is the director of the older of Amber Lantern and Iron Letter?", or whether they
                 share something: "Do Amber Lantern and Iron Letter have the same director?"
    temporal     who led when something happened: "Who led Cedar Works when Azure College opened?"
    counting     "How many films did Ada Kemp direct?", some of them on a condition that each film has to meet

Instead of a name, another chain may stand in any of them. Answers do not stand in the question. "Yes" and "no" are
equally frequent, and so are all counts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from agentrl.envs.search.chains import Chain, Hop, follow, merged, paths, some_chain, worded
from agentrl.envs.search.encyclopedia import Term, World
from agentrl.envs.search.schema import WORKS, Relation
from agentrl.errors import ConfigError, UnknownName

__all__ = [
    "COUNTS",
    "KINDS",
    "Chain",
    "Hop",
    "Question",
    "draw",
    "follow",
    "given_away",
    "leader_in",
    "merged",
    "paths",
    "some_chain",
    "worded",
]
TRIES = 2000
COUNTS = ("one", "two", "three", "four", "five", "six")
"""The counts that are asked for, in words."""
YES_OR_NO = 0.2
"""Share of comparisons."""
SOME_WORKS = 0.25
"""Share of questions about numbers of films that set a condition."""
ASKED = ("What is {p}?", "Name {p}.", "Find out {p}.")
SAME = (
    "Do {a} and {b} have the same {r}?",
    "Is the {r} of {a} the {r} of {b}, too?",
    "Is it true that {a} and {b} share their {r}?",
)
LED = ("Who led {o} when {e}?", "When {e}, who led {o}?", "Name who led {o} when {e}.")
HOW_MANY = (
    "How many {m} did {x} {v}?",
    "Count the {m} that {x} did {v}.",
    "What is the number of {m} that {x} did {v}?",
)


class Question(NamedTuple):
    """A question, its answers, and how they are found."""

    text: str
    """As it is put."""
    answers: tuple[str, ...]
    """All that are right; the first is what the expert says."""
    kind: str
    """A key of `KINDS`, or what a data file calls it."""
    hops: tuple[Hop, ...] = ()
    """The passages in the order in which they can be found; empty where that is not known."""
    supporting: tuple[str, ...] = ()
    """Titles of the passages that the answer rests on; empty where that is not known."""


def draw(world: World, split: str, kind: str, rng: random.Random) -> Question:
    """A question of a kind about one part of the world.

    Args:
        split: ``train`` or ``eval``: the part of the world.
        kind: A key of `KINDS`.

    Raises:
        UnknownName: there is no such kind.
        ConfigError: the world has nothing of the kind, for want of relations.
    """
    if kind not in KINDS:
        raise UnknownName("kind of question", kind, KINDS)
    for _ in range(TRIES):
        question = KINDS[kind](world, split, rng)
        if question is not None and not given_away(question):
            return question
    raise ConfigError(f"The level '{world.level.name}' has no questions of the kind '{kind}'.")


def given_away(question: Question) -> bool:
    """Whether the question holds its answer, other than "yes" or "no"."""
    return question.answers[0] not in ("yes", "no") and question.answers[0] in question.text


def asked(world: World, phrase: str, person: bool, rng: random.Random) -> str:
    """The question for what a phrase says."""
    text = worded(world, ASKED, rng).format(p=phrase)
    return text.replace("What is", "Who is", 1) if person else text


def _bridge(world: World, split: str, rng: random.Random) -> Question | None:
    chain = some_chain(world, split, rng.randint(*world.level.hops), "", rng)
    if chain is None:
        return None
    text = asked(world, chain.phrase, world.kind.get(chain.end) == "person", rng)
    return _question(text, (chain.end,), "bridge", chain.hops)


def _comparison(world: World, split: str, rng: random.Random) -> Question | None:
    """Something about the one of two things that has more or less; at times, whether they share something."""
    depth = rng.randint(0, max(0, world.level.hops[1] // 2 - 1))
    if rng.random() < YES_OR_NO:
        return _same(world, split, depth, rng)
    numbers = [r for r in world.relations if r.comparatives[0] and len(world.said_of(r.subject)) > 1]
    if not numbers:
        return None
    number = rng.choice(numbers)
    relation = rng.choice([r for r in world.said_of(number.subject) if r is not number])
    one, two = (_compared(world, split, depth, number, relation, rng) for _ in range(2))
    if one is None or two is None or one.end == two.end or one.value == two.value or one.answer == two.answer:
        return None
    larger = rng.random() < 0.5
    winner = one if (one.value > two.value) == larger else two
    phrase = f"the {number.comparatives[larger]} of {one.phrase} and {two.phrase}"
    text = asked(world, worded(world, relation.phrases, rng).format(x=phrase), relation.object == "person", rng)
    return _question(text, (winner.answer,), "comparison", (*one.hops, *two.hops))


class Compared(NamedTuple):
    """One of two things that are compared."""

    phrase: str
    end: str
    value: int
    """The number by which they are compared."""
    answer: str
    """The answer, should it be this one."""
    hops: tuple[Hop, ...]


def _compared(
    world: World, split: str, depth: int, number: Relation, relation: Relation, rng: random.Random
) -> Compared | None:
    chain = some_chain(world, split, depth, number.subject, rng)
    if chain is None:
        return None
    value, answer = world.value(chain.end, number.name), world.value(chain.end, relation.name)
    if not isinstance(value, int) or answer is None:
        return None
    read = Hop(chain.end, chain.end, f"{value}, {answer}")
    return Compared(chain.phrase, chain.end, value, str(answer), (*chain.hops, read))


def _same(world: World, split: str, depth: int, rng: random.Random) -> Question | None:
    """Whether the ends of two chains share something; half of them do."""
    relation = rng.choice([r for r in world.relations if _shared(world, split, r)])
    alike = rng.random() < 0.5
    for _ in range(TRIES):
        one = some_chain(world, split, depth, relation.subject, rng)
        if one is None or (value := world.value(one.end, relation.name)) is None:
            continue
        end = rng.choice(world.whose[relation.name, value]) if alike else None
        two = some_chain(world, split, depth, relation.subject, rng, end)
        if two and two.end != one.end and (world.value(two.end, relation.name) == value) == alike:
            break
    else:
        return None
    read = [Hop(c.end, c.end, str(world.value(c.end, relation.name))) for c in (one, two)]
    text = worded(world, SAME, rng).format(a=one.phrase, b=two.phrase, r=relation.noun)
    return _question(text, ("yes" if alike else "no",), "comparison", (*one.hops, read[0], *two.hops, read[1]))


def _shared(world: World, split: str, relation: Relation) -> bool:
    """Whether several things lead to the same one, as there are more of them."""
    fewer = len(world.things.get((split, relation.object), ()))
    return 0 < fewer < len(world.things[split, relation.subject])


def _temporal(world: World, split: str, rng: random.Random) -> Question | None:
    """Who led something in the year of an event."""
    events = [r for r in world.relations if r.event]
    led = [name for name in world.terms if world.side[name] == split]
    if not events or not led:
        return None
    event, place = rng.choice(events), rng.choice(led)
    chain = some_chain(world, split, rng.randint(0, world.level.hops[1] - 2), event.subject, rng)
    if chain is None or place in (chain.end, *(hop.title for hop in chain.hops)):
        return None
    year = int(world.value(chain.end, event.name) or 0)
    leader = leader_in(world.terms[place], year)
    if leader is None:
        return None
    text = worded(world, LED, rng).format(o=place, e=event.event.format(x=chain.phrase))
    hops = (*chain.hops, Hop(chain.end, chain.end, str(year)), Hop(place, place, leader))
    return _question(text, (leader,), "temporal", hops)


def leader_in(terms: tuple[Term, ...], year: int) -> str | None:
    """Who led in a year; None where nobody did, or two in turn."""
    return next((term.leader for term in terms if term.first < year < term.last), None)


def _counting(world: World, split: str, rng: random.Random) -> Question | None:
    """How many works somebody has, or how many of them came from one studio; all counts are equally frequent."""
    known = [r for r in world.relations if r.name in WORKS]
    if not known or not world.level.works:
        return None
    relation = rng.choice(known)
    some = relation.name == "director" and "studio" in world.level.relations and rng.random() < SOME_WORKS
    count = rng.randint(1, 3 if some else len(COUNTS))
    tries = (
        _some_works(world, split, count, rng) if some else _all_works(world, split, relation, count, rng)
        for _ in range(TRIES)
    )
    return next((question for question in tries if question), None)


def _all_works(world: World, split: str, relation: Relation, count: int, rng: random.Random) -> Question | None:
    chain = some_chain(world, split, rng.randint(0, world.level.hops[1] - 1), "person", rng)
    works = world.works(chain.end, relation.name) if chain else []
    if chain is None or len(works) != count:
        return None
    kind, verb = WORKS[relation.name]
    text = worded(world, HOW_MANY, rng).format(m=f"{kind}s", x=chain.phrase, v=verb)
    return _counted(text, count, (*chain.hops, Hop(chain.end, chain.end, ", ".join(works))))


def _some_works(world: World, split: str, count: int, rng: random.Random) -> Question | None:
    """Films of one director for one studio: each of them has to be looked up."""
    director = rng.choice(world.things[split, "person"])
    films = world.works(director, "director")
    if not 2 <= len(films) <= world.level.hops[1]:
        return None
    studios = [str(world.value(film, "studio")) for film in films]
    studio = rng.choice(studios)
    if studios.count(studio) != count:
        return None
    hops = [Hop(film, film, made) for film, made in zip(films, studios, strict=True)]
    text = f"How many of the films of {director} did {studio} produce?"
    return _counted(text, count, (Hop(director, director, ", ".join(films)), *hops))


def _counted(text: str, count: int, hops: tuple[Hop, ...]) -> Question:
    return _question(text, (str(count), COUNTS[count - 1]), "counting", hops)


def _question(text: str, answers: tuple[str, ...], kind: str, hops: tuple[Hop, ...]) -> Question:
    once = merged(hops)
    return Question(text, answers, kind, once, tuple(hop.title for hop in once))


Drawing = Callable[[World, str, random.Random], Question | None]
KINDS: dict[str, Drawing] = {
    "bridge": _bridge,
    "comparison": _comparison,
    "temporal": _temporal,
    "counting": _counting,
}
"""Kind of question -> one try at drawing it."""
