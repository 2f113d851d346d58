"""The environment: questions that are answered by computing in a Python session, as a `ToolEnv`."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from agentrl.env import StepResult
from agentrl.envs.python import verifier
from agentrl.envs.python.answers import plainly_equal
from agentrl.envs.python.expert import Slips, fallible, oracle
from agentrl.envs.python.grading import grade
from agentrl.envs.python.levels import LEVELS
from agentrl.envs.python.notebook import Cell, Notebook, check_repeatable
from agentrl.envs.python.prompts import CONTRACTS, bare_code
from agentrl.envs.python.sources import SPLITS, Filed, open_source
from agentrl.envs.python.tasks import Task
from agentrl.errors import ConfigError, EnvError, NotForkable, ToolError, UnknownName
from agentrl.sandboxes import SandboxSpec
from agentrl.sandboxes.backends import NAMES
from agentrl.sandboxes.blocking import shared
from agentrl.tool import ToolEnv

CODE_CHARS = 100_000
"""Longest cell."""
TURNS = 6
"""With tasks from files."""
PLACES = 256
"""Sandboxes of a process at the same time; an episode that computes holds one."""
REWARDS = ("exact", "partial")


class Episode(NamedTuple):
    """Everything that a snapshot holds. All of it is immutable."""

    task: Task
    shown: str
    """The last observation."""
    cells: tuple[Cell, ...] = ()
    """What ran so far."""
    over: bool = False
    """An answer was given."""
    won: bool = False
    """It is right."""


class Python(ToolEnv):
    """Answer questions by computing: a Python session in a sandbox, one for each episode.

    By default tasks are generated, in levels; with --env.data they come from files of mathematical questions (GSM8K,
    MATH, AIME or the like) or of coding tasks with tests (MBPP, HumanEval or the like).

    Args:
        data: a file of tasks (.json, .jsonl; .gz or .xz may follow), or several, separated by commas; None for
            generated ones.
        level: difficulty of generated tasks, 0 to 4; see `levels.py`.
        split: ``train``, ``eval`` (no task of it is one of training; one in five of a file's) or ``all``.
        kinds: kinds of tasks, separated by commas: arithmetic, theory, counting, table, text, date, file, code, or
            names of files; ``all`` is all that the level has.
        prompt: ``plain`` (terse tags) or ``functions`` (calls of the tool ``python``).
        reward: ``exact`` (1 for a right answer; code must pass all tests) or ``partial`` (code earns the share of its
            tests that it passes).
        timeout_s: seconds that a cell may take, and each test of a solution.
        max_output: characters of a cell's output that are shown.
        sandbox: where code runs: ``auto``, ``namespace``, ``landlock``, ``docker``, or the address of a server.
        memory_mb: memory of a sandbox, in MiB.
        max_turns: turn limit; None is the level's, or 6.
        max_calls: cells that may run in an episode; None is the turn limit.

    Raises:
        ConfigError: a setting is not known.
        DataError: a file is missing or broken.
        MissingExtra: answers of the data are formulas, and math-verify is not installed.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    demonstrations: ClassVar[tuple[int, int]] = (3500, 7)

    def __init__(
        self,
        *,
        data: str | None = None,
        level: int = 1,
        split: str = "train",
        kinds: str = "all",
        prompt: str = "plain",
        reward: str = "exact",
        timeout_s: float = 5.0,
        max_output: int = 2000,
        sandbox: str = "auto",
        memory_mb: int = 256,
        max_turns: int | None = None,
        max_calls: int | None = None,
    ) -> None:
        for name, value, known in (("prompt contract", prompt, CONTRACTS), ("reward", reward, REWARDS)):
            if value not in known:
                raise UnknownName(name, value, known)
        if sandbox not in NAMES and not sandbox.startswith(("http://", "https://")):
            raise UnknownName("sandbox backend", sandbox, NAMES)
        limits = {"timeout_s": timeout_s, "max_output": max_output, "memory_mb": memory_mb}
        for name, number in (limits | {"max_turns": max_turns, "max_calls": max_calls}).items():
            if number is not None and number <= 0:
                raise ConfigError(f"env.{name}={number} must be more than 0.")
        self.source = open_source(data, level, split, kinds)
        """Where tasks come from."""
        self.max_turns = max_turns or (TURNS if data is not None else LEVELS[level].max_turns)
        self.max_calls = max_calls or self.max_turns
        """Cells that may run in an episode."""
        self._contract, self._partial, self._timeout_s = CONTRACTS[prompt], reward == "partial", timeout_s
        self.instructions = self._contract.instructions
        self._boxes = shared(sandbox, SandboxSpec(memory_mb=memory_mb), size=PLACES)
        self._judges = shared(sandbox, SandboxSpec(memory_mb=memory_mb, preload=("math",)), size=PLACES)
        self._notebook = Notebook(self._boxes, timeout_s, max_output)
        self.use(self.python, tags=self._contract.tags)
        self._episode: Episode | None = None

    @property
    def episode(self) -> Episode:
        """Where this episode stands."""
        if self._episode is None:
            raise EnvError("Python has no episode yet. Call reset(seed=...) first.")
        return self._episode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode; ``options={"task": i}`` picks task i of the files' split.

        Raises:
            SandboxUnavailable: no sandbox works here; says what to change.
        """
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        task = self._picked(options["task"]) if options and "task" in options else self.source.task(drawn)
        _ = self._boxes.pool  # what does not work is told at once, and not when the first code is to run
        self._notebook.leave()
        self._episode = Episode(task, task.question)
        return task.question, {"won": False, "task_type": task.kind}

    def step(self, text: str) -> StepResult:
        """Compute or answer. After an answer nothing changes any more."""
        e = self.episode
        if e.over:
            return e.shown, 0.0, True, False, self._told() | {"valid": False, "tool_calls": 0, "tools": []}
        shown, reward, terminated, truncated, info = super().step(text)
        self._episode = self.episode._replace(shown=shown)
        return shown, reward, terminated, truncated, self._told() | info

    def python(self, code: str) -> str:
        """Run Python code. Names stay for the next call; the value of a last expression is shown.

        Args:
            code: What to run.
        """
        e, code = self.episode, bare_code(code)
        if not code.strip():
            raise ToolError("There is no code to run.")
        if len(code) > CODE_CHARS:
            raise ToolError(f"The code has {len(code)} characters; {CODE_CHARS} are the most.")
        if len(e.cells) >= self.max_calls:
            raise ToolError(f"No call is left, {self.max_calls} were made. Answer now.")
        cell = self._notebook.run(e.task.files, e.cells, code)
        self._episode = e._replace(cells=(*e.cells, cell))
        return cell.shown

    def answer(self, text: str) -> StepResult:
        """Judge a final answer. Code is judged in sandboxes of its own."""
        if not text.strip():
            problem = "Say something: call python, or write the answer."
            return problem, 0.0, False, False, {"valid": False, "tool_calls": 0, "tools": []}
        e = self.episode
        if e.task.tests is None:
            self._notebook.leave()
        else:
            self._notebook.close()  # before others are opened: who holds one must not wait for another
        score, said = self._judged(e.task, text)
        self._episode = e._replace(over=True, won=score == 1.0)
        info = self._told() | {"valid": True, "tool_calls": 0, "tools": [], "score": score}
        info["reward"] = {"exact": float(score == 1.0), "partial": score}
        return said, score if self._partial else float(score == 1.0), True, False, info

    def state_key(self) -> str:
        """The last observation."""
        return self.episode.shown

    def expert(self) -> str | None:
        """Compute what was asked for, then answer; None after an answer, and where no solution is known."""
        e = self.episode
        move = oracle(e.task, e.cells, self.max_calls - len(e.cells))
        return None if e.over or not move.text else self._contract.write(move)

    def noisy_expert(
        self,
        rng: np.random.Generator,
        misread: float = Slips.misread,
        habit: float = Slips.habit,
        guess: float = Slips.guess,
    ) -> str | None:
        """At times, and mostly where questions are tricky, it computes something else; or it does not compute."""
        e = self.episode
        move = fallible(e.task, e.cells, self.max_calls - len(e.cells), rng, Slips(misread, habit, guess))
        return None if e.over or not move.text else self._contract.write(move)

    def memory_note(self) -> str | None:
        """What the last cell showed."""
        cells = self.episode.cells
        return f"Result: {cells[-1].shown}" if cells else None

    def snapshot(self) -> Any:
        """The episode: immutable, and a matter of a microsecond.

        Raises:
            NotForkable: a cell was cut short, so that the state of the session cannot be reached again.
        """
        check_repeatable(self.episode.cells)
        return self.episode

    def restore(self, snapshot: Any) -> None:
        """Go to a snapshot. The session is opened, and its cells are run again, when the next one is to run."""
        if not isinstance(snapshot, Episode):
            raise NotForkable(f"Python cannot restore a {type(snapshot).__name__}; give what snapshot() returned.")
        self._episode = snapshot

    def close(self) -> None:
        """End the session."""
        self._notebook.close()
        super().close()

    def _judged(self, task: Task, text: str) -> tuple[float, str]:
        """Score from 0 to 1, and what is said about it."""
        if task.tests is not None:
            marks = grade(bare_code(text), task.tests, self._boxes, self._judges, self._timeout_s)
            return marks.share, f"{marks.passed} of {marks.total} tests passed."
        right = verifier.equal(text, task.answer) if task.rule == "math" else plainly_equal(text, task.answer)
        return float(right), "Right." if right else "Wrong."

    def _picked(self, number: Any) -> Task:
        if not isinstance(self.source, Filed):
            raise ConfigError('options={"task": i} picks among the tasks of files; give --env.data, or a seed alone.')
        total = len(self.source.tasks)
        if not 0 <= int(number) < total:
            raise ConfigError(f"There is no task {number}; those of this split are 0 to {total - 1}.")
        return self.source.tasks[int(number)]

    def _told(self) -> dict[str, Any]:
        """What every step's info holds."""
        e = self.episode
        return {"won": e.won, "score": 0.0, "reward": {"exact": 0.0, "partial": 0.0}, "task_type": e.task.kind}
