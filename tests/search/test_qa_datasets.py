"""Files of questions: the public shapes, the real files, broken ones, and episodes on them."""

from __future__ import annotations

import gzip
import json
import lzma
import os
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.search import Search
from agentrl.envs.search.datasets import is_held_out, read_questions
from agentrl.envs.search.questions import Hop
from agentrl.errors import ConfigError, DataError, UnknownName

HOTPOT = {
    "question": "Who wrote the anthem of Nor?",
    "answer": "Ada Kemp",
    "type": "bridge",
    "supporting_facts": [["Nor", 0], ["Anthem", 1], ["Nor", 1]],
    "context": [["Nor", ["Nor is a land.", " Its anthem is Anthem."]], ["Anthem", ["A song.", " By Ada Kemp."]]],
}
MUSIQUE = {
    "id": "2hop__1_2",
    "question": "Where was the author of Tale born?",
    "answer": "Oslo",
    "answer_aliases": ["Kristiania", "Oslo"],
    "answerable": True,
    "paragraphs": [
        {"idx": 0, "title": "Tale", "paragraph_text": "Tale is by Ada.", "is_supporting": True},
        {"idx": 1, "title": "Bob", "paragraph_text": "Bob is a man.", "is_supporting": False},
        {"idx": 2, "title": "Ada", "paragraph_text": "Ada was born in Oslo.", "is_supporting": True},
    ],
    "question_decomposition": [
        {"question": "author of Tale", "answer": "Ada", "paragraph_support_idx": 0},
        {"question": "where was #1 born", "answer": "Oslo", "paragraph_support_idx": 2},
    ],
}


def write(folder: Path, name: str, *items: Any) -> str:
    path = folder / name
    path.write_text("\n".join(i if isinstance(i, str) else json.dumps(i) for i in items), encoding="utf-8")
    return str(path)


def test_hotpotqa_in_both_forms(tmp_path: Path) -> None:
    columns = {
        **HOTPOT,
        "supporting_facts": {"title": ["Nor", "Anthem", "Nor"], "sent_id": [0, 1, 1]},
        "context": {"title": ["Nor", "Anthem"], "sentences": [s for _, s in HOTPOT["context"]]},  # type: ignore[attr-defined]
    }
    for item in (HOTPOT, columns):
        path = tmp_path / "h.json"
        path.write_text(json.dumps([item, item]), encoding="utf-8")
        found = read_questions(path)
        question = found.questions[0]
        assert (question.kind, question.answers, question.supporting) == ("bridge", ("Ada Kemp",), ("Nor", "Anthem"))
        assert question.hops == (Hop("Nor", "Nor", ""), Hop("Anthem", "Anthem", ""))
        assert [(p.title, p.text) for p in found.passages] == [
            ("Nor", "Nor is a land. Its anthem is Anthem."),
            ("Anthem", "A song. By Ada Kemp."),
        ]


def test_musique(tmp_path: Path) -> None:
    without = {k: v for k, v in MUSIQUE.items() if k != "question_decomposition"} | {"question": "Another?"}
    path = write(tmp_path, "musique.jsonl", MUSIQUE, "", {**MUSIQUE, "answerable": False, "question": "No?"}, without)
    found = read_questions(path)
    one, two = found.questions
    assert one.answers == ("Oslo", "Kristiania")
    assert one.hops == (Hop("Tale", "Tale", "Ada"), Hop("Ada", "Ada", "Oslo"))
    assert (one.kind, two.supporting) == ("2hop", ("Tale", "Ada"))
    assert [p.title for p in found.passages] == ["Tale", "Bob", "Ada"]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"answer": 1999}, ("1999",)),
        ({"answer": ["a", "b", "a"]}, ("a", "b")),
        ({"golden_answers": ["a"]}, ("a",)),
        ({"answers": {"target": ["a", 2]}}, ("a", "2")),
        ({"Answer": "a", "aliases": "b"}, ("a", "b")),
    ],
)
def test_answers(tmp_path: Path, answers: dict[str, Any], expected: tuple[str, ...]) -> None:
    (question,) = read_questions(write(tmp_path, "mine.jsonl", {"Question": " Q? ", **answers})).questions
    assert (question.text, question.answers, question.kind, question.hops) == ("Q?", expected, "mine", ())


