"""The environment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from agentrl.env import StepResult
from agentrl.envs.memory import answers
from agentrl.envs.memory.cases import Case, Move, Progress, Task
from agentrl.envs.memory.levels import OBJECTIVES
from agentrl.envs.memory.objectives import Objectives
from agentrl.envs.memory.prompts import FORMS, form
from agentrl.envs.search.sources import SPLITS, open_source, shared_retriever
from agentrl.errors import ConfigError, EnvError, NotForkable, UnknownName
from agentrl.tool import ToolEnv


class Episode(NamedTuple):
    case: Case
    shown: str
    progress: Progress = Progress()
    steps: int = 0
    over: bool = False
    won: bool = False
    score: float = 0.0


class Memory(ToolEnv):
    """Proto.

    Args:
        level: l
        split: s
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    demonstrations: ClassVar[tuple[int, int]] = (2000, 2)

    def __init__(self, *, task: str = "objectives", level: int = 1, split: str = "train", questions: int | None = None, topk: int | None = None, hops: int | None = None, world: int=0, prompt: str = "plain") -> None:
        row = OBJECTIVES[level]
        if questions:
            row = replace(row, questions=(min(questions, row.questions[0]), questions))
        if topk: row = replace(row, topk=topk)
        if hops: row = replace(row, hops=hops)
        source = open_source(None, None, row.world, world, split, "all")
        self.task = Objectives(source, shared_retriever(None, source, None), row)
        self.max_turns = self.task.max_turns
        self._form = form(prompt, task)
        self.use(self.search, tags=self._form.tags)
        self._episode = None

    @property
    def episode(self):
        return self._episode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        case = self.task.draw(drawn)
        self._episode = Episode(case, case.opening)
        return case.opening, {"won": False, "task_type": case.kind}

    def step(self, text):
        e = self._episode
        shown, reward, terminated, truncated, info = super().step(text)
        self._episode = self._episode._replace(shown=shown, steps=e.steps + 1)
        e = self._episode
        return shown, reward, terminated, truncated, {"won": e.won, "score": e.score, "reward": {"em": e.score if e.over else 0.0}, "task_type": e.case.kind} | info

    def search(self, query: str, topk: int | None = None) -> str:
        """Search.

        Args:
            query: q
            topk: k
        """
        e = self._episode
        progress, shown = self.task.look(e.case, e.progress, query, topk)
        self._episode = e._replace(progress=progress)
        return shown

    def answer(self, text: str) -> StepResult:
        e = self._episode
        right = answers.right(text, e.case.questions)
        score = sum(right) / len(right) if right else 0.0
        won = score == 1.0
        self._episode = e._replace(over=True, won=won, score=score)
        return "Right." if won else "Wrong.", float(won), True, False, {"valid": right is not None, "tool_calls": 0, "won": won, "score": score}

    def expert(self):
        e = self._episode
        return None if e.over else self._form.write(self.task.oracle(e.case, e.progress))

    def noisy_expert(self, rng):
        e = self._episode
        return None if e.over else self._form.write(self.task.fallible(e.case, e.progress, rng))

    def memory_note(self):
        e = self._episode
        return self.task.note(e.case, e.progress) or None

    def snapshot(self):
        return self._episode

    def restore(self, snapshot):
        self._episode = snapshot

    def state_key(self) -> str:
        e = self._episode
        return "\n".join((e.case.opening, *sorted(e.progress.found), *(["over"] if e.over else [])))
