"""Short answers: how they are found and compared, odd ones included."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest

from agentrl.envs.python.answers import extract, is_words, number, plainly_equal, words


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("42", "42"),
        (" 42.\n", "42"),
        ("3.14.", "3.14."),
        ("The answer is 42.", "42"),
        ("The answer is: 42", "42"),
        ("First the answer is 7, no, the answer is 8", "8"),
        ("Answer: $\\frac{1}{2}$", "\\frac{1}{2}"),
        ("#### 18", "18"),
        ("So \\boxed{7} or rather \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("the answer is 3, that is \\boxed{4}", "4"),
        ("\\boxed{not closed", "\\boxed{not closed"),
        ("`42`", "42"),
        ("**42**", "42"),
        ("'fig plum'", "fig plum"),
        ("\\(x + 1\\)", "x + 1"),
        ("$$x$$", "x"),
        ("", ""),
    ],
)
def test_extract(said: str, answer: str) -> None:
    assert extract(said) == answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", 18),
        ("-18", -18),
        ("−18", -18),
        ("+5", 5),
        ("007", 7),
        ("5.", 5),
        (".5", Fraction(1, 2)),
        ("1,234.50", Fraction(2469, 2)),
        ("2,125", 2125),
        ("10,\\!080", 10080),
        ("11,\\! 111,\\! 111,\\! 100", 11111111100),
        ("1{,}000", 1000),
        ("$18", 18),
        ("\\$18.90", Fraction(189, 10)),
        ("-$5", -5),
        ("€ 5", 5),
        ("50%", Fraction(1, 2)),
        ("50\\%", Fraction(1, 2)),
        ("90^\\circ", 90),
        ("18 eggs", 18),
        ("15 cm^2", 15),
        ("15\\mbox{ cm}^2", 15),
        ("5.4 \\text{ cents}", Fraction(27, 5)),
        ("14/3", Fraction(14, 3)),
        ("-14 / 3", Fraction(-14, 3)),
        ("\\frac{14}{3}", Fraction(14, 3)),
        ("\\dfrac43", Fraction(4, 3)),
        ("\\frac 59", Fraction(5, 9)),
        ("\\frac{270}7\\text{ degrees}", Fraction(270, 7)),
        ("1\\frac{4}{5}", Fraction(9, 5)),
        ("137 \\frac{1}{2}", Fraction(275, 2)),
        ("-1 1/2", Fraction(-3, 2)),
        ("1e3", 1000),
        ("6.72e-5", Fraction(672, 10**7)),
    ],
)
def test_numbers(text: str, value: int | Fraction) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-",
        "x",
        "two",
        "1 2",
        "1, 2",
        "12,34",
        "1,5",
        "2k",
        "5 x",
        "18 million",
        "5 or 6",
        "1/0",
        "1/2/3",
        "e5",
        "5e",
        "1e9999",
        "½",
        "３",
        "٣",
        "--5",
        "-$-5",
        "3 and 4",
        "x=5",
        "10^3",
        "\\sqrt{4}",
        "52_8",
        "nan",
        "inf",
        "9" * 500,
    ],
)
def test_what_is_no_number(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("1200", "1,200", True),
        ("18.0", "18", True),
        ("18.000000000000004", "18", True),
        ("18.01", "18", False),
        ("50%", "50", True),
        ("0.5", "50%", True),
        ("50", "0.5", False),
        ("'nretnal elbram'", "nretnal elbram", True),
        ("Tuesday  2010-12-21", "tuesday 2010-12-21", True),
        ("Monday 2010-12-21", "tuesday 2010-12-21", False),
        ("(C)", "\\text{(C)}", True),
        ("C", "\\text{(C)}", True),
        ("B", "\\text{(C)}", False),
        ("evelyn", "\\text{Evelyn}", True),
        ("1 2 3 4 5", "5", False),
        ("4 or 5", "5", False),
        ("", "5", False),
        ("''", "5", False),
    ],
)
def test_plainly_equal(answer: str, gold: str, same: bool) -> None:
    assert plainly_equal(answer, gold) is same


def test_what_is_text() -> None:
    assert all(map(is_words, ["\\text{Evelyn}", "\\text{(C)}", "\\mbox{even}", "Navin", "New York"]))
    assert not any(map(is_words, ["p - q", "x=5", "2k", "\\text{5}", "\\pi", "\\cot x", "5.4 \\text{ cents}", "C"]))
    assert words("\\text{east}") == words("East.") == "east"


@pytest.mark.parametrize(
    "hostile",
    [
        "answer is " * 200000,
        "9" * 2000000,
        "\\boxed{" * 300000,
        "{" * 1000000,
        "\\text{" * 300000,
        "answer " + " " * 1000000,
        "$" * 1000000,
        "\x00\ud800" * 1000,
        ", " * 1000000,
        "```" * 300000,
    ],
)
def test_megabytes_are_compared_quickly(hostile: str) -> None:
    start = time.process_time()
    assert not plainly_equal(hostile, "42")
    assert time.process_time() - start < 2
