"""Passages and the files that hold them.

A corpus is a file or a folder. Its passages are read in the order of the files' paths, one at a time, so that a
corpus larger than memory can be indexed:

    .jsonl  .json   each object a passage: {"title", "text"}, or Search-R1's {"contents": "title\\ntext"}; "id" (or
                    "_id", "docid") is kept, else the passage's number in the corpus is its id; other keys are ignored
    .gz  .xz        the same, compressed
    .txt  .md       documents, cut at blank lines into passages of about 100 words (the size of Karpukhin et al. 2020,
                    arXiv:2004.04906); the title is the first heading, or the file's name
"""

from __future__ import annotations

import gzip
import json
import lzma
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any

from agentrl.errors import DataError

WORDS = 100
"""Words of a passage cut from a document."""
JSON_SUFFIXES = (".jsonl", ".json")
TEXT_SUFFIXES = (".txt", ".md")
COMPRESSED = {".gz": gzip.open, ".xz": lzma.open}
EXPECTED = 'Expected {"title": "...", "text": "..."} or {"contents": "title\\ntext"}'


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph of a corpus: what is found, shown and cited."""

    id: str
    """Name within the corpus."""
    title: str
    """Title of the article it is from; several passages may share one."""
    text: str
    """What it says, without the title."""


def read_corpus(path: str | Path) -> Iterator[Passage]:
    """Passages of a file or folder, in the order of the files' paths and of the lines.

    Raises:
        DataError: nothing is there, nothing readable is there, or a file is broken; names the file and the line
            (of a JSON list: the item).
    """
    numbers = count()
    for file in corpus_files(path):
        yield from _documents(file, numbers) if kind(file) in TEXT_SUFFIXES else _objects(file, numbers)


def corpus_files(path: str | Path) -> list[Path]:
    """The files of a corpus, sorted by path; hidden files and files of other kinds are left out.

    Raises:
        DataError: there is no such file or folder, or no file of a known kind in it.
    """
    path = Path(path).expanduser()
    known = ", ".join(JSON_SUFFIXES + TEXT_SUFFIXES)
    if path.is_file():
        if not kind(path):
            raise DataError(f"{path} is no corpus: its name should end in one of {known} (.gz and .xz may follow).")
        return [path]
    if not path.is_dir():
        raise DataError(f"There is no corpus at {path}: no such file or folder.")
    inside = (p for p in path.rglob("*") if not any(n.startswith(".") for n in p.relative_to(path).parts))
    files = sorted(p for p in inside if kind(p) and p.is_file())
    if not files:
        raise DataError(f"{path} holds no corpus: no file whose name ends in one of {known} (.gz and .xz may follow).")
    return files


def kind(file: Path) -> str:
    """Suffix that says how a file is read, without that of its compression; empty for none of ours.

    >>> kind(Path("wiki.jsonl.gz")), kind(Path("notes.md")), kind(Path("photo.png"))
    ('.jsonl', '.md', '')
    """
    suffixes = [s.lower() for s in file.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes = [s for s in suffixes[:-1] if s in JSON_SUFFIXES]
    return suffixes[-1] if suffixes and suffixes[-1] in JSON_SUFFIXES + TEXT_SUFFIXES else ""


def passage(item: object, number: int) -> Passage:
    """A passage from a decoded JSON object; ``number`` is its id where it has none.

    Raises:
        ValueError: it is not of a known shape; says what is wrong.
    """
    if not isinstance(item, Mapping):
        raise ValueError(f"it is {_what(item)}. {EXPECTED}")
    name = next((item[key] for key in ("id", "_id", "docid") if item.get(key) is not None), number)
    if not isinstance(name, str | int):
        raise ValueError(f"its id is {_what(name)}, not text or a whole number")
    if "text" in item:
        title, text = item.get("title"), item["text"]
        title = "" if title is None else title
    elif isinstance(item.get("contents"), str):
        title, _, text = item["contents"].partition("\n")
        title = title.strip().strip('"')
    else:
        raise ValueError(f"its keys are {sorted(map(str, item))[:8]}. {EXPECTED}")
    for key, value in (("title", title), ("text", text)):
        if not isinstance(value, str):
            raise ValueError(f"its {key} is {_what(value)}, not text. {EXPECTED}")
    return Passage(str(name), _whole(title), _whole(text))


def _whole(text: str) -> str:
    """Text without half characters (lone surrogates), which JSON can hold and UTF-8 cannot.

    >>> _whole("a\\ud800b")
    'a?b'
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _what(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _open(file: Path) -> IO[bytes]:
    opener: Any = COMPRESSED.get(file.suffix.lower(), open)
    stream: IO[bytes] = opener(file, "rb")
    return stream


def _objects(file: Path, numbers: Iterator[int]) -> Iterator[Passage]:
    """Passages of a JSON list, or of a file of one JSON object a line (under either suffix)."""
    where = "file"
    try:
        with _open(file) as stream:
            first = stream.readline()
            if _is_list(first):
                whole = first + stream.read()
                for place, item in enumerate(json.loads(whole)):
                    where = f"item {place + 1} of the list"
                    yield passage(item, next(numbers))
                return
            stream.seek(0)
            for place, line in enumerate(stream, 1):
                where = f"line {place}"
                if line.strip():
                    yield passage(json.loads(line.decode("utf-8-sig" if place == 1 else "utf-8")), next(numbers))
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}" if where == "file" else where
        raise DataError(f"{file}, {at}, column {error.colno}: not JSON ({error.msg}). {EXPECTED}.") from error
    except (EOFError, lzma.LZMAError, OSError) as error:
        raise DataError(f"{file} cannot be read after {where}: {error}. Is it whole?") from error
    except ValueError as error:  # what `passage` says, or bytes that are not UTF-8
        raise DataError(f"{file}, {where}: {error}.") from error


def _is_list(first_line: bytes) -> bool:
    return first_line.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _documents(file: Path, numbers: Iterator[int]) -> Iterator[Passage]:
    """Passages of a text file: paragraphs, put together up to `WORDS` words; a longer paragraph is one passage."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}. Text files must be UTF-8.") from error
    heading = re.search(r"^#+\s+(.+?)\s*#*\s*$", text, flags=re.MULTILINE) if kind(file) == ".md" else None
    title = heading[1] if heading else file.stem.replace("_", " ")
    held: list[str] = []
    size = 0
    for paragraph in filter(str.strip, re.split(r"\n\s*\n", text)):
        words = len(paragraph.split())
        if held and size + words > WORDS:
            yield Passage(str(next(numbers)), title, "\n\n".join(held))
            held, size = [], 0
        held.append(paragraph.strip())
        size += words
    if held:
        yield Passage(str(next(numbers)), title, "\n\n".join(held))
