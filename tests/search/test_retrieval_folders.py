"""What is kept on disk: built once and whole, by one of several processes; noticed and built again when damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agentrl.envs.search import store
from agentrl.envs.search.folders import ENDS, MANIFEST, built, cache_root, is_whole
from agentrl.envs.search.index import BM25
from agentrl.envs.search.passages import Passage
from agentrl.envs.search.retrievers import RetrieverError
from agentrl.envs.search.store import PassageStore, files_key, key_of, open_corpus
from agentrl.errors import DataError


def write(file: Path, count: int = 50, word: str = "castle") -> Path:
    file.write_text("\n".join(json.dumps({"title": f"T{i}", "text": f"{word} number{i} é"}) for i in range(count)))
    return file


def replace(file: Path, data: bytes) -> None:
    """Damage a file that this process may have mapped: to cut it short in place would end the process."""
    file.unlink()
    file.write_bytes(data)


def fill(folder: Path) -> None:
    (folder / "a").write_bytes(b"x" * (3 * ENDS))
    (folder / "b").write_bytes(b"")


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def build(folder: Path) -> None:
        calls.append(folder)
        fill(folder)

    target = tmp_path / "deep" / "key"
    for _ in range(3):
        assert built(target, build) == target
    assert len(calls) == 1
    assert {p.name for p in target.iterdir()} == {"a", "b", MANIFEST}
    assert {p.name for p in target.parent.iterdir()} - {".key.lock"} == {"key"}  # nothing unfinished is left


@pytest.mark.parametrize("damage", ["gone", "cut", "longer", "start", "end", "manifest", "no manifest"])
def test_damage_is_noticed_and_the_folder_built_again(tmp_path: Path, damage: str) -> None:
    target = built(tmp_path / "key", fill)
    assert is_whole(target)
    file, manifest = target / "a", target / MANIFEST
    data = file.read_bytes()
    changed = {"cut": data[:-1], "longer": data + b"x", "start": b"y" + data[1:], "end": data[:-1] + b"y"}
    if damage in changed:
        file.write_bytes(changed[damage])
    elif damage == "gone":
        file.unlink()
    elif damage == "manifest":
        manifest.write_text("[1, 2")
    else:
        manifest.unlink()
    assert not is_whole(target)
    built(target, fill)
    assert is_whole(target)
    assert file.read_bytes() == data


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        fill(folder)
        raise DataError("broken")

    with pytest.raises(DataError):
        built(tmp_path / "key", build)
    assert [p.name for p in tmp_path.iterdir() if p.name != ".key.lock"] == []


def test_threads_that_want_the_same_folder_build_it_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def build(folder: Path) -> None:
        calls.append(1)
        time.sleep(0.05)
        fill(folder)

    threads = [threading.Thread(target=built, args=(tmp_path / "key", build)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert is_whole(tmp_path / "key")


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    file = write(tmp_path / "c.jsonl", 3000)
    code = (
        "import sys; from agentrl.envs.search.index import BM25\n"
        "print([h.passage.title for h in BM25(sys.argv[1], cache=sys.argv[2]).search('castle number7', 3)])"
    )
    command = [sys.executable, "-c", code, str(file), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert said == ["['T7', 'T0', 'T1']\n"] * 3
    [kept] = [p for p in (tmp_path / "cache").iterdir() if p.name != "hashes"]
    assert {p.name.partition("-")[0] for p in kept.iterdir() if not p.name.startswith(".")} == {"passages", "bm25"}


def test_a_killed_build_does_no_harm(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from agentrl.envs.search.folders import built\n"
        "def build(folder):\n    (folder / 'a').write_text('half'); os.kill(os.getpid(), 9)\n"
        "built(Path(sys.argv[1]), build)"
    )
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path / "key")], check=False, timeout=60)
    assert died.returncode == -9
    assert not (tmp_path / "key").exists()
    assert is_whole(built(tmp_path / "key", fill))


def test_the_store_is_a_sequence(tmp_path: Path) -> None:
    passages = open_corpus(write(tmp_path / "c.jsonl"), cache=tmp_path / "cache")
    assert isinstance(passages, PassageStore)
    assert len(passages) == len(list(passages)) == 50
    assert passages[-1] == passages[49] == Passage("49", "T49", "castle number49 é")
    assert [p.id for p in passages[10:4:-3]] == ["10", "7"]
    with pytest.raises(IndexError):
        passages[50]
    assert Passage("3", "T3", "castle number3 é") in passages


def test_a_corpus_is_known_by_its_contents(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    one, two = write(tmp_path / "c.jsonl"), tmp_path / "folder"
    two.mkdir()
    write(two / "c.jsonl")
    key = files_key(one, root)
    assert files_key(two / "c.jsonl", root) == key == files_key(two, root)
    write(two / "c.jsonl", word="tower")
    assert files_key(two, root) != key
    passages = [Passage("0", "a", "b")]
    assert key_of(passages) == key_of(tuple(passages)) != key_of([Passage("0", "a", "c")])


def test_a_file_that_is_as_it_was_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "c.jsonl")
    os.utime(file, (1e9, 1e9))
    key = files_key(file, tmp_path / "cache")
    calls: list[object] = []
    digest = store.hashlib.file_digest
    monkeypatch.setattr(store.hashlib, "file_digest", lambda *a: calls.append(a) or digest(*a))
    assert files_key(file, tmp_path / "cache") == key
    assert calls == []
    for note in (tmp_path / "cache" / "hashes").iterdir():
        note.write_text("nonsense")
    assert files_key(file, tmp_path / "cache") == key
    write(file, word="towers")  # now: too young for its time stamp to be trusted
    for n in (2, 3):
        assert files_key(file, tmp_path / "cache") != key
        assert len(calls) == n


def test_a_damaged_index_is_built_again(tmp_path: Path) -> None:
    file = write(tmp_path / "c.jsonl", 5000)
    expected = BM25(file, cache=tmp_path / "cache").search("castle number77", 3)
    [folder] = (tmp_path / "cache").glob("*/bm25-*")
    for pick in (lambda files: folder / "meta.json", lambda files: max(files, key=lambda f: f.stat().st_size)):
        replace(pick(list(folder.iterdir())), b"\x00" * 100)
        assert not is_whole(folder)
        assert BM25(file, cache=tmp_path / "cache").search("castle number77", 3) == expected
        assert is_whole(folder)


def test_an_index_that_looks_whole_and_is_not_is_built_again(tmp_path: Path) -> None:
    """As left behind by a disk that lies: the manifest fits the damaged files."""
    file = write(tmp_path / "c.jsonl", 5000)
    expected = BM25(file, cache=tmp_path / "cache").search("castle number77", 3)
    [folder] = (tmp_path / "cache").glob("*/bm25-*")

    def spoil(inside: Path) -> None:
        (inside / "meta.json").write_text("{}")

    built(folder, spoil, anew=True)
    assert BM25(file, cache=tmp_path / "cache").search("castle number77", 3) == expected
    [passages] = (tmp_path / "cache").glob("*/passages")
    text = (passages / "passages.jsonl").read_bytes()

    def shorten(inside: Path) -> None:
        (inside / "passages.jsonl").write_bytes(text[:-10])
        (inside / "starts.npy").write_bytes((passages / "starts.npy").read_bytes())

    built(passages, shorten, anew=True)
    assert BM25(file, cache=tmp_path / "cache").search("castle number77", 3) == expected


def test_an_index_that_breaks_while_it_is_used_is_a_failure_of_the_retriever() -> None:
    bm25 = BM25([Passage("0", "castle", "river")])

    class Panic(BaseException):
        pass

    class Broken:
        num_segments = 1

        def search(self, *_: object, **__: object) -> None:
            raise Panic("index out of range")

    bm25._searcher = Broken()  # type: ignore[assignment]
    with pytest.raises(RetrieverError, match="cannot be read: Panic: index out of range"):
        bm25.search("castle", 1)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    file = write(tmp_path / "c.jsonl")
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.warns(UserWarning, match="held in memory"):
        bm25 = BM25(file, cache=tmp_path / "cache")
    assert [h.passage.title for h in bm25.search("number7", 1)] == ["T7"]


def test_a_cache_that_can_only_be_read_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "c.jsonl")
    os.utime(file, (1e9, 1e9))
    expected = BM25(file, cache=tmp_path / "cache").search("castle number7", 3)
    before = sorted(p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*"))
    assert {p.stat().st_mode & 0o444 for p in (tmp_path / "cache").glob("*/*/*")} == {0o444}
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    bm25 = BM25(file, cache=tmp_path / "cache")
    assert bm25.search("castle number7", 3) == expected
    links = Path(bm25._links.name)
    assert (links / "meta.json").is_symlink()
    assert sorted(p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*")) == before
    del bm25
    assert not links.exists()


def test_an_empty_corpus_is_said_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text("\n\n")
    for _ in range(2):
        with pytest.raises(DataError, match="holds no passages"):
            open_corpus(tmp_path / "c.jsonl", cache=tmp_path / "cache")


def test_the_cache_lies_in_the_users_folder_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root(None) == tmp_path / ".cache" / "agentrl" / "search"
    assert cache_root("~/other") == tmp_path / "other"
