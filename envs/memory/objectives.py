"""Several questions at once over a corpus, answered by searching.

Questions and passages are those of the environment ``search``: a generated encyclopedia, or files. No question of a
case holds another one's answer.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentrl.envs.memory.answers import join
from agentrl.envs.memory.cases import Asked, Move, Progress, numbered, one_of
from agentrl.envs.memory.levels import Objectives as Level
from agentrl.envs.memory.worlds import Opener
from agentrl.envs.search import expert
from agentrl.envs.search.questions import Question
from agentrl.errors import ConfigError, ToolError

QUERY_CHARS, TOPK = 1000, 20
"""Longest query, and most passages of a search."""
REMEMBERED = 64
"""Most queries that the state keeps."""
TRIES = 1000
NOTHING = "Nothing was found."
OPEN = "open"
FOOT = (
    "This page can be read, copied and printed by everybody. It was last changed some time ago. See the index for "
    "other pages of the guide, the list of all names for what is alike, and the help for how to search. Readers who "
    "find a mistake may write to the editors, who thank them for their help."
).split()
"""What passages are filled up with: it says nothing."""
GUESSABLE = ("yes", "no")
"""Answers that may stand in another question."""


@dataclass(frozen=True)
class Slips:
    """How often the fallible demonstrator errs."""

    astray: float = 0.08
    """Of its searches: it searches for another name that it read, or for one that it searched for before."""
    early: float = 0.12
    """Of its episodes, about: it answers before it has read all, with guesses for what is open."""
    mix: float = 0.35
    """Answers of an episode: it gives another name that it read."""


class Quest(NamedTuple):
    """A case: several questions of the encyclopedia or a file."""

    asked: tuple[Question, ...]
    pool: int = 0
    """Which of the task's pools it is from."""

    @property
    def opening(self) -> str:
        return numbered([question.text for question in self.asked])

    @property
    def questions(self) -> tuple[Asked, ...]:
        return tuple(Asked(question.text, question.answers) for question in self.asked)

    @property
    def kind(self) -> str:
        return f"objectives-{len(self.asked)}"


@dataclass
class Quests:
    """Draws questions and searches for what answers them.

    Raises:
        ConfigError: there are not as many questions.
    """

    pools: Sequence[Opener]
    """Where questions come from, and what searches for their answers."""
    level: Level
    """How many questions, and how long results are."""
    slips: Slips = Slips()

    @property
    def max_turns(self) -> int:
        """Of the level."""
        return self.level.max_turns

    def draw(self, seed: int) -> Quest:
        """As many questions as the level says, by chance."""
        rng = random.Random(f"objectives {seed}")
        count, pool = rng.randint(*self.level.questions), rng.randrange(len(self.pools))
        source, _ = self.pools[pool]()
        found: list[Question] = []
        for tries in range(TRIES):
            question = source.question(rng.getrandbits(31))
            apart = alike if self.level.distinct and tries < TRIES / 2 else tell
            if len(question.hops) <= self.level.hops and not any(apart(question, other) for other in found):
                found.append(question)
                if len(found) == count:
                    return Quest(tuple(found), pool)
        raise ConfigError(f"There are no {count} questions that do not tell of each other. Lower --env.questions.")

    def look(self, case: Quest, progress: Progress, said: str, most: int | None) -> tuple[Progress, str]:
        """Search."""
        query = said.strip()
        if not query:
            raise ToolError("Say what to search for.")
        if len(query) > QUERY_CHARS:
            raise ToolError(f"The query has {len(query)} characters; {QUERY_CHARS} are the most.")
        if most is not None and not 1 <= most <= TOPK:
            raise ToolError(f"A search returns 1 to {TOPK} passages.")
        _, retriever = self.pools[case.pool]()
        passages = [hit.passage for hit in retriever.search(query, most or self.level.topk)]
        titles = dict.fromkeys([*progress.found, *(passage.title for passage in passages)])
        words = self.level.passage_words
        lines = [f"({p.title}) {p.text if words is None else sized(p.text, words)}" for p in passages]
        return Progress(tuple(titles), (*progress.asked, query)[-REMEMBERED:]), "\n".join(lines) or NOTHING

    def seen(self, case: Quest, progress: Progress) -> float:
        """Share of the supporting passages."""
        known = {expert.plain(title) for title in progress.found}
        wanted = {expert.plain(title) for question in case.asked for title in question.supporting}
        return len(wanted & known) / len(wanted) if wanted else 0.0

    def oracle(self, case: Quest, progress: Progress) -> Move:
        """One question after the other, along its chain of passages."""
        for question in case.asked:
            if query := to_search(question, progress):
                return Move(look=query)
        return Move(tuple(question.answers[0] for question in case.asked))

    def fallible(self, case: Quest, progress: Progress, rng: np.random.Generator) -> Move:
        """Like `oracle`, with slips. Only names that were read are confused, so the first search is always right."""
        right, slips = self.oracle(case, progress), self.slips
        source, _ = self.pools[case.pool]()
        read = [name for title in progress.found for name in (*source.named(title), title)]
        if not read:
            return right
        count, needed = len(case.asked), sum(max(1, len(question.hops)) for question in case.asked)
        if right.answers:
            mix = slips.mix / count
            return Move(tuple(one_of(read, rng) if rng.random() < mix else answer for answer in right.answers))
        chance = rng.random()
        if chance < slips.astray:
            return Move(look=one_of([*read, *progress.asked], rng))
        if chance < slips.astray + slips.early / needed:
            return Move(tuple(one_of(read, rng) if to_search(q, progress) else q.answers[0] for q in case.asked))
        return right

    def note(self, case: Quest, progress: Progress) -> str:
        """In the order of the questions: the answer, or what was read of the way to it, or that it is open."""
        return join([_noted(question, progress) for question in case.asked]) if progress.found else ""


def to_search(question: Question, progress: Progress) -> str:
    """What is to be searched for next to answer a question; empty where it can be answered."""
    own = {question.text, *(hop.query for hop in question.hops)}
    move = expert.oracle(question, progress.found, [query for query in progress.asked if query in own])
    return move.text if move.is_search else ""


def tell(one: Question, other: Question) -> bool:
    """Whether questions are the same, or the one holds the other's answer or asks for it."""
    if one.text == other.text:
        return True
    return any(
        answer not in GUESSABLE and not answer.isdigit() and answer in text
        for answers, text in ((one.answers, other.text), (other.answers, one.text))
        for answer in answers
    )


def alike(one: Question, other: Question) -> bool:
    """Whether both are of the same kind."""
    return one.kind == other.kind


def sized(text: str, words: int) -> str:
    """A text of so many words: cut, or filled up with what stands at the foot of every page.

    >>> sized("born in Cedar Bay and", 4), sized("born in Cedar Bay.", 9)
    ('born in Cedar Bay ...', 'born in Cedar Bay. This page can be read,')
    """
    parts = text.split(maxsplit=words)
    if len(parts) > words:
        return " ".join([*parts[:words], "..."])
    filled = itertools.islice(itertools.cycle(FOOT), words - len(parts))
    return " ".join([text, *filled])


def _noted(question: Question, progress: Progress) -> str:
    if not to_search(question, progress):
        return question.answers[0]
    return expert.note(question, progress.found).rstrip(".") or OPEN