def test_compressed_files(tmp_path: Path) -> None:
    text = json.dumps(HOTPOT).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text))
    (tmp_path / "a.json.xz").write_bytes(lzma.compress(b"[" + text + b"]"))
    assert read_questions(tmp_path / "a.jsonl.gz") == read_questions(tmp_path / "a.json.xz")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{"], "line 2, column 2: not JSON"),
        (["[1]"], "line 2: it is no JSON object"),
        ([{"answer": "a"}], "line 2: it has no question; its keys are \\['answer'\\]"),
        ([{"question": "  ", "answer": "a"}], "line 2: it has no question"),
        ([{"question": "Q?"}], "line 2: it has no answer"),
        ([{"question": "Q?", "answer": []}], "line 2: the gold answer is empty"),
        ([{"question": "Q?", "answer": True}], "line 2: the gold answer holds True"),
        ([{"question": "Q?", "answer": " "}], "line 2: one of its answers is empty"),
        ([{**MUSIQUE, "paragraphs": [{"title": "x"}]}], "line 2: not of a known shape"),
        ([{**HOTPOT, "context": [["a"]]}], "line 2: not enough values"),
        ([{**HOTPOT, "supporting_facts": [[1, 2]]}], "line 2: one of its titles is no text"),
    ],
)
def test_broken_files_name_file_and_line(tmp_path: Path, lines: list[Any], message: str) -> None:
    path = write(tmp_path, "broken.jsonl", HOTPOT, *lines)
    with pytest.raises(DataError, match=f"broken.jsonl, {message}"):
        read_questions(path)


