"""Folders that are built once and kept between runs: corpora, indexes, embeddings.

A folder is built under another name and then renamed, so it is whole or not there. Of several processes that want
the same one, one builds it and the others wait. A manifest written last, ``built.json``, holds the size of each file
and a checksum of its ends; a folder that differs from its manifest is built again.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

MANIFEST = "built.json"
ENDS = 65_536
"""Bytes at either end of a file that its checksum is of: enough to notice what a crash or a full disk leaves behind,
and as quick for a large file as for a small one."""
LARGE = 20_000
"""Passages from which on work is slow enough to show its progress, and its result worth keeping on disk."""

T = TypeVar("T")


def cache_root(cache: str | Path | None) -> Path:
    """The folder of all that is kept: the one given, or ``~/.cache/agentrl/search``."""
    return Path(cache).expanduser() if cache is not None else Path.home() / ".cache" / "agentrl" / "search"


def built(folder: Path, build: Callable[[Path], None], *, anew: bool = False) -> Path:
    """The folder, built where it is missing or damaged.

    Args:
        folder: Where it belongs. Its name should be made from the hash of all that it depends on.
        build: Fills the empty folder that it is given.
        anew: Build even if the folder looks whole: what it holds turned out to be unreadable.

    Raises:
        OSError: it cannot be written.
    """
    if anew or not is_whole(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if anew or not is_whole(folder):  # else another process has built it while this one waited
                _build(folder, build)
    return folder


def _build(folder: Path, build: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        build(unfinished)
        unfinished.chmod(0o755)  # a cache may be shared
        for file in unfinished.iterdir():
            file.chmod(0o644)
        files = {f.name: _seal(f) for f in sorted(unfinished.iterdir()) if f.suffix != ".lock"}
        (unfinished / MANIFEST).write_text(json.dumps(files), encoding="utf-8")
        if folder.exists():  # damaged; another process may still read it, so it goes away under another name
            away = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            folder.rename(away / "damaged")
            shutil.rmtree(away, ignore_errors=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def is_whole(folder: Path) -> bool:
    """Whether a folder is there and is as it was built."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return all(_seal(folder / name) == seal for name, seal in files.items())
    except (OSError, ValueError, AttributeError):
        return False


def _seal(file: Path) -> list[int]:
    """Size of a file, and the CRC of its first and last `ENDS` bytes."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        crc = zlib.crc32(stream.read(ENDS))
        stream.seek(max(0, size - ENDS))
        return [size, zlib.crc32(stream.read(ENDS), crc)]


def watched(items: Iterable[T], what: str, total: int | None, *, large: int = LARGE) -> Iterator[T]:
    """The items, with a progress bar on a terminal where there are many (or it is not known how many)."""
    if not sys.stderr.isatty() or (total is not None and total < large):
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, what, total=total, console=Console(stderr=True), transient=True)
