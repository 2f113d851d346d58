"""The environment: several questions, answered together after much was read, as a `ToolEnv`."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from agentrl.env import StepResult
from agentrl.envs.memory import answers
from agentrl.envs.memory.cases import Case, Progress
from agentrl.envs.memory.prompts import FORMS, form
from agentrl.envs.memory.tasks import REWARDS, TASKS, open_task
from agentrl.errors import ConfigError, EnvError, NotForkable, UnknownName
from agentrl.tool import ToolEnv

VIOLATION = 0.1
"""What the reward ``published`` takes for an answer that cannot be read, and for the turn limit."""
SILENCE = "Say something: call the tool, or write the answers."


class Episode(NamedTuple):
    """Everything that a snapshot holds. All of it is immutable."""

    case: Case
    shown: str
    """The last observation."""
    progress: Progress = Progress()
    steps: int = 0
    """Actions so far."""
    over: bool = False
    """An answer was given, or the turn limit was reached where the reward depends on it."""
    won: bool = False
    """All answers are right."""
    score: float = 0.0
    """Share of the questions that were answered right."""


class Memory(ToolEnv):
    """Answer several questions at once, after reading more than the context is meant to hold.

    Three tasks: ``objectives`` (search a corpus for what answers each of the questions), ``log`` (read a long log page
    by page), ``inventory`` (read once what became of things; the questions come last). The context is the rollout's
    business: give a short one (--model.max_context) and let the policy prune or summarise it (--rollout.context).

    Args:
        task: ``objectives``, ``log`` or ``inventory``.
        level: difficulty, 0 to 4; see `levels.py`.
        split: ``train``, ``eval`` (other names, of other parts of the generated world; one in five of a file's
            questions) or ``all``.
        world: seed of the generated world.
        questions: how many in each episode, 1 to 8; None is the level's.
        data: objectives: a file of questions (as --env.data of ``search``), with 1 to 3 at once and 3 passages a search
            at all levels; None for generated ones.
        corpus: objectives: a file or folder of passages for ``data``; None for those that come with the questions.
        retriever: objectives: what searches (as --env.retriever of ``search``); None is BM25.
        topk: objectives: passages that a search returns; None is the level's.
        passage_words: objectives: words of a passage; longer ones are cut, shorter ones filled up with empty phrases;
            None is the level's.
        pages: log, inventory: how many pages; None is the level's.
        page_words: log, inventory: about how many words a page has; None is the level's.
        prompt: ``plain`` (terse tags) or ``functions`` (calls of the tool ``search`` or ``read``).
        reward: ``success`` (1 where all answers are right), ``share`` (of the right answers), or ``published`` (1, or
            -0.1 for an answer that cannot be read and for the turn limit, or 0; the algorithm ``dcpo`` takes the 0.1
            by itself).
        max_turns: turn limit; None is the level's.

    Raises:
        ConfigError: a setting is not known, or not one of the task.
        DataError: a file is missing or broken.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "eval", "all")
    demonstrations: ClassVar[tuple[int, int]] = (12000, 1)
    reading_weight: ClassVar[float] = 1.0

    def __init__(
        self,
        *,
        task: str = "objectives",
        level: int = 1,
        split: str = "train",
        world: int = 0,
        questions: int | None = None,
        data: str | None = None,
        corpus: str | None = None,
        retriever: str | None = None,
        topk: int | None = None,
        passage_words: int | None = None,
        pages: int | None = None,
        page_words: int | None = None,
        prompt: str = "plain",
        reward: str = "success",
        max_turns: int | None = None,
    ) -> None:
        for name, value, known in (
            ("task", task, TASKS),
            ("prompt", prompt, FORMS),
            ("reward", reward, REWARDS),
            ("split", split, self.splits),
        ):
            if value not in known:
                raise UnknownName(name, value, known)
        if max_turns is not None and max_turns < 1:
            raise ConfigError(f"env.max_turns={max_turns} must be 1 or more.")
        sizes = {"questions": questions, "topk": topk, "passage_words": passage_words}
        sizes |= {"pages": pages, "page_words": page_words}
        files = {"data": data, "corpus": corpus, "retriever": retriever}
        self.task = open_task(task, level, split, world, sizes, files)
        """What is to be done."""
        self.max_turns = max_turns or self.task.max_turns
        self._reward, self._form = reward, form(prompt, task)
        self.reward_range = (-VIOLATION if reward == "published" else 0.0, 1.0)
        self.instructions = self._form.instructions
        self.use(self.search if task == "objectives" else self.read, tags=self._form.tags)
        self._episode: Episode | None = None

    @property
    def episode(self) -> Episode:
        """Where this episode stands."""
        if self._episode is None:
            raise EnvError("Memory has no episode yet. Call reset(seed=...) first.")
        return self._episode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        case = self.task.draw(int(self.np_random.integers(2**31)) if seed is None else seed)
        self._episode = Episode(case, case.opening)
        return case.opening, {"won": False, "task_type": case.kind}

    def step(self, text: str) -> StepResult:
        """Look further, or answer. After an answer nothing changes any more."""
        before = self.episode
        if before.over:
            return before.shown, 0.0, True, False, self._told(before) | {"valid": False, "tool_calls": 0, "tools": []}
        shown, reward, terminated, truncated, info = super().step(text)
        self._episode = self.episode._replace(shown=shown, steps=before.steps + 1)
        if self._reward == "published" and not terminated and self.episode.steps >= self.max_turns:
            reward, truncated = -VIOLATION, True
            self._episode = self.episode._replace(over=True)
        told = self._told(before)
        told["reward"] |= {"violation": min(0.0, reward)}
        return shown, reward, terminated, truncated, told | info

    def search(self, query: str, topk: int | None = None) -> str:
        """Search the corpus for passages.

        Args:
            query: What to look for.
            topk: How many passages to return.
        """
        return self._look(query, topk)

    def read(self, page: int) -> str:
        """Read a page.

        Args:
            page: Its number, from 1.
        """
        return self._look(str(page), None)

    def answer(self, text: str) -> StepResult:
        """Judge the answers, ``first; second; ...``: exact match of each; not one for each question is unreadable."""
        if not text.strip():
            return SILENCE, 0.0, False, False, {"valid": False, "tool_calls": 0, "tools": []}
        right = answers.right(text, self.episode.case.questions)
        score = sum(right) / len(right) if right else 0.0
        won = right is not None and all(right)
        self._episode = self.episode._replace(over=True, won=won, score=score)
        reward = score if self._reward == "share" else float(won)
        if right is None:
            shown = f"{len(self.episode.case.questions)} answers were wanted, separated by semicolons."
            reward = -VIOLATION if self._reward == "published" else 0.0
        else:
            shown = f"{sum(right)} of {len(right)} right."
        return shown, reward, True, False, {"valid": right is not None, "tool_calls": 0, "tools": []}

    def state_key(self) -> str:
        """What is asked, with what was seen so far."""
        episode = self.episode
        parts = (episode.case.opening, *sorted(episode.progress.found), *(["over"] if episode.over else []))
        return "\n".join(parts)

    def expert(self) -> str | None:
        """Look at all that is needed, then give the right answers."""
        e = self.episode
        return None if e.over else self._form.write(self.task.oracle(e.case, e.progress))

    def noisy_expert(self, rng: np.random.Generator) -> str | None:
        """At times it looks for the wrong thing or leaves something out, and errs in an answer."""
        e = self.episode
        return None if e.over else self._form.write(self.task.fallible(e.case, e.progress, rng))

    def memory_note(self) -> str | None:
        """What was found out so far and what is open, enough to go on and to answer."""
        e = self.episode
        return self.task.note(e.case, e.progress) or None

    def snapshot(self) -> Any:
        """The episode: immutable, and a matter of a microsecond."""
        return self.episode

    def restore(self, snapshot: Any) -> None:
        if not isinstance(snapshot, Episode):
            raise NotForkable(f"Memory cannot restore a {type(snapshot).__name__}; give what snapshot() returned.")
        self._episode = snapshot

    def _look(self, said: str, most: int | None) -> str:
        episode = self.episode
        progress, shown = self.task.look(episode.case, episode.progress, said, most)
        self._episode = episode._replace(progress=progress)
        return shown

    def _told(self, before: Episode) -> dict[str, Any]:
        """What every step's info holds; ``seen`` among the reward's components is what this step added."""
        now = self.episode
        seen = self.task.seen(now.case, now.progress)
        gained = seen - self.task.seen(before.case, before.progress)
        return {
            "won": now.won,
            "score": now.score,
            "reward": {"right": now.score - before.score, "seen": gained, "violation": 0.0},
            "seen": seen,
            "task_type": now.case.kind,
        }