def test_other_broken_files(tmp_path: Path) -> None:
    for name, content, message in (
        ("list.json", b"[\n{},\n", "list.json, line 3, column 1: not JSON"),
        ("item.json", b'[{"question": "Q?", "answer": "a"}, 3]', "item 2 of the list: it is no JSON object"),
        ("bytes.jsonl", b"\xff\xfe", "cannot be read"),
        ("cut.json.xz", lzma.compress(b"[]")[:20], "Is it whole"),
        ("no.json.gz", b"no", "cannot be read"),
        ("none.jsonl", b"\n\n", "holds no questions"),
        ("questions.csv", b"a", "is no file of questions"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_questions(tmp_path / name)
    with pytest.raises(DataError, match="and there is none"):
        read_questions(tmp_path / "missing.jsonl")


def test_episodes_on_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, "m.jsonl", MUSIQUE)
    env = Search(data=path, split="all", topk=1)
    shown, info = env.reset(seed=5)
    assert (shown, info) == (MUSIQUE["question"], {"won": False, "task_type": "2hop-2"})
    recalls, notes = [], []
    while (said := env.expert()) is not None:
        *_, told = env.step(said)
        recalls.append(told["recall"])
        notes.append(env.memory_note())
    assert recalls == [0.5, 1.0, 1.0]
    assert notes[:2] == ["Tale: Ada.", "Tale: Ada. Ada: Oslo."]
    assert told["won"]
    env.reset(seed=0)
    *_, told = env.step("<answer>kristiania.</answer>")
    assert told["won"]  # an alias, after normalisation


def test_without_a_chain_the_expert_searches_for_the_question(tmp_path: Path) -> None:
    path = write(tmp_path, "plain.jsonl", {"question": "Who is Ada?", "answer": "a poet"})
    corpus = write(tmp_path, "corpus.jsonl", {"title": "Ada", "text": "Ada is a poet."})
    env = Search(data=path, corpus=corpus, split="all")
    env.reset(seed=0)
    assert env.expert() == "<search>Who is Ada?</search>"
    shown, *_, told = env.step(env.expert() or "")
    assert shown == "<information>(Ada) Ada is a poet.</information>"
    assert (told["recall"], env.expert(), env.memory_note()) == (0.0, "<answer>a poet</answer>", None)


def test_settings_for_files(tmp_path: Path) -> None:
    path = write(tmp_path, "h.jsonl", HOTPOT)
    plain = write(tmp_path, "plain.jsonl", {"question": "Q?", "answer": "a"})
    split = "eval" if not is_held_out(read_questions(path).questions[0]) else "train"
    for settings, error, message in (
        ({"data": path, "split": split}, ConfigError, f"of the split '{split}'"),
        ({"data": path, "split": "all", "kinds": "bridg"}, UnknownName, "Did you mean 'bridge'"),
        ({"data": plain, "split": "all"}, ConfigError, "give --env.corpus PATH"),
        ({"data": plain, "split": "all", "corpus": str(tmp_path / "none")}, DataError, "none"),
        ({"data": str(tmp_path / "none.jsonl")}, DataError, "and there is none"),
        ({"corpus": plain}, ConfigError, "give --env.data with --env.corpus"),
    ):
        with pytest.raises(error, match=message):
            Search(**settings)  # type: ignore[arg-type]
    env = Search(data=path, split="all")
    assert env.reset(options={"question": 0})[0] == HOTPOT["question"]
    with pytest.raises(ConfigError, match="There is no question 1; those of this split are 0 to 0"):
        env.reset(options={"question": 1})


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    path = write(tmp_path, "h.jsonl", HOTPOT)
    one, two = Search(data=path, split="all"), Search(data=path, split="all", prompt="functions")
    assert one.source is two.source
    assert one.retriever is two.retriever
    write(tmp_path, "h.jsonl", HOTPOT, MUSIQUE)
    os.utime(path, ns=(1, 1))
    changed = Search(data=path, split="all")
    assert [changed.reset(seed=n)[0] for n in range(2)] == [HOTPOT["question"], MUSIQUE["question"]]
    assert changed.retriever is not one.retriever


def test_the_real_files(shared_data: Path) -> None:
    folder = shared_data / "qa"
    for name, count in (("hotpotqa", 200), ("2wiki", 200), ("musique", 200), ("bamboogle", 125)):
        found = read_questions(folder / f"{name}.test.jsonl")
        assert (len(found.questions), found.passages, found.questions[0].kind) == (count, [], name)
        held = sum(map(is_held_out, found.questions))
        assert 0.12 < held / count < 0.28
    distractor = read_questions(folder / "hotpotqa_distractor_100.json")
    assert (len(distractor.questions), len(distractor.passages)) == (100, 1000)
    assert {q.kind for q in distractor.questions} == {"bridge", "comparison"}
    titles = {p.title for p in distractor.passages}
    assert all(q.supporting and set(q.supporting) <= titles for q in distractor.questions)


@pytest.mark.parametrize("prompt", ["plain", "functions", "search-r1"])
def test_episodes_on_hotpotqa(shared_data: Path, prompt: str) -> None:
    """Searching for a supporting title finds it among the three best of a thousand passages."""
    env = Search(data=str(shared_data / "qa" / "hotpotqa_distractor_100.json"), split="all", prompt=prompt)
    recall = 0.0
    for seed in range(100):
        env.reset(seed=seed)
        while (said := env.expert()) is not None:
            *_, told = env.step(said)
        assert told["won"]
        recall += told["recall"]
    assert recall > 98


def test_a_corpus_of_its_own(shared_data: Path) -> None:
    folder = shared_data / "qa"
    env = Search(data=str(folder / "2wiki.test.jsonl"), corpus=str(folder / "2wiki_corpus.json.xz"), passage_chars=80)
    env.reset(seed=0)
    shown = env.step("<search>Teutberga queen of Lotharingia</search>")[0]
    assert shown.startswith("<information>(Teutberga) Teutberga( died 11 November 875) was a queen")
    assert len(env.episode.found) == 3
    assert all(len(line) < 160 for line in shown.splitlines())
