"""Tasks from files: the public shapes, the real sets, and broken files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from agentrl.envs.python import Python, verifier
from agentrl.envs.python.cases import Calls, Checks, Programs
from agentrl.envs.python.datasets import read_tasks
from agentrl.errors import ConfigError, DataError, UnknownName
from agentrl.sandboxes.blocking import BlockingSession

MBPP = {
    "task_id": 2,
    "text": "Write a function to find the shared elements of two lists.",
    "code": "def shared(a, b):\n    return sorted(set(a) & set(b))",
    "test_list": ["assert shared([3, 4], [5, 4]) == [4]", "assert shared([1], [2]) == []"],
    "test_setup_code": "",
}
HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'def double(n: int) -> int:\n    """Twice n."""\n',
    "entry_point": "double",
    "canonical_solution": "    return 2 * n\n",
    "test": "METADATA = {}\n\ndef check(candidate):\n    assert candidate(2) == 4\n    assert candidate(0) == 0\n",
}
PROGRAM = {
    "question": "Add two numbers.",
    "tests": {"inputs": ["1 2\n"], "outputs": ["3\n"]},
    "canonical_solution": "print(sum(map(int, input().split())))",
}


def written(folder: Path, *items: object, name: str = "some.jsonl") -> str:
    (folder / name).write_text("\n".join(json.dumps(item) for item in items) + "\n")
    return str(folder / name)


def test_mathematical_shapes(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"question": "q1", "answer": "2 + 2 = <<2+2=4>>4\nand <<4*4.5=18>>18\n#### 18"},
        {"problem": "q2", "solution": "so it is $\\boxed{\\frac{1}{2}}$.", "type": "Algebra"},
        {"problem": "q3", "answer": 70, "solution": "long"},
        {"prompt": "q4", "answer": "\\sqrt{2}", "subject": "Geometry"},
        {"question": "q5", "answer": "1 <<1+1=2>> <<x+1=2>>#### 1,200"},
    )
    found = read_tasks(path)
    assert [(t.question, t.answer, t.kind) for t in found] == [
        ("q1", "18", "some"),
        ("q2", "\\frac{1}{2}", "Algebra"),
        ("q3", "70", "some"),
        ("q4", "\\sqrt{2}", "Geometry"),
        ("q5", "1,200", "some"),
    ]
    assert found[0].code == "2+2\n4*4.5"
    assert {t.rule for t in found} == {"math"}


def test_coding_shapes(tmp_path: Path) -> None:
    mbpp, human, program = read_tasks(written(tmp_path, MBPP, HUMANEVAL, PROGRAM))
    assert isinstance(mbpp.tests, Calls) and "assert shared([1], [2]) == []" in mbpp.question
    assert isinstance(human.tests, Checks) and human.question.startswith("Complete this function.")
    assert "canonical" not in human.question and "2 * n" not in human.question
    assert human.answer.startswith("def double") and human.answer.endswith("2 * n\n")
    assert isinstance(program.tests, Programs) and program.question.startswith("Add two numbers.")


def test_lists_and_compressed_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"question": "q", "answer": "1"}]))
    assert read_tasks(tmp_path / "a.json")[0].kind == "a"
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write('\n{"question": "q", "answer": "1"}\n')
    assert read_tasks(tmp_path / "b.jsonl.gz")[0].kind == "b"


def test_coding_files_are_played(tmp_path: Path, sandbox: str, opened: list[BlockingSession]) -> None:
    env = Python(data=written(tmp_path, MBPP, HUMANEVAL, PROGRAM), split="all", sandbox=sandbox)
    for number in range(3):
        env.reset(options={"task": number})
        said = env.expert()
        assert said is not None
        assert env.step(said)[1] == 1.0, said
        env.reset(options={"task": number})
        assert env.step("<answer>def shared(a, b): return [4]\ndef double(n): return 4\nprint(4)</answer>")[1] == 0.0
    env.close()


def test_mathematical_files_are_played(shared_data: Path, sandbox: str, opened: list[BlockingSession]) -> None:
    names = [str(shared_data / "qa" / f"{name}.test.jsonl") for name in ("gsm8k", "aime24", "aime25")]
    env = Python(data=",".join(names), split="all", sandbox=sandbox)
    total = len(env.source.tasks)  # type: ignore[attr-defined]
    assert total == 1319 + 30 + 30
    for number in range(0, total, 97):
        _, info = env.reset(options={"task": number})
        assert info["task_type"] in ("gsm8k", "aime24", "aime25")
        while (said := env.expert()) is not None:
            *_, info = env.step(said)
        assert info["won"]
    env.close()


def test_the_real_sets(shared_data: Path) -> None:
    folder = shared_data / "qa"
    found = {name: read_tasks(folder / f"{name}.test.jsonl") for name in ("gsm8k", "math500", "aime24", "aime25")}
    assert {name: len(tasks) for name, tasks in found.items()} == {
        "gsm8k": 1319,
        "math500": 500,
        "aime24": 30,
        "aime25": 30,
    }
    assert all(t.answer.replace(",", "").lstrip("-").isdigit() for t in found["gsm8k"])
    assert all(t.answer.isdigit() and int(t.answer) < 1000 for t in found["aime24"] + found["aime25"])
    assert sum(bool(t.code) for t in found["gsm8k"]) > 1200
    if verifier.is_installed():
        parts = [len(Python(data=str(folder / "math500.test.jsonl"), split=s).source.tasks) for s in Python.splits]  # type: ignore[attr-defined]
        assert parts[0] + parts[1] == parts[2] == 500
        assert 70 < parts[1] < 130


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"question": "q"', "line 2: not JSON"),
        ("[1]", "line 2: it is no JSON object"),
        ('{"answer": "1"}', "line 2: it has no question"),
        ('{"question": " ", "answer": "1"}', "line 2: it has no question"),
        ('{"question": "q"}', "line 2: it has no answer"),
        ('{"question": "q", "answer": ""}', "line 2: it has no answer"),
        ('{"question": "q", "answer": true}', "line 2: it has no answer that is a text or a number"),
        ('{"question": "q", "answer": ["1", "2"]}', "line 2: it has no answer that is a text or a number"),
        ('{"question": "q", "answer": "a\\nb"}', "line 2: its answer is of several lines"),
        ('{"question": "q", "answer": "x ####"}', "line 2: its answer is empty"),
        ('{"problem": "q", "solution": "it is 5"}', "line 2: its solution has no"),
        ('{"question": "q", "tests": ["assert f(1"]}', "line 2: one of its tests is no Python"),
        ('{"question": "q", "tests": {"inputs": ["1"], "outputs": []}}', "line 2: "),
        ('{"question": "q", "tests": [{"input": "1"}]}', "line 2: not of a known shape"),
        ("[" * 100_000, "line 2: not JSON"),
    ],
)
def test_broken_files(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"question": "fine", "answer": "1"}\n' + text + "\n")
    with pytest.raises(DataError, match=f"bad.jsonl, {said}"):
        Python(data=str(tmp_path / "bad.jsonl"))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        read_tasks(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="holds no tasks"):
        read_tasks(tmp_path / "empty.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        read_tasks(tmp_path / "binary.jsonl")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b"{}" * 1000)[:20])
    with pytest.raises(DataError, match="cannot be read"):
        read_tasks(tmp_path / "cut.jsonl.gz")


def test_choices_among_files(tmp_path: Path) -> None:
    path = written(tmp_path, {"question": "q", "answer": "1", "type": "Algebra"})
    with pytest.raises(UnknownName, match="Did you mean 'Algebra'"):
        Python(data=path, kinds="algebra", split="all")
    only = next(s for s in ("train", "eval") if not _has(path, s))
    with pytest.raises(ConfigError, match="holds no task of the split"):
        Python(data=path, split=only)
    with pytest.raises(ConfigError, match="There is no task 5"):
        Python(data=path, split="all").reset(options={"task": 5})


def _has(path: str, split: str) -> bool:
    try:
        Python(data=path, split=split)
    except ConfigError:
        return False
    return True
