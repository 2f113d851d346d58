r"""Tasks from files, in the shapes of the public sets: JSON lines or a JSON list.

    GSM8K               question, answer ("... #### 18")
    MATH, AIME          question or problem; answer (a number or LaTeX), else solution (its last \boxed{})
    MBPP                text or prompt, test_list, test_setup_code, code
    HumanEval           prompt, test, entry_point, canonical_solution
    APPS and the like   question or prompt, and tests, pairs of input and output

A record with tests is a coding task. What kind a task is, is its record's subject or type, or the file's name.
"""

from __future__ import annotations

import ast
import bz2
import gzip
import json
import lzma
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from agentrl.envs.python.cases import Programs, read_tests
from agentrl.envs.python.tasks import Task
from agentrl.errors import DataError
from agentrl.rewards.arpo import boxed

QUESTIONS = ("question", "problem", "prompt", "text")
ANSWERS = ("answer", "final_answer", "expected_answer", "target", "solution")
SOLUTIONS = ("canonical_solution", "code", "reference_solution")
OPENERS: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
_STEP = re.compile(r"<<([-+*/(). \d]+)=[^<>]*>>")


def read_tasks(path: str | Path) -> list[Task]:
    """The tasks of a file.

    Raises:
        DataError: there is no such file, or it is broken; names the file and the line (of a JSON list: the item).
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"There is no file {file}. Expected tasks as .jsonl or .json (.gz, .xz or .bz2 may follow).")
    tasks = []
    for where, item in _items(file):
        try:
            if not isinstance(item, Mapping):
                raise ValueError("it is no JSON object")
            tasks.append(task_of(item, file.name.partition(".")[0]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            what = str(error) if isinstance(error, ValueError) else f"not of a known shape ({error!r})"
            raise DataError(
                f"{file}, {where}: {what}. See agentrl.envs.python.datasets for what can be read."
            ) from error
    if not tasks:
        raise DataError(f"{file} holds no tasks.")
    return tasks


def _items(file: Path) -> Iterator[tuple[str, Any]]:
    """Decoded records, each with its place in the file."""
    opener = OPENERS.get(file.suffix.lower(), open)
    try:
        stream: IO[bytes]
        with opener(file, "rb") as stream:
            text = stream.read().decode("utf-8-sig")
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}. Is it whole, and UTF-8?") from error
    if text.lstrip().startswith("["):
        yield from ((f"item {n} of the list", item) for n, item in enumerate(_decoded(file, text, 1), 1))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"line {number}", _decoded(file, line, number)


def _decoded(file: Path, text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        at = line + getattr(error, "lineno", 1) - 1
        raise DataError(f"{file}, line {at}: not JSON ({error}).") from error


def task_of(item: Mapping[str, Any], name: str) -> Task:
    """A task of any of the shapes; ``name`` is its kind where it has none. Raises ValueError: it is of none."""
    question = next((item[key] for key in QUESTIONS if isinstance(item.get(key), str) and item[key].strip()), None)
    if question is None:
        raise ValueError(f"it has no question; its keys are {sorted(map(str, item))[:8]}")
    kind = str(next((item[key] for key in ("subject", "type", "category") if item.get(key)), name))
    tests = read_tests(item)
    if tests is not None:
        return _coding(item, question, kind, tests)
    given = next((item[key] for key in ANSWERS if item.get(key) not in (None, "", [])), None)
    if given is None or isinstance(given, bool) or not isinstance(given, str | int | float):
        raise ValueError(f"it has no answer that is a text or a number (one of {', '.join(ANSWERS)})")
    told = str(given)
    answer = told.rpartition("####")[2].strip() if "####" in told else told.strip()
    if (inside := boxed(answer)) is not None:
        answer = inside.strip()
    elif "answer" not in item and given is item.get("solution"):
        raise ValueError("its solution has no \\boxed{} answer")
    if not answer or "\n" in answer:
        raise ValueError(f"its answer is {'empty' if not answer else 'of several lines, without ####'}")
    return Task(kind=kind, question=question.strip(), answer=answer, rule="math", code=_calculated(told))


def _calculated(told: str) -> str:
    """GSM8K's own calculations, one a line; empty where there are none."""
    steps = [step.strip() for step in _STEP.findall(told)]
    try:
        for step in steps:
            ast.parse(step, mode="eval")
    except SyntaxError:
        return ""
    return "\n".join(steps)


def _coding(item: Mapping[str, Any], question: str, kind: str, tests: Any) -> Task:
    """A task with tests; MBPP shows them, HumanEval's prompt is the head of the function."""
    solution = next((str(item[key]) for key in SOLUTIONS if item.get(key)), "")
    entry = str(item.get("entry_point") or "")
    if entry and f"def {entry}" in question:
        solution = question + solution if solution and f"def {entry}" not in solution else solution
        question = f"Complete this function. Answer with its whole code.\n{question.strip()}"
    elif isinstance(tests, Programs):
        question = f"{question.strip()}\nAnswer with a Python program that reads the input and prints the output."
    else:
        shown = item.get("test_list") if item.get("test_list") else []
        examples = "\n".join(["", "It must pass:", *shown]) if shown else ""
        named = f" Call it {entry}." if entry else ""
        question = f"{question.strip()}{named}{examples}\nAnswer with the code alone."
    return Task(kind=kind, question=question, answer=solution, rule="tests", tests=tests)
