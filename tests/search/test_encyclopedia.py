"""The generated world: names, two parts that never meet, and passages that say what is true."""

from __future__ import annotations

import doctest
import importlib
import random
import re
from collections import Counter
from itertools import pairwise

import pytest

from agentrl.envs.search import names
from agentrl.envs.search.encyclopedia import FIRST_YEAR, LAST_YEAR, SIDES, World
from agentrl.envs.search.levels import LEVELS
from agentrl.envs.search.schema import HEADS, RELATIONS, WEIGHTS
from agentrl.envs.search.sources import open_world


@pytest.fixture(params=sorted(LEVELS))
def world(request: pytest.FixtureRequest) -> World:
    return open_world(request.param, 0)


def test_a_name_tells_its_kind() -> None:
    seconds = Counter(word for _, second in names.WORDS.values() for word in set(second))
    assert max(seconds.values()) == 1
    firsts = {word for first, _ in names.WORDS.values() for word in first}
    assert not firsts & set(seconds)
    everything = firsts | set(seconds)
    stems = Counter(re.sub("(ing|s|y|ies)$", "", word) for word in everything)
    assert [stem for stem, n in stems.items() if n > 1] == []  # else an index that stems could not tell them apart
    assert set(names.WORDS) == set(WEIGHTS) == set(HEADS)


def test_names_are_different_and_follow_from_the_seed() -> None:
    made = names.make_names("city", 90, 5, random.Random(3))  # five words of each list make too few
    assert len(set(made)) == 90
    assert made == names.make_names("city", 90, 5, random.Random(3))
    assert len({name.split()[0] for name in made}) == 10
    with pytest.raises(ValueError, match="do not make 99999 names"):
        names.make_names("city", 99_999, 5, random.Random(3))


def test_the_world_follows_from_level_and_seed() -> None:
    one, again, other = World(LEVELS[3], 5), World(LEVELS[3], 5), World(LEVELS[3], 6)
    assert one.passages == again.passages
    assert one.facts == again.facts
    assert one.facts != other.facts


def test_the_parts_never_meet(world: World) -> None:
    for (name, relation), value in world.facts.items():
        if not RELATIONS[relation].is_number:
            assert world.side[name] == world.side[str(value)]
    for name, terms in world.terms.items():
        assert {world.side[term.leader] for term in terms} == {world.side[name]}
    sizes = Counter(world.side.values())
    assert 3.5 < sizes["train"] / sizes["eval"] < 4.5
    for side in SIDES:  # both are made of the same words, but for a few
        words = {word for name in world.side if world.side[name] == side for word in name.split()}
        everything = {word for name in world.side for word in name.split()}
        assert len(words) > (0.8 if world.level.size > 1000 else 0.5) * len(everything)


def test_passages_say_what_is_true_and_nothing_else(world: World) -> None:
    titles = [passage.title for passage in world.passages]
    assert len(set(titles)) == len(titles) == len({p.id for p in world.passages})
    assert set(titles) == {name for name, kind in world.kind.items() if world.said_of(kind)}
    for passage in world.passages[:500]:
        said = world.mentions[passage.title]
        assert passage.text.startswith(passage.title)
        assert all(value in passage.text for value in said)
        rest = passage.text.partition(" Not to be confused")[0].replace(passage.title, "")
        named = {" ".join(pair) for pair in pairwise(re.findall(r"\w+", rest))} & set(world.kind)
        assert named == {value for value in said if value in world.kind}


def test_facts_lead_to_the_right_kind_of_thing(world: World) -> None:
    for (name, relation), value in world.facts.items():
        known = RELATIONS[relation]
        assert world.kind[name] == known.subject
        assert name in world.whose[relation, value]
        if known.object == "year":
            assert FIRST_YEAR <= int(value) <= LAST_YEAR
            assert int(value) % world.level.years == 0
        elif not known.is_number:
            assert world.kind[str(value)] == known.object
    for country in world.things.get(("train", "country"), []):
        if capital := world.value(country, "capital"):
            assert world.value(str(capital), "country") == country


def test_terms_follow_one_another() -> None:
    world = open_world(3, 0)
    assert world.terms
    for terms in world.terms.values():
        assert (terms[0].first, terms[-1].last) == (FIRST_YEAR, LAST_YEAR)
        assert all(one.last == two.first for one, two in pairwise(terms))
        assert all(term.first < term.last for term in terms)
        assert len({term.leader for term in terms}) == len(terms)


def test_wordings_grow_with_the_level() -> None:
    heads = {n: {p.text.split()[3:5][-1] for p in open_world(n, 0).passages} for n in (1, 3)}
    assert heads[1] < heads[3]


def test_every_relation_has_three_wordings() -> None:
    for relation in RELATIONS.values():
        assert len(relation.phrases) == len(relation.clauses) == 3
        assert all("{x}" in phrase for phrase in relation.phrases)
        assert all("{v}" in clause for clause in relation.clauses)
        assert relation.is_number == bool(relation.comparatives[0])


@pytest.mark.parametrize("name", ["encyclopedia", "chains"])
def test_docstrings(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"agentrl.envs.search.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
