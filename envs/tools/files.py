"""Tasks from files: records of questions and of mathematics, each told by its shape, in any mixture.

    questions     several answers, passages (context, paragraphs) or supporting_facts: `agentrl.envs.search.datasets`
    mathematics   all else: question or problem, and an answer or a solution: `agentrl.envs.python.datasets`
    TAPO          question, data_source, ability, reward_model {"ground_truth": a text, a list, {"target": ...}};
                  nq and ability fact-reasoning are questions, all else mathematics

By which rule TAPO's reward judges a record is its data_source, else the file's name where that is a source (gsm8k,
aime24, nq, ...), else nq for questions and default for mathematics. Coding tasks with tests belong to ``--env python``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agentrl.envs.python import verifier
from agentrl.envs.python.datasets import task_of
from agentrl.envs.python.procedural import is_held_out as is_held_out_computing
from agentrl.envs.search.datasets import context_of, is_held_out, question_of, records
from agentrl.envs.search.passages import JSON_SUFFIXES, Passage, corpus_files, kind
from agentrl.envs.tools.scoring import check_gold
from agentrl.envs.tools.tasks import Task
from agentrl.errors import ConfigError, DataError, MissingExtra, UnknownName
from agentrl.rewards.tapo import RULES
from agentrl.rewards.text import golds

QUESTION_KEYS = ("context", "paragraphs", "supporting_facts", "golden_answers", "answers")
FACTS = ("nq", "fact-reasoning")
"""Values of data_source or ability that stand for questions."""


class Dataset(NamedTuple):
    """What a file holds."""

    tasks: list[Task]
    passages: list[tuple[str, str]]
    """(title, text) of those that come along."""


class Filed:
    """Tasks of files; seed s takes number ``s % len(tasks)``.

    Args:
        data: The files, separated by commas.
        corpus: A file or folder of passages; None for those that come along.
        split: ``train``, ``eval`` (one task in five, by a hash), or ``all``.
        tasks: ``search`` (questions), ``compute`` (mathematics), or ``all``.

    Raises:
        DataError: a file is missing or broken.
        ConfigError: nothing in the files is of this kind and split.
        MissingExtra: answers are formulas, and math-verify is not installed.
    """

    def __init__(self, data: str, corpus: str | None, split: str, tasks: str) -> None:
        paths = [Path(name.strip()).expanduser() for name in str(data).split(",") if name.strip()]
        found = [read_file(path) for path in paths]
        passages = dict.fromkeys(passage for dataset in found for passage in dataset.passages)
        along = [Passage(str(n), title, text) for n, (title, text) in enumerate(passages)]
        self.corpus: Sequence[Passage] | str | None = corpus or along or None
        files = corpus_files(corpus) if corpus else paths
        self.key: tuple[Any, ...] = tuple((str(f.resolve()), f.stat().st_mtime_ns) for f in files)
        wanted = {name.strip() for name in tasks.split(",")}
        for name in sorted(wanted - {"all", "search", "compute"}):
            raise UnknownName("kind of task in files", name, ["all", "search", "compute"])
        self.tasks = [
            task
            for dataset in found
            for task in dataset.tasks
            if ("all" in wanted or ("search" if task.computing is None else "compute") in wanted)
            and (split == "all" or _is_held_out(task) == (split == "eval"))
        ]
        """Those of the split and the kinds, in the order of the files."""
        if not self.tasks:
            raise ConfigError(f"{data} holds no task of the kind '{tasks}' and the split '{split}'.")
        needs = any(t.computing and verifier.needs_math(t.computing.answer) for t in self.tasks)
        if needs and not verifier.is_installed():
            raise MissingExtra("math-verify", "math")

    def task(self, seed: int) -> Task:
        """The task of a seed."""
        return self.tasks[seed % len(self.tasks)]

    def named(self, title: str) -> tuple[str, ...]:
        """Not known."""
        return ()


def read_file(file: Path) -> Dataset:
    """The tasks of a file, and the passages that come along.

    Raises:
        DataError: there is no such file, or it is broken; names the file and the line (of a JSON list: the item).
    """
    if not file.is_file() or kind(file) not in JSON_SUFFIXES:
        missing = "" if file.is_file() else ", and there is none"
        raise DataError(
            f"{file} is no file of tasks: expected one that ends in {' or '.join(JSON_SUFFIXES)} (.gz and .xz may "
            f"follow){missing}."
        )
    name = file.name.partition(".")[0]
    tasks: list[Task] = []
    passages: list[tuple[str, str]] = []
    for where, item in records(file):
        try:
            if not isinstance(item, Mapping):
                raise ValueError("it is no JSON object")
            if item.get("answerable", True):
                tasks.append(read_record(item, name))
            passages += context_of(item)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            what = str(error) if isinstance(error, ValueError) else f"not of a known shape ({error!r})"
            raise DataError(f"{file}, {where}: {what}. See agentrl.envs.tools.files for what can be read.") from error
    if not tasks:
        raise DataError(f"{file} holds no tasks.")
    return Dataset(tasks, passages)


def read_record(item: Mapping[str, Any], name: str) -> Task:
    """The task of a record; ``name`` is the file's.

    >>> read_record({"question": "1 + 1?", "answer": "2", "data_source": "calculator"}, "mine").source
    'calculator'

    Raises:
        ValueError: it is of no known shape, or its source's rule cannot judge its answer.
    """
    item = _flat(item)
    asks = is_question(item)
    given = item.get("data_source")
    named = name if name in RULES or name.startswith("aime") else "nq" if asks else "default"
    source = str(given) if given else named
    if asks:
        task = Task.of_question(question_of(item, name))._replace(source=source)
    else:
        computing = task_of(item, name)
        if computing.rule == "tests":
            raise ValueError("it is a coding task with tests; train on those with --env python")
        task = Task.of_computing(computing, source)
    check_gold(task)
    return task


def is_question(item: Mapping[str, Any]) -> bool:
    """Whether a record asks for a fact, and not for mathematics."""
    if item.get("data_source") or item.get("ability"):
        return item.get("data_source") in FACTS or item.get("ability") in FACTS
    return any(item.get(key) for key in QUESTION_KEYS) or isinstance(item.get("answer"), list | dict)


def _flat(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record of TAPO's with its answer where others have it; of mathematics with one answer."""
    judged = item.get("reward_model")
    if not isinstance(judged, Mapping):
        return item
    answers = golds(judged.get("ground_truth"))
    return {**item, "answer": answers if is_question(item) else answers[0]}


def _is_held_out(task: Task) -> bool:
    return is_held_out(task.question) if task.computing is None else is_held_out_computing(task.question.text)
