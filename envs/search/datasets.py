"""Questions from files, in the shapes of the public sets, with the passages that come along.

    HotpotQA, 2WikiMultihopQA    a JSON list: question, answer, type, supporting_facts, context (pairs or columns)
    MuSiQue                      JSON lines: question, answer, answer_aliases, paragraphs, question_decomposition
    Bamboogle, FlashRAG, others  JSON lines or a list: question, and answer, answers or golden_answers (a text, a
                                 list, or {"target": ...}); also type, aliases, supporting_facts, context as above

One question in five, by a hash of its text, is for evaluation, whatever file it stands in.
"""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from agentrl.envs.search.passages import COMPRESSED, JSON_SUFFIXES, Passage, kind
from agentrl.envs.search.questions import Hop, Question, merged
from agentrl.errors import DataError
from agentrl.rewards.text import golds

HELD_OUT_SHARE = 5
"""One in so many questions is for evaluation."""
ANSWERS = ("answer", "answers", "golden_answers", "Answer")
ALIASES = ("answer_aliases", "aliases")


class Dataset(NamedTuple):
    """What a file holds."""

    questions: list[Question]
    passages: list[Passage]
    """Those that come along with its questions, each once; empty where there are none."""


def is_held_out(question: Question) -> bool:
    """Whether a question is for evaluation only."""
    return zlib.crc32(question.text.encode()) % HELD_OUT_SHARE == 0


def read_questions(path: str | Path) -> Dataset:
    """Questions of a file, and the passages that come along.

    Raises:
        DataError: there is no such file, or it is broken; names the file and the line (of a JSON list: the item).
    """
    file = Path(path).expanduser()
    if not file.is_file() or kind(file) not in JSON_SUFFIXES:
        raise DataError(
            f"{file} is no file of questions: expected one that ends in {' or '.join(JSON_SUFFIXES)} "
            f"(.gz and .xz may follow){'' if file.is_file() else ', and there is none'}."
        )
    questions: list[Question] = []
    passages: dict[tuple[str, str], None] = {}
    for where, item in records(file):
        try:
            if not isinstance(item, Mapping):
                raise ValueError("it is no JSON object")
            if item.get("answerable", True):
                questions.append(question_of(item, file.name.partition(".")[0]))
            passages.update(dict.fromkeys(context_of(item)))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            what = str(error) if isinstance(error, ValueError) else f"not of a known shape ({error!r})"
            raise DataError(
                f"{file}, {where}: {what}. See agentrl.envs.search.datasets for what can be read."
            ) from error
    if not questions:
        raise DataError(f"{file} holds no questions.")
    return Dataset(questions, [Passage(str(n), title, text) for n, (title, text) in enumerate(passages)])


def _open(file: Path) -> IO[bytes]:
    opener: Any = COMPRESSED.get(file.suffix.lower(), open)
    stream: IO[bytes] = opener(file, "rb")
    return stream


def records(file: Path) -> Iterator[tuple[str, Any]]:
    """Decoded objects of a file, each with its place in it.

    Raises:
        DataError: the file cannot be read, or is no JSON; names the line.
    """
    try:
        with _open(file) as stream:
            text = stream.read().decode("utf-8-sig")
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}. Is it whole, and UTF-8?") from error
    if text.lstrip().startswith("["):
        for number, item in enumerate(_decoded(file, text, 1), 1):
            yield f"item {number} of the list", item
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"line {number}", _decoded(file, line, number)


def _decoded(file: Path, text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = line + error.lineno - 1
        raise DataError(f"{file}, line {at}, column {error.colno}: not JSON ({error.msg}).") from error


def question_of(item: Mapping[str, Any], name: str) -> Question:
    """A question of any of the shapes; ``name`` is its kind where it has none."""
    text = item.get("question", item.get("Question"))
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"it has no question; its keys are {sorted(map(str, item))[:8]}")
    key = next((key for key in ANSWERS if item.get(key) is not None), None)
    if key is None:
        raise ValueError(f"it has no answer (one of {', '.join(ANSWERS)})")
    answers = [*golds(item[key]), *(a for alias in ALIASES if item.get(alias) for a in golds(item[alias]))]
    if not all(answer.strip() for answer in answers):
        raise ValueError("one of its answers is empty")
    hops = _hops(item)
    sort = item.get("type") or str(item.get("id", "")).partition("__")[0] if "paragraphs" in item else item.get("type")
    titles = tuple(dict.fromkeys(hop.title for hop in hops))
    return Question(text.strip(), tuple(dict.fromkeys(answers)), str(sort or name), hops, titles)


def _hops(item: Mapping[str, Any]) -> tuple[Hop, ...]:
    """The passages that it rests on; what is to be read there is known in MuSiQue alone."""
    if "paragraphs" in item:
        paragraphs = {p.get("idx", n): p["title"] for n, p in enumerate(item["paragraphs"])}
        steps = item.get("question_decomposition") or [
            {"paragraph_support_idx": p.get("idx", n)}
            for n, p in enumerate(item["paragraphs"])
            if p.get("is_supporting")
        ]
        read = [(paragraphs[s["paragraph_support_idx"]], str(s.get("answer", ""))) for s in steps]
    else:
        read = [(title, "") for title, _ in _pairs(item.get("supporting_facts"), "title", "sent_id")]
    return merged([Hop(title, title, answer) for title, answer in read])


def context_of(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(title, text) of the passages that come along."""
    for paragraph in item.get("paragraphs") or ():
        yield paragraph["title"], paragraph["paragraph_text"]
    for title, sentences in _pairs(item.get("context"), "title", "sentences"):
        yield title, sentences if isinstance(sentences, str) else "".join(sentences)


def _pairs(value: Any, left: str, right: str) -> list[tuple[str, Any]]:
    """Pairs, given as such (the original files) or as two columns (their copies on the hub)."""
    if not value or isinstance(value, str):
        return []
    pairs = zip(value[left], value[right], strict=True) if isinstance(value, Mapping) else value
    found = [(one, other) for one, other in pairs]
    if any(not isinstance(title, str) for title, _ in found):
        raise ValueError("one of its titles is no text")
    return found
