"""The folder of an evaluation.

    config.toml     the command's settings
    results.jsonl   one line per episode, appended as it ends; of several lines for one episode the last one counts
    summary.json    what is evaluated, written before the first episode; all numbers, written after the last
    report.html     the same for people

A line is written by one system call and is whole or missing; a last line that a crash has cut is removed when the
folder is opened again. So an evaluation may be killed at any time, and the same command goes on where it was.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from agentrl.errors import DataError, RunError
from agentrl.evaluation.record import Outcome, as_json, of_json
from agentrl.evaluation.suites import Suite
from agentrl.run import writing
from agentrl.sections import Section
from agentrl.settings import to_toml

Key = tuple[str, int, int]
RESULTS, CONFIG, SUMMARY, REPORT = "results.jsonl", "config.toml", "summary.json", "report.html"
NOT_COMPARED = re.compile(
    r"config\.(out|inspect|limit|data|model\.device|trial\.(concurrency|give_up|episodes|first|attempts)"
    r"|engine\.slots|endpoint\.(rpm|tpm|tries|key_env|price_in|price_out)|.*deadline)"
    r"|suite\.(about|comparable|needs|metrics.*|parts\.\d+\.(tasks|first|attempts))"
)
"""What may change when an evaluation goes on: what changes no episode, and how many there are."""


class Store:
    """A folder that is being written; a context manager. Holds a lock, so that there is one writer.

    Raises:
        RunError: another process writes here, or the folder cannot be written.
        DataError: a line before the last one is broken.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: dict[Key, Outcome] = {}
        """What is there, by episode."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / ".lock")
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise RunError(
                    f"Another evaluation is writing into '{folder}'. Wait for it, or choose another --out."
                ) from None
            _repair(folder / RESULTS)
            self._file = os.open(folder / RESULTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.found = {o.key: o for o in read(folder)}

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)
        self._lock.release()

    def settle(self, config: Section, suite: Suite) -> None:
        """Write down what is evaluated, or hold it to what is there. More tasks and attempts may be asked for.

        Raises:
            RunError: the folder belongs to another evaluation.
        """
        now = {"config": config.model_dump(mode="json"), "suite": suite.model_dump(mode="json")}
        was = read_summary(self.folder) if self.found else {}
        if was:
            before, after = _flat({k: was[k] for k in now}), _flat(now)
            differ = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k) and _matters(k))
            if _same_endpoint(before, after) and "config.model.name" in differ:
                differ.remove("config.model.name")
            if differ:
                told = "; ".join(f"{k.partition('.')[2]} was {before.get(k)}, is {after.get(k)}" for k in differ[:4])
                raise RunError(
                    f"'{self.folder}' holds another evaluation ({told}). Choose another --out, or remove the folder."
                )
        with writing(self.folder):
            replace(self.folder / CONFIG, to_toml(config))
            replace(self.folder / SUMMARY, json.dumps({**now, "finished": False}, indent=2) + "\n")

    def append(self, outcome: Outcome) -> None:
        """Add a line."""
        line = json.dumps(as_json(outcome)).encode() + b"\n"
        with writing(self.folder):
            done = os.write(self._file, line)
            while done < len(line):  # a full disk raises on the second try
                done += os.write(self._file, line[done:])
        self.found[outcome.key] = outcome


def read(folder: Path) -> list[Outcome]:
    """The outcomes of a folder (or of a ``results.jsonl``), the last one of each episode, in order of the episodes.

    Raises:
        RunError: there are none.
        DataError: a line is broken; names file and line. A last line without its end is left out.
    """
    path = folder / RESULTS if folder.is_dir() else folder
    if not path.is_file():
        raise RunError(f"'{folder}' holds no evaluation: there is no {RESULTS}. Write one with agentrl eval --out.")
    *lines, _ = path.read_bytes().split(b"\n")
    found: dict[Key, Outcome] = {}
    for number, line in enumerate(lines, 1):
        try:
            one = of_json(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}:{number}: no outcome of an episode ({error}). Remove the line.") from error
        found[one.key] = one
    order = {part: i for i, part in enumerate(dict.fromkeys(key[0] for key in found))}
    return sorted(found.values(), key=lambda o: (order[o.part], o.task, o.attempt))


def read_summary(folder: Path) -> dict[str, Any]:
    """What ``summary.json`` says; empty where it is not there."""
    path = folder / SUMMARY
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}' cannot be read: {error}") from error
    return found


def replace(path: Path, text: str) -> None:
    """Write a file so that it is either the old or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _repair(path: Path) -> None:
    """Cut off what follows the last whole line."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)


def _matters(key: str) -> bool:
    return NOT_COMPARED.fullmatch(key) is None


def _same_endpoint(was: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether two configurations ask the same model, named by ``--endpoint.served``, perhaps at another address."""
    urls = all(str(one.get("config.model.name")).startswith(("http://", "https://")) for one in (was, now))
    return urls and bool(now.get("config.endpoint.served"))


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if items is None:
        return {prefix.rstrip("."): tree}
    return {key: value for name, inner in items for key, value in _flat(inner, f"{prefix}{name}.").items()}
