"""The environment: questions that are answered by searching and computing, as a `ToolEnv`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from agentrl.env import StepResult
from agentrl.envs.python.env import CODE_CHARS, PLACES
from agentrl.envs.python.notebook import Notebook, check_repeatable
from agentrl.envs.python.prompts import bare_code
from agentrl.envs.search.env import QUERY_CHARS, REMEMBERED
from agentrl.envs.tools.episode import Episode
from agentrl.envs.tools.expert import Move, Sight, Slips, fallible, oracle, remember
from agentrl.envs.tools.files import Filed
from agentrl.envs.tools.fresh import Fresh
from agentrl.envs.tools.levels import LEVELS
from agentrl.envs.tools.prompts import CONTRACTS
from agentrl.envs.tools.scoring import REWARDS, mark
from agentrl.envs.tools.settings import check_names, open_source
from agentrl.envs.tools.sources import SPLITS, Source, retriever_of
from agentrl.envs.tools.tasks import Task
from agentrl.errors import ConfigError, EnvError, NotForkable, ToolError
from agentrl.sandboxes import SandboxSpec
from agentrl.sandboxes.blocking import shared
from agentrl.tool import ToolEnv

TOPK, TURNS = 3, 8
"""With tasks from files."""


class Tools(ToolEnv):
    """Answer questions with a search engine and a Python session: the home of ARPO, AEPO and TAPO.

    By default tasks are generated, in levels: some need a search, some a computation, and some a computation with
    facts that have to be searched for. With --env.data they come from files of questions or of mathematics.

    Args:
        data: a file of tasks (.json, .jsonl; .gz or .xz may follow), or several, separated by commas: questions
            (HotpotQA, Bamboogle or the like), mathematics (GSM8K, AIME or the like), or TAPO's with data_source;
            None for generated ones.
        corpus: a file or folder of passages for ``data``; None for those that come along with the questions.
        retriever: ``bm25`` (the default), ``dense:MODEL``, ``hybrid:MODEL``, ``http://HOST/PATH`` (a server in
            Search-R1's shape), ``serper``, ``brave``, ``tavily``, ``searxng:URL``.
        level: difficulty of generated tasks, 0 to 4; see `levels.py`.
        world: seed of the generated encyclopedia.
        split: ``train``, ``eval`` (no task of it is one of training; one in five of a file's) or ``all``.
        tasks: kinds of tasks, separated by commas: ``search``, ``compute``, ``both``; ``all`` is all.
        prompt: ``plain`` (terse tags), ``functions`` (calls of the tools), ``arpo`` or ``tapo`` (as published: tags,
            results, limits, reward).
        reward: ``em`` (1 for a right answer), ``f1`` (of the answer's words), ``arpo`` (-1 for a wrong form, else F1,
            and .1 more for the use of both tools) or ``tapo`` (-1 for a wrong form, else by the source's rule); None is
            the prompt's, for ``plain`` and ``functions`` em.
        topk: passages that a search returns; None is the prompt's (arpo 10, tapo 1), the level's, or 3.
        passage_chars: most characters of a passage's text that are shown; None is the prompt's (arpo 1000), or all.
        timeout_s: seconds that code may take; None is the prompt's (tapo 30), or 5.
        max_output: characters of a run's output that are shown; None is the prompt's (tapo 8192), or 2000.
        sandbox: where code runs: ``auto``, ``namespace``, ``landlock``, ``docker``, or the address of a server.
        memory_mb: memory of a sandbox, in MiB.
        max_turns: turn limit; None is the prompt's (arpo 7, tapo 5), the level's, or 8.
        max_calls: calls of tools that are carried out; None is the prompt's (arpo 6, tapo 4), or the turn limit.

    Raises:
        ConfigError: a setting is not known, or something it needs is missing.
        DataError: a file is missing or broken.
        MissingExtra: answers of the data are formulas, and math-verify is not installed.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    demonstrations: ClassVar[tuple[int, int]] = (6000, 6)

    def __init__(
        self,
        *,
        data: str | None = None,
        corpus: str | None = None,
        retriever: str | None = None,
        level: int = 1,
        world: int = 0,
        split: str = "train",
        tasks: str = "all",
        prompt: str = "plain",
        reward: str | None = None,
        topk: int | None = None,
        passage_chars: int | None = None,
        timeout_s: float | None = None,
        max_output: int | None = None,
        sandbox: str = "auto",
        memory_mb: int = 256,
        max_turns: int | None = None,
        max_calls: int | None = None,
    ) -> None:
        check_names(prompt, reward, split, sandbox)
        limits = {"topk": topk, "passage_chars": passage_chars, "timeout_s": timeout_s, "max_output": max_output}
        for name, number in (limits | {"memory_mb": memory_mb, "max_turns": max_turns, "max_calls": max_calls}).items():
            if number is not None and number <= 0:
                raise ConfigError(f"env.{name}={number} must be more than 0.")
        self._contract = contract = CONTRACTS[prompt]
        self.source: Source = open_source(data, corpus, level, world, split, tasks)
        """Where tasks and passages come from."""
        self.retriever = retriever_of(retriever, self.source)
        """What searches; shared with other environments of the process."""
        self.reward = reward or contract.reward
        """A key of `REWARDS`."""
        self.reward_range = REWARDS[self.reward]
        size = (TOPK, TURNS) if data is not None else (LEVELS[level].topk, LEVELS[level].max_turns)
        self.topk = topk or contract.topk or size[0]
        """Passages that a search returns."""
        self.max_turns = max_turns or contract.max_turns or size[1]
        self.max_calls = max_calls or contract.max_calls or self.max_turns
        """Calls that are carried out."""
        self._chars = passage_chars or contract.passage_chars
        self.instructions, self.reads_reasoning = contract.instructions, contract.whole
        self._boxes = shared(sandbox, SandboxSpec(memory_mb=memory_mb), size=PLACES)
        seconds, chars = timeout_s or contract.timeout_s, max_output or contract.max_output
        self._runner = Notebook(self._boxes, seconds, chars)
        if contract.whole:
            self._runner = Fresh(self._boxes, seconds, chars, contract.ran, prints=contract.prints)
        self.use(self.search, self.python, tags=contract.tags)
        self._episode: Episode | None = None

    @property
    def episode(self) -> Episode:
        """Where this episode stands."""
        if self._episode is None:
            raise EnvError("Tools has no episode yet. Call reset(seed=...) first.")
        return self._episode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode; ``options={"task": i}`` picks task i of the files' split. A sandbox is opened when
        the first code is to run, and kept for the next episodes.

        Raises:
            SandboxUnavailable: no sandbox works here; says what to change.
        """
        super().reset(seed=seed)
        self._runner.leave()
        _ = self._boxes.pool  # told at once, and not when the first code is to run
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        task = self._picked(options["task"]) if options and "task" in options else self.source.task(drawn)
        shown = self._contract.first.format(question=task.question.text)
        self._episode = Episode(self._contract.adapted(task), shown)
        return shown, {"won": False, "task_type": task.question.kind}

    def step(self, text: str) -> StepResult:
        """Search, compute or answer. After an answer nothing changes any more.

        Raises:
            RetrieverError, SandboxError: a tool broke; the episode stands where it stood.
        """
        before = self.episode
        if before.over:
            return before.shown, 0.0, True, False, self._told(before) | {"valid": False, "tool_calls": 0, "tools": []}
        said = before.response + text if self._contract.whole else ""
        self._episode = before._replace(turns=before.turns + 1, response=said)
        try:
            result = self._acted(text, before)
        except BaseException:
            self._episode = before
            raise
        self._episode = self.episode._replace(shown=result[0])
        return (*result[:4], self._told(before) | result[4])

    def search(self, query: str) -> str:
        """Search the corpus for passages.

        Args:
            query: What to look for.
        """
        self._spend()
        if not query.strip():
            raise ToolError("Say what to search for.")
        if len(query) > QUERY_CHARS:
            raise ToolError(f"The query has {len(query)} characters; {QUERY_CHARS} are the most.")
        hits = self.retriever.search(query, self.topk)
        e = self.episode
        new = tuple(hit.passage.title for hit in hits if hit.passage.title not in e.found)
        asked = (*e.asked, query.strip())[-REMEMBERED:]
        found = (*e.found, *dict.fromkeys(new))
        self._episode = e._replace(found=found, asked=asked, used=e.used | {"search"})
        return self._contract.results(hits, self._chars)

    def python(self, code: str) -> str:
        """Run Python code. The value of a last expression is shown.

        Args:
            code: What to run.
        """
        self._spend()
        code = bare_code(code)
        if not code.strip():
            raise ToolError("There is no code to run.")
        if len(code) > CODE_CHARS:
            raise ToolError(f"The code has {len(code)} characters; {CODE_CHARS} are the most.")
        e = self.episode
        files = e.task.computing.files if e.task.computing else ()
        cell = self._runner.run(files, e.cells, code)
        self._episode = e._replace(cells=(*e.cells, cell), used=e.used | {"python"})
        return cell.shown

    def answer(self, text: str) -> StepResult:
        """Judge a final answer."""
        if not text.strip():
            problem = "Say something: call search or python, or write the answer."
            return problem, 0.0, False, False, {"valid": False, "tool_calls": 0, "tools": []}
        return self._judged(self._contract.content(text), {"valid": True, "tool_calls": 0, "tools": []})

    def state_key(self) -> str:
        """The question with what was found and shown so far; with ``arpo`` and ``tapo`` the observation."""
        e = self.episode
        if self._contract.whole:
            return e.shown
        results = [cell.shown for cell in e.cells]
        return "\n".join((e.task.question.text, *sorted(e.found), *results, *(["over"] if e.over else [])))

    def expert(self) -> str | None:
        """Look up what is needed, compute, answer."""
        return self._written(oracle(self._sight()))

    def noisy_expert(
        self,
        rng: np.random.Generator,
        skip: float = Slips.skip,
        hasty: float = Slips.hasty,
        order: float = Slips.order,
        misread: float = Slips.misread,
        guess: float = Slips.guess,
        astray: float = Slips.astray,
        mix: float = Slips.mix,
        needless: float = Slips.needless,
    ) -> str | None:
        """At times it makes numbers up, computes something else, answers with what it read, or uses a tool in vain."""
        slips = Slips(skip, hasty, order, misread, guess, astray, mix, needless)
        return self._written(fallible(self._sight(), self.source.named, rng, slips))

    def memory_note(self) -> str | None:
        """What was read and computed so far."""
        return remember(self._sight()) or None

    def snapshot(self) -> Any:
        """The episode: immutable, and a matter of a microsecond.

        Raises:
            NotForkable: code that later code may build on was cut short, so that its state cannot be reached again.
        """
        if not self._contract.whole:
            check_repeatable(self.episode.cells)
        return self.episode

    def restore(self, snapshot: Any) -> None:
        """Go to a snapshot. A sandbox is opened, and earlier code run again in it, when the next code is to run."""
        if not isinstance(snapshot, Episode):
            raise NotForkable(f"Tools cannot restore a {type(snapshot).__name__}; give what snapshot() returned.")
        self._episode = snapshot

    def close(self) -> None:
        """End the sandbox."""
        self._runner.close()
        super().close()

    def _acted(self, text: str, before: Episode) -> StepResult:
        """What comes of a reply, and whether it was the last one."""
        result = super().step(text)
        e, contract, info = self.episode, self._contract, result[4]
        if e.over or not contract.whole:
            return result
        self._episode = e._replace(response=e.response + result[0])
        refused = info["tool_calls"] > 0 and e.calls == before.calls
        silent = contract.lone and info["tool_calls"] == 0
        if silent or refused or e.turns >= self.max_turns:
            return self._judged("", info, cut=not silent and not refused)
        return result

    def _spend(self) -> None:
        """Count a call, or refuse it."""
        e = self.episode
        if e.calls >= self.max_calls or (self._contract.whole and e.turns >= self.max_turns):
            raise ToolError(f"No call is left, {e.calls} were made. Answer now.")
        self._episode = e._replace(calls=e.calls + 1)

    def _judged(self, content: str, info: dict[str, Any], *, cut: bool = False) -> StepResult:
        """The end of an episode. ``cut``: by the turn limit."""
        e = self.episode
        marks = mark(e.task, self.reward, content, e.response, e.used)
        self._episode = e._replace(over=True, won=marks.won)
        self._runner.leave()
        told = info | {"won": marks.won, "score": marks.f1, "reward": {**marks.parts, "recall": 0.0}}
        return "Right." if marks.won else "Wrong.", marks.reward, not cut, cut, told

    def _sight(self) -> Sight:
        e = self.episode
        last = self._contract.whole and e.turns >= self.max_turns - 1
        return Sight(e.task, e.found, e.asked, e.cells, 0 if last else self.max_calls - e.calls)

    def _written(self, move: Move) -> str | None:
        """A move in the contract's form; None after an answer, and where no solution is known."""
        return None if self.episode.over or not move.text else self._contract.write(move)

    def _picked(self, number: Any) -> Task:
        if not isinstance(self.source, Filed):
            raise ConfigError('options={"task": i} picks among the tasks of files; give --env.data, or a seed alone.')
        total = len(self.source.tasks)
        if not 0 <= int(number) < total:
            raise ConfigError(f"There is no task {number}; those of this split are 0 to {total - 1}.")
        return self.source.tasks[int(number)]

    def _told(self, before: Episode) -> dict[str, Any]:
        """What every step's info holds; ``recall`` among the reward's components is what this step added."""
        now = self.episode
        parts = {"em": 0.0, "f1": 0.0, "format": 0.0, "bonus": 0.0, "recall": now.recall - before.recall}
        kind = now.task.question.kind
        return {"won": now.won, "score": 0.0, "reward": parts, "recall": now.recall, "task_type": kind}
