"""Files of questions and of mathematics, TAPO's with a source for each, in any mixture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.python import verifier
from agentrl.envs.tools import Tools
from agentrl.envs.tools.files import Filed, read_file, read_record
from agentrl.errors import ConfigError, DataError, MissingExtra, UnknownName

HOTPOT = {
    "question": "Where was the author of A born?",
    "answer": "Rome",
    "type": "bridge",
    "supporting_facts": [["A", 0], ["B", 0]],
    "context": [["A", ["A is by B."]], ["B", ["B was born in Rome."]], ["C", ["C is else."]]],
}
GSM = {"question": "2 + 3 * 4?", "answer": "So 3*4=<<3*4=12>>12, and <<12+2=14>>14.\n#### 14"}
TAPO = [
    {"question": "Capital?", "data_source": "nq", "ability": "fact-reasoning",
     "reward_model": {"ground_truth": {"target": ["Paris", "paris city"]}}},
    {"question": "1 + 1?", "data_source": "calculator", "ability": "math", "reward_model": {"ground_truth": "2"}},
    {"question": "How far?", "data_source": "complex", "ability": "fact-reasoning",
     "reward_model": {"ground_truth": [1000]}},
    {"question": "7 * 8?", "data_source": "aime2024", "ability": "math", "reward_model": {"ground_truth": ["56"]}},
]  # fmt: skip


def write(path: Path, *items: Any) -> Path:
    path.write_text("\n".join(json.dumps(item) for item in items), encoding="utf-8")
    return path


def test_records_are_told_by_their_shape(tmp_path: Path) -> None:
    tasks, passages = read_file(write(tmp_path / "mixed.jsonl", HOTPOT, GSM, *TAPO))
    assert [(t.question.kind, t.source, t.computing is None) for t in tasks] == [
        ("search-bridge-2", "nq", True),
        ("compute-mixed", "default", False),
        ("search-mixed", "nq", True),
        ("compute-mixed", "calculator", False),
        ("search-mixed", "complex", True),
        ("compute-mixed", "aime2024", False),
    ]
    assert [t.answers for t in tasks] == [["Rome"], ["14"], ["Paris", "paris city"], ["2"], ["1000"], ["56"]]
    assert [title for title, _ in passages] == ["A", "B", "C"]
    assert tasks[1].computing and tasks[1].computing.code == "3*4\n12+2"


def test_a_files_name_is_a_source() -> None:
    assert read_record(GSM, "gsm8k").source == "gsm8k"
    assert read_record({"problem": "?", "answer": 70}, "aime25").source == "aime25"
    assert read_record({"question": "?", "answer": ["a"]}, "bamboogle").source == "nq"
    assert read_record({"question": "?", "answer": "\\frac12"}, "math500").source == "default"


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (3, "it is no JSON object"),
        ({"question": "?"}, "it has no answer"),
        ({"question": "?", "answer": []}, "it has no answer|is empty"),
        ({"question": " ", "answer": "1"}, "it has no question"),
        ({"question": "?", "golden_answers": [""]}, "one of its answers is empty"),
        ({"question": "f", "test_list": ["assert f(1) == 2"], "code": "x"}, "coding task with tests.*--env python"),
        ({"question": "?", "data_source": "nqq", "answer": "a"}, "Unknown source of data 'nqq'. Did you mean 'nq'"),
        ({"question": "?", "data_source": "calculator", "answer": "many"}, "no finite number"),
        ({"question": "?", "data_source": "nq", "reward_model": {"ground_truth": None}}, "gold answer holds None"),
        ({"question": "?", "data_source": "gsm8k", "reward_model": {}}, "gold answer holds None"),
    ],
)
def test_broken_records_name_file_and_line(tmp_path: Path, item: Any, message: str) -> None:
    path = write(tmp_path / "bad.jsonl", GSM, item)
    with pytest.raises(DataError, match=rf"bad.jsonl, line 2: .*({message})"):
        read_file(path)


def test_broken_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no file of tasks.*there is none"):
        read_file(tmp_path / "none.jsonl")
    (tmp_path / "x.csv").write_text("a")
    with pytest.raises(DataError, match=r"expected one that ends in"):
        read_file(tmp_path / "x.csv")
    (tmp_path / "x.jsonl").write_text('{"question": "a", "answer": "1"}\n{')
    with pytest.raises(DataError, match="line 2"):
        read_file(tmp_path / "x.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="holds no tasks"):
        read_file(tmp_path / "empty.jsonl")


def test_kinds_splits_and_passages(tmp_path: Path) -> None:
    questions = [{**HOTPOT, "question": f"{HOTPOT['question']} {n}"} for n in range(30)]
    sums = [{"question": f"{n} + 1?", "answer": n + 1} for n in range(30)]
    data = f"{write(tmp_path / 'a.jsonl', *questions)}, {write(tmp_path / 'b.jsonl', *sums)}"
    every = Filed(data, None, "all", "all")
    assert len(every.tasks) == 60 and len(every.corpus or ()) == 3
    parts = [{t.question.text for t in Filed(data, None, split, "all").tasks} for split in ("train", "eval")]
    assert not parts[0] & parts[1] and len(parts[0] | parts[1]) == 60
    assert all(t.computing is None for t in Filed(data, None, "all", "search").tasks)
    assert all(t.computing for t in Filed(data, None, "all", "compute").tasks)
    with pytest.raises(UnknownName, match="kind of task in files 'both'"):
        Filed(data, None, "all", "both")
    with pytest.raises(ConfigError, match="holds no task of the kind 'search'"):
        Filed(str(tmp_path / "b.jsonl"), None, "all", "search")
    with pytest.raises(ConfigError, match=r"give --env.corpus PATH, or a server by --env.retriever"):
        Tools(data=str(tmp_path / "b.jsonl"))


def test_playing_files(tmp_path: Path, sandbox: str) -> None:
    data = str(write(tmp_path / "mixed.jsonl", HOTPOT, GSM))
    env = Tools(data=data, split="all")
    assert (env.topk, env.max_turns) == (3, 8)
    for number, replies in ((0, 3), (1, 2)):
        shown, _ = env.reset(seed=0, options={"task": number})
        assert shown == (HOTPOT, GSM)[number]["question"]
        said = []
        while (now := env.expert()) is not None:
            said.append(now)
            *_, info = env.step(now)
        assert info["won"] and len(said) == replies
    for wrong in (2, -1):
        with pytest.raises(ConfigError, match="those of this split are 0 to 1"):
            env.reset(seed=0, options={"task": wrong})
    env.close()


def test_formulas_are_compared_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = write(tmp_path / "corpus.jsonl", {"title": "A", "text": "b"})
    item = {"question": "?", "answer": "\\frac{\\sqrt{3}}{2}"}
    data = str(write(tmp_path / "m.jsonl", item))
    if verifier.is_installed():
        task = read_record(item, "m")
        assert task.right("\\sqrt{3}/2") and not task.right("\\sqrt{3}")
    monkeypatch.setattr(verifier, "is_installed", lambda: False)
    with pytest.raises(MissingExtra, match="math-verify"):
        Tools(data=data, corpus=str(corpus), split="all")


def test_real_files(shared_data: Path) -> None:
    folder = shared_data / "qa"
    found = {}
    for path in [*sorted(folder.glob("*.test.jsonl")), folder / "hotpotqa_distractor_100.json"]:
        tasks, passages = read_file(path)
        found[path.name.partition(".")[0]] = (len(tasks), {t.source for t in tasks}, bool(passages))
        assert len({t.computing is None for t in tasks}) == 1
    assert {name for name, (_, sources, _) in found.items() if sources == {"nq"}} == {
        "2wiki", "bamboogle", "hotpotqa", "hotpotqa_distractor_100", "musique",
    }  # fmt: skip
    assert found["gsm8k"][1] == {"gsm8k"} and found["aime24"][1] == {"aime24"} and found["math500"][1] == {"default"}
    assert found["hotpotqa_distractor_100"][::2] == (100, True)


def test_real_questions_are_played(shared_data: Path, sandbox: str) -> None:
    data = f"{shared_data}/qa/hotpotqa_distractor_100.json,{shared_data}/qa/gsm8k.test.jsonl"
    for prompt in ("plain", "arpo", "tapo"):
        env = Tools(data=data, prompt=prompt, split="all")
        for number in (0, 3, 500, 800):
            env.reset(options={"task": number})
            while (said := env.expert()) is not None:
                *_, info = env.step(said)
            assert info["won"], (prompt, number)
        env.close()
