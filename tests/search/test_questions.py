"""Questions about the generated world: true, balanced, of disjoint splits, answered by their passages alone."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from agentrl.envs.search.encyclopedia import Term, World
from agentrl.envs.search.levels import LEVELS
from agentrl.envs.search.questions import COUNTS, KINDS, Question, draw, follow, leader_in, some_chain
from agentrl.envs.search.schema import RELATIONS
from agentrl.envs.search.sources import Generated, open_world
from agentrl.errors import ConfigError, UnknownName


def questions(level: int, split: str, count: int = 1000) -> list[Question]:
    source = Generated(level, 0, split, "all")
    return [source.question(seed) for seed in range(count)]


def drawn(kind: str, count: int, level: int = 3) -> list[Question]:
    world, rng = open_world(level, 0), random.Random(kind)
    return [draw(world, "train", kind, rng) for _ in range(count)]


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_no_answer_is_frequent(level: int) -> None:
    for split in ("train", "eval"):
        asked = questions(level, split)
        answers = Counter(q.answers[0] for q in asked)
        assert answers.most_common(1)[0][1] < 0.07 * len(asked), answers.most_common(3)
        assert {q.kind for q in asked} == set(LEVELS[level].kinds)


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_the_splits_share_no_question_and_no_passage(level: int) -> None:
    train, held = questions(level, "train"), questions(level, "eval")
    assert not {q.text for q in train} & {q.text for q in held}
    assert not {t for q in train for t in q.supporting} & {t for q in held for t in q.supporting}
    both = Generated(level, 0, "all", "all")
    world = both.world
    assert [world.side[both.question(s).supporting[0]] for s in range(4)] == ["train", "eval"] * 2


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_hops_follow_from_one_another(level: int) -> None:
    """Every passage can be searched for by what stands in the question or in an earlier passage, and says its part."""
    world, low_high = open_world(level, 0), LEVELS[level].hops
    texts = {p.title: p.text for p in world.passages}
    for q in questions(level, "train", 400):
        seen = q.text
        for hop in q.hops:
            assert hop.query in seen, q
            assert all(part in texts[hop.title] for part in hop.answer.split(", ")), q
            seen += texts[hop.title]
        assert q.supporting == tuple(hop.title for hop in q.hops)
        assert len(set(q.supporting)) == len(q.supporting)
        if q.answers[0] not in ("yes", "no"):
            assert q.answers[0] not in q.text
        if q.kind == "bridge":
            assert low_high[0] <= len(q.hops) <= low_high[1]
            assert q.hops[-1].answer == q.answers[0]
        if q.kind != "counting":
            assert len(q.hops) <= max(2, low_high[1])


def test_the_same_seed_asks_the_same() -> None:
    one, again = Generated(3, 0, "train", "all"), Generated(3, 0, "train", "all")
    assert [one.question(s) for s in range(50)] == [again.question(s) for s in range(50)]
    assert len({one.question(s).text for s in range(50)}) > 45
    assert one.question(0) != Generated(3, 1, "train", "all").question(0)


def test_chains_are_true() -> None:
    world, rng = open_world(1, 0), random.Random(0)
    film = world.things["train", "film"][0]
    chain = follow(world, film, (RELATIONS["director"], RELATIONS["birthplace"]), rng)
    assert chain is not None
    director = str(world.value(film, "director"))
    assert chain.phrase == f"the birthplace of the director of {film}"
    assert chain.end == world.value(director, "birthplace")
    assert [hop.title for hop in chain.hops] == [film, director]
    city = str(world.value(director, "birthplace"))
    assert follow(world, city, (RELATIONS["director"],), rng) is None


def test_chains_to_a_given_end() -> None:
    world, rng = open_world(4, 0), random.Random(0)
    person = next(name for name in world.things["train", "person"] if world.whose.get(("founder", name)))
    found = [chain for _ in range(200) if (chain := some_chain(world, "train", 1, "person", rng, person))]
    assert found
    assert {chain.end for chain in found} == {person}


def test_comparisons_are_true() -> None:
    world = open_world(3, 0)
    words = {
        w: (r.name, larger)
        for r in RELATIONS.values()
        if r.object == "number"
        for larger, w in enumerate(r.comparatives)
    }
    checked = 0
    for q in drawn("comparison", 600):
        match = re.search(r"the (\w+) of ([A-Z]\w+ [A-Z]\w+) and ([A-Z]\w+ [A-Z]\w+)", q.text)
        if match is None or match[1] not in words:
            continue
        relation, larger = words[match[1]]
        one, two = (int(world.value(name, relation) or 0) for name in match.group(2, 3))
        winner = match[2] if (one > two) == bool(larger) else match[3]
        assert q.answers[0] in world.mentions[winner], q
        checked += 1
    assert checked > 25


def test_yes_and_no_are_true_and_equally_frequent() -> None:
    world = open_world(3, 0)
    asked = [q for q in drawn("comparison", 1500) if q.answers[0] in ("yes", "no")]
    assert 0.44 < sum(q.answers[0] == "yes" for q in asked) / len(asked) < 0.56
    checked = 0
    for q in asked:
        match = re.fullmatch(r"Do ([A-Z]\w+ [A-Z]\w+) and ([A-Z]\w+ [A-Z]\w+) have the same (\w+)\?", q.text)
        if match:
            relation = next(r for r in RELATIONS.values() if r.noun == match[3] and r.subject == world.kind[match[1]])
            same = world.value(match[1], relation.name) == world.value(match[2], relation.name)
            assert q.answers == ("yes" if same else "no",)
            checked += 1
    assert checked > 30


def test_temporal_questions_are_true() -> None:
    world = open_world(3, 0)
    for q in drawn("temporal", 200):
        place, year = q.hops[-1].title, int(q.hops[-2].answer)
        (term,) = [t for t in world.terms[place] if t.leader == q.answers[0]]
        assert term.first < year < term.last
    terms = (Term("a", 1800, 1850), Term("b", 1850, 1900))
    assert [leader_in(terms, year) for year in (1849, 1850, 1851, 1950)] == ["a", None, "b", None]


def test_counts_are_true_and_equally_frequent() -> None:
    world = open_world(3, 0)
    every, some = Counter[str](), Counter[str]()
    for q in drawn("counting", 800):
        number, word = q.answers
        assert COUNTS[int(number) - 1] == word
        if match := re.fullmatch(r"How many of the films of (.+) did (.+) produce\?", q.text):
            films = world.works(match[1], "director")
            assert sum(world.value(film, "studio") == match[2] for film in films) == int(number)
            assert {h.title for h in q.hops} == {match[1], *films}
            some[number] += 1
        else:
            person = q.hops[-1].title
            lists = [world.works(person, name) for name in ("director", "author")]
            assert int(number) in map(len, lists)
            every[number] += 1
    assert set(every) == set("123456")
    assert set(some) == set("123")
    for counter in (every, some):
        assert max(counter.values()) < 1.8 * min(counter.values())


def test_wrong_kinds() -> None:
    world = open_world(1, 0)
    with pytest.raises(UnknownName, match="Did you mean 'bridge'"):
        draw(world, "train", "brige", random.Random(0))
    with pytest.raises(UnknownName, match="kind of question 'x'"):
        Generated(1, 0, "train", "bridge,x")
    for kind in ("temporal", "counting"):
        with pytest.raises(ConfigError, match="'pocket guide' has no questions"):
            draw(world, "train", kind, random.Random(0))
    assert set(KINDS) == {"bridge", "comparison", "temporal", "counting"}


def test_worlds_of_other_seeds_do_as_well() -> None:
    world = World(LEVELS[3], 11)
    for kind in KINDS:
        assert draw(world, "eval", kind, random.Random(1)).answers
