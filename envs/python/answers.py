r"""Short answers: finding one in what was said, and comparing it as a number or as a text.

    'So the answer is \boxed{\frac{1}{2}}.'  ->  '\frac{1}{2}'
    '$1,234.50'  =  '1234.5'        '50%'  =  '50'  =  '0.5'        '18 eggs'  =  '18'

A percentage may be meant as such or as its value, as graders of these sets have it. Linear in the length of what was
said; numbers longer than ``LONGEST`` characters are texts.
"""

from __future__ import annotations

import re
from fractions import Fraction

from agentrl.rewards.arpo import boxed

LONGEST = 400
"""Characters of an answer that are read as mathematics at most."""
CLOSE = Fraction(1, 10**9)
"""Relative difference of numbers that are equal."""
NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d*)?(?:[eE][+-]?\d{1,3})?"
_PLAIN = re.compile(
    rf"(?P<sign>[+-])?\s*[$€£]?\s*(?P<sign_>[+-])?(?:(?P<whole>\d+)\s+(?=[^/]+/))?(?P<top>{NUMBER})"
    rf"(?:\s*/\s*(?P<bottom>{NUMBER}))?(?P<unit>\s*%|°|\s+[A-Za-z]{{2}}[A-Za-z .^]*[23²³]?)?",
    re.ASCII,
)
_SCALES = re.compile(r"\b(?:hundred|thousand|million|billion|trillion|dozen|half|percent|pi|and|or|mod|base)s?\b", re.I)
_LEADS = re.compile(r"(?:\banswer\s*(?:is|:|=)|####)\s*:?", re.I)
_TEXT = re.compile(r"\\(?:text|mbox|textbf|textit|mathrm|textrm)\s*\{([^{}]*)\}")
_SPACES = re.compile(r"\\[,!;: ]|~|\s+")
_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{(-?\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))")


def extract(said: str) -> str:
    r"""The answer in what was said: the last ``\boxed{...}``, else what follows the last "answer is", else all.

    >>> extract(r"$x=2$, so the answer is $\boxed{4}$."), extract("The answer is: 42."), extract(" 1,5 ")
    ('4', '42', '1,5')
    """
    inside = boxed(said)
    if inside is None:
        leads = list(_LEADS.finditer(said))
        inside = said[leads[-1].end() :] if leads else said
    text = inside.strip().strip("`*").strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    text = text.removesuffix(".") if not re.search(r"\d\.\d*\.$", text) else text
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
            text = text[len(opening) : -len(closing)]
    return text.strip()


def number(text: str) -> Fraction | None:
    r"""The number that a text is, with its thousands separators, currency or unit; a percentage is its value.

    >>> number("$1,234.50"), number(r"\frac{3}{4}"), number("50%"), number("18 eggs"), number("two")
    (Fraction(2469, 2), Fraction(3, 4), Fraction(1, 2), Fraction(18, 1), None)
    """
    if len(text) > LONGEST:
        return None
    text = _TEXT.sub(r" \1", text.replace("\\$", "$").replace("\\%", "%").replace("^\\circ", "°").replace("{,}", ","))
    text = _FRACTION.sub(lambda m: f" {m[1] or m[2]}/{m[3] or m[4]}", text.replace("−", "-"))
    text = re.sub(r"\\[,!;:]\s*", "", text).strip()
    match = _PLAIN.fullmatch(text)
    if match is None or _SCALES.search(match["unit"] or ""):
        return None
    top, bottom = _decimal(match["top"]), _decimal(match["bottom"] or "1")
    if top is None or not bottom or (match["sign"] and match["sign_"]):
        return None
    value = int(match["whole"] or 0) + top / bottom
    value = -value if "-" in (match["sign"], match["sign_"]) else value
    return value / 100 if (match["unit"] or "").strip() == "%" else value


def _decimal(text: str) -> Fraction | None:
    try:
        return Fraction(text.replace(",", ""))
    except ValueError:
        return None


def words(text: str) -> str:
    r"""A text as it is compared: without LaTeX's ``\text{}``, quotes and case, with single spaces.

    >>> words(r"\text{(C)}"), words('"The  Cat"')
    ('c', 'the cat')
    """
    text = _SPACES.sub(" ", _TEXT.sub(r"\1", text)).strip().strip("\"'.").strip()
    if re.fullmatch(r"\(\w\)", text):
        text = text[1]
    return text.casefold()


def is_words(gold: str) -> bool:
    r"""Whether a gold answer is a text and no mathematics: within ``\text{}``, or of a word of four letters or more.

    >>> is_words(r"\text{Evelyn}"), is_words("Navin"), is_words("p - q"), is_words(r"5.4 \text{ cents}")
    (True, True, False, False)
    """
    bare = _TEXT.sub(r"\1", gold).strip()
    wrapped = bool(_TEXT.fullmatch(gold.strip())) and number(bare) is None
    return wrapped or bool(re.fullmatch(r"(?=.*[^\W\d_]{4})[^\W\d_]+(?:[ '-][^\W\d_]+)*", bare))


def equal_numbers(answer: Fraction, gold: Fraction, percent: bool) -> bool:
    """Equal but for a float's last digits, or one the other's hundredfold where one of them was a percentage."""
    meant = (gold, 100 * gold, gold / 100) if percent else (gold,)
    slack = 0 if answer.denominator == 1 else CLOSE
    return any(abs(answer - g) <= abs(g) * slack for g in meant)


def plainly_equal(answer: str, gold: str) -> bool:
    """Whether an answer is the gold one as a number, or else as a text.

    >>> plainly_equal("The answer is 1,200.", "1200"), plainly_equal("'abc'", "abc"), plainly_equal("12", "13")
    (True, True, False)
    """
    said = extract(answer)
    a, g = number(said), number(gold)
    if a is not None and g is not None:
        return equal_numbers(a, g, ("%" in said) != ("%" in gold))
    return bool(words(said)) and words(said) == words(gold)
