"""Files of passages: each format, and each way of being broken."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path

import pytest

from agentrl.envs.search.passages import Passage, corpus_files, kind, passage, read_corpus
from agentrl.errors import DataError

A = {"title": "Ada Lovelace", "text": "Wrote the first program."}


def test_json_lines_keep_their_ids_or_are_numbered(tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    lines = [A, {**A, "id": 7}, {**A, "_id": "doc-3"}, {"contents": '"Ada Lovelace"\nWrote it.\nAll.', "id": "3"}]
    file.write_text("\n\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    assert list(read_corpus(file)) == [
        Passage("0", A["title"], A["text"]),
        Passage("7", A["title"], A["text"]),
        Passage("doc-3", A["title"], A["text"]),
        Passage("3", "Ada Lovelace", "Wrote it.\nAll."),
    ]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", json.dumps([A, A], indent=1).encode()),
        ("a.json", b"\xef\xbb\xbf" + json.dumps([A, A]).encode()),
        ("a.json", f"{json.dumps(A)}\n{json.dumps(A)}".encode()),  # lines under the name of a list
        ("a.jsonl", json.dumps([A, A]).encode()),  # and the other way round
        ("a.jsonl", b"\xef\xbb\xbf" + f"{json.dumps(A)}\r\n{json.dumps(A)}\r\n".encode()),
        ("a.jsonl.gz", gzip.compress(f"{json.dumps(A)}\n{json.dumps(A)}".encode())),
        ("a.json.xz", lzma.compress(json.dumps([A, A]).encode())),
        ("a.JSON", json.dumps([A, A]).encode()),
    ],
)
def test_lists_lines_and_compressed_files_are_read_alike(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert [p.title for p in read_corpus(tmp_path / name)] == ["Ada Lovelace"] * 2


def test_folders_are_read_in_the_order_of_paths_with_one_numbering(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.jsonl").write_text(json.dumps(A))
    (tmp_path / "a.json").write_text(json.dumps([A, A]))
    (tmp_path / ".hidden.json").write_text("not read")
    (tmp_path / "picture.png").write_bytes(b"\x00")
    assert [p.id for p in read_corpus(tmp_path)] == ["0", "1", "2"]
    assert [f.name for f in corpus_files(tmp_path)] == ["a.json", "x.jsonl"]


def test_documents_are_cut_at_blank_lines_into_passages_of_about_a_hundred_words(tmp_path: Path) -> None:
    paragraphs = [" ".join([f"word{i}"] * 40) for i in range(4)] + [" ".join(["long"] * 250)]
    (tmp_path / "a.md").write_text("Preface.\n\n# The Title #\n\n" + "\n \n".join(paragraphs), encoding="utf-8")
    (tmp_path / "some_notes.txt").write_text("One line.", encoding="utf-8")
    *cut, notes = read_corpus(tmp_path)
    assert {p.title for p in cut} == {"The Title"}
    assert [len(p.text.split()) for p in cut] == [1 + 4 + 80, 80, 250]  # "Preface.", "# The Title #" and two paragraphs
    assert notes == Passage("3", "some notes", "One line.")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.jsonl", b'{"title": "x", "text": "y"}\n{"title": ', "line 2"),
        ("a.jsonl", b'{"title": "x", "text": "y"}\n\n["x"]', "line 3: it is a list"),
        ("a.jsonl", b'{"title": "x", "text": 3}', "line 1: its text is a number"),
        ("a.jsonl", b'{"title": ["x"], "text": "y"}', "line 1: its title is a list"),
        ("a.jsonl", b'{"title": "x", "body": "y"}', r"line 1: its keys are \['body', 'title'\]"),
        ("a.jsonl", b'{"title": "x", "text": "y", "id": {}}', "line 1: its id is an object"),
        ("a.jsonl", b'{"title": "x", "text": "\xff"}', "line 1"),
        ("a.json", b'[{"title": "x", "text": "y"},\n\n{"title": x}]', "line 3"),
        ("a.json", b'[{"title": "x", "text": "y"}, null]', "item 2 of the list: it is null"),
        ("a.jsonl.gz", gzip.compress(b'{"title": "x", "text": "y"}' * 50)[:40], "cannot be read"),
        ("a.json.xz", b"no xz at all", "cannot be read"),
        ("a.txt", b"\xff\xfe", "UTF-8"),
    ],
)
def test_broken_files_are_named_with_the_place(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=said) as caught:
        list(read_corpus(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        list(read_corpus(tmp_path / "missing"))
    with pytest.raises(DataError, match="holds no corpus"):
        list(read_corpus(tmp_path))
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(DataError, match="its name should end in"):
        list(read_corpus(tmp_path / "a.csv"))


def test_half_characters_become_question_marks() -> None:
    assert passage(json.loads('{"title": "a\\ud800", "text": "b\\udfff"}'), 0) == Passage("0", "a?", "b?")


def test_compressed_documents_are_of_no_known_kind() -> None:
    assert [kind(Path(n)) for n in ("a.txt", "a.txt.gz", "a.json.gz", "a.gz", "noend")] == [".txt", "", ".json", "", ""]


def test_the_real_corpus_is_read(shared_data: Path) -> None:
    passages = list(read_corpus(shared_data / "qa" / "2wiki_corpus.json.xz"))
    assert len(passages) == 6119
    assert passages[0].title == "Teutberga"
    assert [p.id for p in passages[:2]] == ["0", "1"]
