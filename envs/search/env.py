"""The environment: questions that are answered by searching, as a `ToolEnv`."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from agentrl.env import StepResult
from agentrl.envs.search.expert import Slips, fallible, note, oracle, plain
from agentrl.envs.search.levels import LEVELS
from agentrl.envs.search.prompts import CONTRACTS
from agentrl.envs.search.questions import Question
from agentrl.envs.search.sources import SPLITS, Filed, open_source, shared_retriever
from agentrl.errors import ConfigError, EnvError, NotForkable, ToolError, UnknownName
from agentrl.rewards.text import exact_match, token_f1
from agentrl.tool import ToolEnv

QUERY_CHARS = 1000
"""Longest query."""
REMEMBERED = 64
"""Most queries that the state keeps."""
TOPK, TURNS = 3, 8
"""With questions from files."""
REWARDS = ("em", "f1")


class Episode(NamedTuple):
    """Everything that a snapshot holds. All of it is immutable."""

    question: Question
    shown: str
    """The last observation."""
    found: tuple[str, ...] = ()
    """Titles of the passages seen so far, in the order in which they were found."""
    asked: tuple[str, ...] = ()
    """Queries so far."""
    over: bool = False
    """An answer was given."""
    won: bool = False
    """It is right."""

    @property
    def recall(self) -> float:
        """Share of the supporting passages that was found; 0 where they are not known."""
        known = {plain(title) for title in self.found}
        wanted = self.question.supporting
        return sum(plain(title) in known for title in wanted) / len(wanted) if wanted else 0.0


class Search(ToolEnv):
    """Answer questions whose answers stand in a corpus, by searching it step by step.

    By default questions are about a generated encyclopedia, in levels; with --env.data they come from a file of
    HotpotQA, 2WikiMultihopQA, MuSiQue, Bamboogle or the like.

    Args:
        data: a file of questions (.json, .jsonl; .gz or .xz may follow); None for generated ones.
        corpus: a file or folder of passages for ``data``; None for those that come along with the questions.
        retriever: ``bm25`` (the default), ``dense:MODEL``, ``hybrid:MODEL``, ``http://HOST/PATH`` (a server in
            Search-R1's shape), ``serper``, ``brave``, ``tavily``, ``searxng:URL``; options follow a ``#``, as in
            ``serper#cache_mode=offline``.
        level: difficulty of the generated encyclopedia, 0 to 4; see `levels.py`.
        world: seed of the generated encyclopedia.
        split: ``train``, ``eval`` (of another part of the world; one in five of a file's questions) or ``all``.
        kinds: kinds of questions, separated by commas: bridge, comparison, temporal, counting, or what the file calls
            them; ``all`` is all that the level or the file has.
        topk: passages that a search returns; None is the level's, or 3.
        passage_chars: most characters of a passage's text that are shown; None is all.
        prompt: ``plain`` (terse tags), ``functions`` (calls of the tool ``search``) or ``search-r1`` (the published
            contract: template, results, correction, 3 passages, 4 turns).
        reward: ``em`` (1 for an exact match after normalisation) or ``f1`` (of the answer's words).
        max_turns: turn limit; None is the level's, or 8.

    Raises:
        ConfigError: a setting is not known, or something it needs is missing.
        DataError: a file is missing or broken.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    demonstrations: ClassVar[tuple[int, int]] = (12000, 3)

    def __init__(
        self,
        *,
        data: str | None = None,
        corpus: str | None = None,
        retriever: str | None = None,
        level: int = 1,
        world: int = 0,
        split: str = "train",
        kinds: str = "all",
        topk: int | None = None,
        passage_chars: int | None = None,
        prompt: str = "plain",
        reward: str = "em",
        max_turns: int | None = None,
    ) -> None:
        for name, value, known in (("prompt contract", prompt, CONTRACTS), ("reward", reward, REWARDS)):
            if value not in known:
                raise UnknownName(name, value, known)
        for name, number in (("topk", topk), ("passage_chars", passage_chars), ("max_turns", max_turns)):
            if number is not None and number < 1:
                raise ConfigError(f"env.{name}={number} must be 1 or more.")
        self.source = open_source(data, corpus, level, world, split, kinds)
        """Where questions and passages come from."""
        self.retriever = shared_retriever(retriever, self.source, data)
        """What searches; shared with other environments of the process."""
        self._contract, self._pays_f1 = CONTRACTS[prompt], reward == "f1"
        size = (TOPK, TURNS) if data is not None else (LEVELS[level].topk, LEVELS[level].max_turns)
        self.topk = topk or self._contract.topk or size[0]
        """Passages that a search returns."""
        self.max_turns = max_turns or self._contract.max_turns or size[1]
        self._chars = passage_chars
        self.instructions, self.reads_reasoning = self._contract.instructions, self._contract.reasons
        self.use(self.search, tags=self._contract.tags)
        self._episode: Episode | None = None

    @property
    def episode(self) -> Episode:
        """Where this episode stands."""
        if self._episode is None:
            raise EnvError("Search has no episode yet. Call reset(seed=...) first.")
        return self._episode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode; ``options={"question": i}`` picks question i of a file's split."""
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        question = self.source.question(drawn)
        if options and "question" in options:
            question = self._picked(options["question"])
        self._episode = Episode(question, self._contract.first.format(question=question.text))
        return self._episode.shown, {"won": False, "task_type": task_type(question)}

    def step(self, text: str) -> StepResult:
        """Search or answer. After an answer nothing changes any more."""
        before = self.episode
        if before.over:
            return before.shown, 0.0, True, False, self._told(before) | {"valid": False, "tool_calls": 0, "tools": []}
        shown, reward, terminated, truncated, info = super().step(text)
        self._episode = self.episode._replace(shown=shown)
        return shown, reward, terminated, truncated, self._told(before) | info

    def search(self, query: str) -> str:
        """Search the corpus for passages.

        Args:
            query: What to look for.
        """
        if not query.strip():
            raise ToolError("Say what to search for.")
        if len(query) > QUERY_CHARS:
            raise ToolError(f"The query has {len(query)} characters; {QUERY_CHARS} are the most.")
        before = self.episode
        hits = self.retriever.search(query, self.topk)
        new = tuple(hit.passage.title for hit in hits if hit.passage.title not in before.found)
        asked = (*before.asked, query.strip())[-REMEMBERED:]
        self._episode = before._replace(found=(*before.found, *dict.fromkeys(new)), asked=asked)
        return self._contract.results(hits, self._chars)

    def answer(self, text: str) -> StepResult:
        """Judge a final answer: exact match and F1 with any of the accepted ones."""
        if not text.strip():
            problem = "Say something: call search, or write the answer."
            return problem, 0.0, False, False, {"valid": False, "tool_calls": 0, "tools": []}
        question = self.episode.question
        won, f1 = exact_match(text, list(question.answers)), token_f1(text, list(question.answers))
        self._episode = self.episode._replace(over=True, won=won)
        info = {"won": won, "score": f1, "valid": True, "tool_calls": 0, "tools": []}
        info["reward"] = {"em": float(won), "f1": f1, "recall": 0.0}
        return "Right." if won else "Wrong.", f1 if self._pays_f1 else float(won), True, False, info

    def state_key(self) -> str:
        """The question with what was found so far; with ``search-r1`` the observation, as in published GiGPO runs."""
        episode = self.episode
        if self._contract.reasons:
            return episode.shown
        return "\n".join((episode.question.text, *sorted(episode.found), *(["over"] if episode.over else [])))

    def expert(self) -> str | None:
        """Follow the chain of supporting passages, then give the answer."""
        e = self.episode
        return None if e.over else self._contract.write(oracle(e.question, e.found, e.asked))

    def noisy_expert(
        self,
        rng: np.random.Generator,
        astray: float = Slips.astray,
        early: float = Slips.early,
        mix: float = Slips.mix,
    ) -> str | None:
        """At times it searches for the wrong name, answers before it read all, or confuses what it read."""
        e, slips = self.episode, Slips(astray, early, mix)
        if e.over:
            return None
        return self._contract.write(fallible(e.question, e.found, e.asked, self.source.named, rng, slips))

    def memory_note(self) -> str | None:
        """What was read of the chain so far."""
        return note(self.episode.question, self.episode.found) or None

    def snapshot(self) -> Any:
        """The episode: immutable, and a matter of a microsecond."""
        return self.episode

    def restore(self, snapshot: Any) -> None:
        if not isinstance(snapshot, Episode):
            raise NotForkable(f"Search cannot restore a {type(snapshot).__name__}; give what snapshot() returned.")
        self._episode = snapshot

    def _picked(self, number: Any) -> Question:
        if not isinstance(self.source, Filed):
            raise ConfigError(
                'options={"question": i} picks among a file\'s questions; give --env.data, or a seed alone.'
            )
        total = len(self.source.questions)
        if not 0 <= int(number) < total:
            raise ConfigError(f"There is no question {number}; those of this split are 0 to {total - 1}.")
        return self.source.questions[int(number)]

    def _told(self, before: Episode) -> dict[str, Any]:
        """What every step's info holds; ``recall`` among the reward's components is what this step added."""
        now = self.episode
        gained = now.recall - before.recall
        return {
            "won": now.won,
            "score": 0.0,
            "reward": {"em": 0.0, "f1": 0.0, "recall": gained},
            "recall": now.recall,
            "task_type": task_type(now.question),
        }


def task_type(question: Question) -> str:
    """Kind of a question with the number of passages it takes, where that is known: ``bridge-2``."""
    return f"{question.kind}-{len(question.hops)}" if question.hops else question.kind
