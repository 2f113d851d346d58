"""Mathematical answers: agreement on the gold answers of the public sets, odd cases, hostile ones, and threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentrl.envs.python import Python, verifier
from agentrl.envs.python.answers import is_words, number
from agentrl.envs.python.datasets import read_tasks
from agentrl.errors import MissingExtra

with_math = pytest.mark.skipif(not verifier.is_installed(), reason="the extra math is not installed")


@pytest.fixture(scope="session")
def golds() -> dict[str, list[str]]:
    """Gold answers by set."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "qa"
    if not folder.is_dir():
        pytest.skip(f"real data not found: no folder {folder}")
    return {
        n: [t.answer for t in read_tasks(folder / f"{n}.test.jsonl")] for n in ("gsm8k", "math500", "aime24", "aime25")
    }


def rewritten(gold: str) -> list[str]:
    """Other ways to write a gold answer."""
    forms = [
        f"\\boxed{{{gold}}}",
        f"${gold}$",
        f"The answer is ${gold}$.",
        f"so \\boxed{{0}}, no: \\boxed{{{gold}}}",
        f" {gold} ",
    ]
    value = number(gold)
    if value is not None and value.denominator == 1:
        forms += [f"{int(value):,}", f"{int(value)}.0", f"{int(value)} apples"]
    elif value is not None:
        forms += [f"{value.numerator}/{value.denominator}", f"\\frac{{{value.numerator}}}{{{value.denominator}}}"]
    return forms


def perturbed(gold: str) -> list[str]:
    """Other answers."""
    value = number(gold)
    if value is not None:
        return [str(value + 1), str(value + 1000), f"{gold}, 987", str(value - 1)]
    if is_words(gold):
        return ["nothing", f"{gold} {gold}"]
    return [f"2({gold}) + 7", "1234567", f"{gold}^2 + 17" if "," not in gold else "17"]


def test_every_gold_is_itself_and_its_rewritten_forms(golds: dict[str, list[str]]) -> None:
    for name, answers in golds.items():
        wrong = [(g, a) for g in answers for a in [g, *rewritten(g)] if not verifier.equal(a, g)]
        assert not wrong, (name, wrong[:5])


@with_math
@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.slow)])
def test_no_gold_is_its_perturbed_forms(golds: dict[str, list[str]], every: int) -> None:
    for name, answers in golds.items():
        wrong = [(g, a) for g in answers[::every] for a in perturbed(g) if verifier.equal(a, g)]
        assert not wrong, (name, wrong[:5])


@with_math
@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("14/3", "\\frac{14}{3}", True),
        ("0.333333333", "\\frac{1}{3}", True),
        ("0.33", "\\frac{1}{3}", False),
        ("\\sqrt{13}\\cdot 3", "3\\sqrt{13}", True),
        ("6.24", "\\sqrt{39}", False),
        ("-2, 1", "1,-2", True),
        ("\\{1, -2\\}", "1,-2", True),
        ("1", "1,-2", False),
        ("1,-2,3", "1,-2", False),
        ("(3,4]", "(3, 4]", True),
        ("[3,4]", "(3,4]", False),
        ("(4,3)", "(3,4)", False),
        ("(3, 36) \\cup (0, 3)", "(0,3)\\cup(3,36)", True),
        ("5", "x=5", True),
        ("x=5", "5", True),
        ("2x + 3", "y = 2x + 3", True),
        ("-q + p", "p - q", True),
        ("q - p", "p - q", False),
        ("6 - 5i", "-5i + 6", True),
        ("\\frac{\\cos x}{\\sin x}", "\\cot x", True),
        ("3 + 2\\sqrt2, 3 - 2\\sqrt2", "3 \\pm 2\\sqrt{2}", True),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", True),
        ("\\begin{pmatrix} 2 \\\\ 1 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", False),
        ("10^3", "1000", True),
        ("2k + 2", "2(k+1)", True),
        ("52_8", "52_8", True),
        ("90", "90^\\circ", True),
        ("864 \\text{ inches}^2", "864", True),
        ("15\\%", "0.15", True),
        ("odd", "\\text{even}", False),
        ("e v e n", "\\text{even}", False),
        ("2k", "2", False),
        ("5 or 6", "5", False),
        ("1 2 3 4 5 6 7 8 9", "5", False),
        (", ".join(map(str, range(100))), "5", False),
    ],
)
def test_odd_cases(answer: str, gold: str, same: bool) -> None:
    assert verifier.equal(answer, gold) is same


@with_math
@pytest.mark.parametrize(
    "hostile",
    [
        "\\frac{" * 100,
        "(" * 190 + "1" + ")" * 190,
        "{" * 200,
        "\\sqrt{" * 60 + "2" + "}" * 60,
        "1+" * 190 + "1",
        "x" * 1000000,
        "\x00\ud800",
        "\\int_0^1 x^{x^{x}} dx",
        '__import__("os").system("touch owned")',
        '\\text{__import__("os").system("touch owned")}',
        "\\input{/etc/passwd}",
        "\\sum_{n=1}^{1000000000} n",
        "\n" * 300,
    ],
)
def test_hostile_answers_are_wrong(hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verifier, "CPU_S", 1.0)
    assert not verifier.equal(hostile, "\\sqrt{5}")
    assert not (tmp_path / "owned").exists()
    assert verifier.equal("\\frac{\\sqrt{20}}{2}", "\\sqrt{5}")


@with_math
def test_an_answer_that_computes_for_ever_is_wrong_and_only_costs_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "CPU_S", 1.0)
    start = time.monotonic()
    assert not verifier.equal("9^{9^{9^9}}", "\\sqrt{5}")
    assert time.monotonic() - start < 50
    assert verifier.equal("\\frac{\\sqrt{20}}{2}", "\\sqrt{5}")


@with_math
def test_it_works_in_many_threads() -> None:
    def ask(n: int) -> bool:
        assert threading.current_thread() is not threading.main_thread()
        return verifier.equal(f"\\frac{{\\sqrt{{{4 * n}}}}}{{2}}", f"\\sqrt{{{n}}}")

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(2, 34)))


@with_math
def test_a_verifier_that_does_not_answer_is_a_failure_and_not_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "PATIENCE_S", 0.0)
    referees = verifier.Referees()
    with pytest.raises(verifier.EnvError, match="too busy"):
        referees.equal("\\sqrt{4}", "\\sqrt{5}")
    monkeypatch.setattr(verifier, "PATIENCE_S", 60.0)
    assert not referees.equal("\\sqrt{4}", "\\sqrt{5}")


def test_without_the_extra_numbers_and_texts_are_still_compared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(verifier, "is_installed", lambda: False)
    assert verifier.equal("\\frac{36}{2}", "18")
    assert verifier.equal("east", "\\text{east}")
    assert not verifier.equal("\\sqrt{324}", "18")
    with pytest.raises(MissingExtra, match=r"\[math\]"):
        verifier.equal("2", "\\sqrt{5}")
    (tmp_path / "some.jsonl").write_text('{"problem": "q", "answer": "\\\\sqrt{5}"}\n')
    with pytest.raises(MissingExtra, match=r"math-verify.*\[math\]"):
        Python(data=str(tmp_path / "some.jsonl"), split="all")
    (tmp_path / "plain.jsonl").write_text('{"problem": "q", "answer": "5"}\n')
    Python(data=str(tmp_path / "plain.jsonl"), split="all")
