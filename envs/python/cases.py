"""Tests of code, as files of coding tasks hold them.

    Calls       calls of a function with the values they must return: ``assert f(3) == [1, 2]``
    Programs    inputs with the outputs that a whole program must print
    Checks      any other test code: ``assert abs(f(2) - 1.41) < 0.01``, ``def check(candidate): ...``

Asserts of the simple form become calls, which the host compares itself; what else there is runs as it stands, in a
sandbox of its own (see `grading`).
"""

from __future__ import annotations

import ast
import builtins
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Calls:
    """Calls and what they must return."""

    calls: tuple[tuple[str, str], ...]
    """A call with literals as its arguments, and the literal that it must equal, both as source."""

    def __len__(self) -> int:
        return len(self.calls)


@dataclass(frozen=True)
class Programs:
    """Runs of a whole program."""

    runs: tuple[tuple[str, str], ...]
    """Standard input, and what must be printed."""

    def __len__(self) -> int:
        return len(self.runs)


@dataclass(frozen=True)
class Checks:
    """Test code that calls the solution's functions."""

    names: tuple[str, ...]
    """The functions of the solution."""
    setup: str
    """Source that goes before each check."""
    checks: tuple[str, ...]
    """Sources; one that raises has failed."""

    def __len__(self) -> int:
        return len(self.checks)


Tests = Calls | Programs | Checks


def read_tests(item: Mapping[str, Any]) -> Tests | None:
    """The tests of a record, or None where it has none.

    Args:
        item: with ``tests`` (asserts, or pairs of input and output), ``test_list`` and ``test_setup_code`` (MBPP),
            ``test`` and ``entry_point`` (HumanEval), or ``input_output`` (APPS).

    Raises:
        ValueError: tests that cannot be read; says why.
    """
    given = next((item[k] for k in ("tests", "test_list", "test", "input_output") if item.get(k)), None)
    if given is None:
        return None
    if isinstance(given, str) and given.lstrip().startswith("{"):
        given = json.loads(given)
    if isinstance(given, Mapping):
        given = [{"input": i, "output": o} for i, o in zip(given["inputs"], given["outputs"], strict=True)]
    names = (str(item["entry_point"]),) if item.get("entry_point") else ()
    if isinstance(given, str):
        return _harness(given, names)
    if not isinstance(given, Sequence):
        raise ValueError(f"its tests are of type {type(given).__name__}, not a list")
    if all(isinstance(one, Mapping) for one in given):
        return Programs(tuple((_text(one["input"]), _text(one["output"])) for one in given))
    if not all(isinstance(one, str) for one in given):
        raise ValueError("its tests are neither all asserts nor all pairs of input and output")
    imports = "\n".join(item.get("test_imports") or ())
    return _asserts(given, f"{imports}\n{item.get('test_setup_code') or ''}".strip(), names)


def _text(value: Any) -> str:
    """Lines may be given as a list."""
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _harness(source: str, names: tuple[str, ...]) -> Tests:
    """HumanEval's form: a function ``check`` that is given the solution's."""
    tree = _parsed(source)
    if any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tree.body):
        if not names:
            raise ValueError("its test defines check(candidate), so that it needs an entry_point")
        return Checks(names, source, (f"check({names[0]})",))
    statements = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assert)]
    rest = "\n".join(ast.unparse(node) for node in tree.body if not isinstance(node, ast.Assert))
    return _asserts(statements, rest, names)


def _asserts(sources: Sequence[str], setup: str, names: tuple[str, ...]) -> Tests:
    free = names or tuple(sorted(_free([*sources, setup])))
    if not free or not sources:
        raise ValueError("its tests call no function of a solution" if sources else "it has no assert among its tests")
    simple = [_simple(source, free) for source in sources]
    if not setup and all(simple):
        return Calls(tuple(one for one in simple if one))
    return Checks(free, setup, tuple(sources))


def _simple(source: str, names: Iterable[str]) -> tuple[str, str] | None:
    """``assert f(literals) == literal`` as call and literal; None for anything else."""
    body = _parsed(source).body
    test = body[0].test if len(body) == 1 and isinstance(body[0], ast.Assert) else None
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return None
    call, value = test.left, test.comparators[0]
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names):
        return None
    literals = [value, *call.args, *(keyword.value for keyword in call.keywords)]
    return (ast.unparse(call), ast.unparse(value)) if all(map(_literal, literals)) else None


def _literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _free(sources: Iterable[str]) -> set[str]:
    """Names that are called, but neither built in nor made by the tests themselves."""
    called: set[str] = set()
    made = set(dir(builtins))
    for node in (node for source in sources for node in ast.walk(_parsed(source))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called.add(node.func.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
        elif isinstance(node, ast.arg):
            made.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            made |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return called - made


def _parsed(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"one of its tests is no Python ({error})") from error
