"""The words after ``agentrl inspect``, ``explain`` and ``replay``: a few places and a few flags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentrl.errors import ConfigError, UnknownName
from agentrl.inspector.past import Past


def read_words(
    argv: Sequence[str], places: Sequence[str], *, flags: Sequence[str] = (), values: Sequence[str] = ()
) -> dict[str, str]:
    """Sort words into places and flags.

    >>> read_words(["runs/x", "3", "--json"], ["RUN", "STEP"], flags=["--json"])
    {'--json': '', 'RUN': 'runs/x', 'STEP': '3'}

    Args:
        argv: What was typed after the command.
        places: Names of the words that must be there, in order.
        flags: Flags without a value.
        values: Flags with one (``--flag value`` or ``--flag=value``).

    Raises:
        ConfigError: a word is missing or one too many; `UnknownName` for a flag.
    """
    found: dict[str, str] = {}
    plain: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            plain.append(word)
        elif name in values:
            if not equals:
                if not words:
                    raise ConfigError(f"{name} needs a value.")
                value = words.pop(0)
            found[name] = value
        elif word in flags:
            found[word] = ""
        else:
            raise UnknownName("flag", word, [*flags, *values])
    if len(plain) != len(places):
        example = " ".join({"RUN": "runs/last", "STEP": "1", "TRAJECTORY": "0.0"}[name] for name in places)
        given = f"'{' '.join(plain)}' was given" if plain else "Nothing was given"
        raise ConfigError(f"{given}, but {' '.join(places)} is expected, for example: {example}")
    return found | dict(zip(places, plain, strict=True))


def run_of(word: str) -> Past:
    """The run at a path."""
    return Past(Path(word))


def number(words: dict[str, str], flag: str, default: float) -> float:
    """The number after a flag.

    Raises:
        ConfigError: it is none.
    """
    try:
        return float(words.get(flag, default))
    except ValueError:
        raise ConfigError(f"{flag} {words[flag]} must be a number.") from None


def step_number(word: str) -> int:
    """A step.

    Raises:
        ConfigError: it is no number.
    """
    if not word.isdigit():
        raise ConfigError(f"'{word}' is no step; give its number, as in the names of the files under rollouts/.")
    return int(word)
