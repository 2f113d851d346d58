"""A corpus on disk: passages by number, memory-mapped, so that one larger than memory opens at once.

Files of passages (`agentrl.envs.search.passages`) are read once and written anew as one file of JSON lines and the
places where they begin. The folder's name is the hash of the files' contents.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import time
import warnings
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from agentrl.envs.search.folders import built, cache_root, watched
from agentrl.envs.search.passages import WORDS, Passage, corpus_files, read_corpus
from agentrl.errors import DataError

FORMAT = 1
"""Of the files written here; another number makes a new folder."""
SETTLED_S = 2.0
"""A file changed within this time may change again without a new time stamp, so its hash is not remembered."""


class PassageStore(Sequence[Passage]):
    """Passages of a built folder. Safe to share by threads and by forked processes.

    Args:
        folder: What `open_corpus` has built.
        key: Hash of the contents.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self._starts = np.load(folder / "starts.npy", mmap_mode="r")
        with (folder / "passages.jsonl").open("rb") as file:
            self._text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self._starts[-1] != len(self._text):
            raise ValueError(f"{folder}: the places do not fit the passages")

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, at: int) -> Passage: ...
    @overload
    def __getitem__(self, at: slice) -> list[Passage]: ...
    def __getitem__(self, at: int | slice) -> Passage | list[Passage]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        return Passage(*json.loads(self._text[self._starts[at] : self._starts[at + 1]]))

    def __iter__(self) -> Iterator[Passage]:
        return (self[i] for i in range(len(self)))

    def __deepcopy__(self, memo: object) -> PassageStore:
        return self  # it cannot change


def open_corpus(path: str | Path, *, cache: str | Path | None = None) -> Sequence[Passage]:
    """The passages of a file or folder, from the cache where they have been read before.

    Where the cache cannot be written, they are held in memory, with a warning.

    Raises:
        DataError: there are no passages, or a file is broken.
    """
    root = cache_root(cache)

    def build(folder: Path) -> None:
        starts = array("q", [0])
        with (folder / "passages.jsonl").open("wb") as file:
            for p in watched(read_corpus(path), "reading passages", None):
                line = json.dumps([p.id, p.title, p.text], ensure_ascii=False).encode() + b"\n"
                file.write(line)
                starts.append(starts[-1] + len(line))
        if len(starts) == 1:
            raise DataError(f"{path} holds no passages.")
        np.save(folder / "starts.npy", np.frombuffer(starts, dtype=np.int64))

    try:
        key = files_key(path, root)
        folder = root / key / "passages"
        try:
            return PassageStore(built(folder, build), key)
        except ValueError:  # the ends of the files are as they were, what lies between is not
            return PassageStore(built(folder, build, anew=True), key)
    except OSError as error:
        warnings.warn(f"The cache {root} cannot be used ({error}): the corpus is held in memory.", stacklevel=2)
        passages = list(read_corpus(path))
        if not passages:
            raise DataError(f"{path} holds no passages.") from None
        return passages


def files_key(path: str | Path, root: Path) -> str:
    """Hash of the names and contents of a corpus' files; files that are as they were are not read again."""
    whole = hashlib.sha256(f"passages {FORMAT} {WORDS}".encode())
    for file in corpus_files(path):
        name = file.relative_to(path).as_posix() if Path(path).is_dir() else file.name
        whole.update(f"\n{_digest(file.resolve(), root / 'hashes')} {name}".encode())
    return whole.hexdigest()[:32]


def _digest(file: Path, known: Path) -> str:
    """SHA-256 of a file, remembered by its path, size and time."""
    stat = file.stat()
    note = known / hashlib.sha256(str(file).encode()).hexdigest()[:32]
    state = f"{stat.st_size} {stat.st_mtime_ns}"
    try:
        kept, digest = note.read_text(encoding="utf-8").split("\n")
        if kept == state and len(digest) == 64:
            return digest
    except (OSError, ValueError):
        pass
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if time.time() - stat.st_mtime > SETTLED_S:
        known.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{state}\n{digest}", encoding="utf-8")
    return digest


def key_of(corpus: Sequence[Passage]) -> str:
    """Hash of a corpus' contents."""
    if isinstance(corpus, PassageStore):
        return corpus.key
    whole = hashlib.sha256(f"passages {FORMAT}".encode())
    for p in corpus:
        whole.update(json.dumps([p.id, p.title, p.text]).encode())
    return whole.hexdigest()[:32]
