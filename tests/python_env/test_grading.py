"""Grading of code: right solutions pass, wrong ones do not, and a verdict cannot be forged."""

from __future__ import annotations

import json

import pytest

from agentrl.envs.python.cases import Calls, Checks, Programs, Tests, read_tests
from agentrl.envs.python.crossing import decode
from agentrl.envs.python.grading import Marks, grade
from agentrl.sandboxes import SandboxDied
from agentrl.sandboxes.blocking import BlockingSession, shared

SQUARES = Calls((("f(3)", "9"), ("f(-2)", "4"), ("f(0)", "0"), ("f(12)", "144")))
RIGHT = "def f(n):\n    return n * n"
CLOSE = Checks(("f",), "import math", ("assert abs(f(2) - 1.41421) < 0.01", "assert math.isclose(f(9), 3)"))
SUM = Programs((("1 2\n", "3\n"), ("10 20\n", "30"), ("-1 1\n", "0\n")))


@pytest.fixture
def marks(sandbox: str, opened: list[BlockingSession]):  # type: ignore[no-untyped-def]
    def run(solution: str, tests: Tests, timeout_s: float = 5.0) -> Marks:
        found = grade(solution, tests, shared(sandbox), shared(sandbox), timeout_s)
        assert all(session.dead for session in opened)
        return found

    return run


def test_right_and_wrong(marks) -> None:  # type: ignore[no-untyped-def]
    assert marks(RIGHT, SQUARES) == Marks(4, 4)
    assert marks("def f(n):\n    return 2 * n", SQUARES) == Marks(1, 4)
    assert marks("import math\ndef f(n):\n    return math.sqrt(n)", CLOSE) == Marks(2, 2)
    assert marks("def f(n):\n    return n", CLOSE) == Marks(0, 2)
    assert marks("a, b = map(int, input().split())\nprint(a + b)", SUM) == Marks(3, 3)
    assert marks("print(3)", SUM) == Marks(1, 3)


FORGERIES = {
    "exits": "import sys\nsys.exit(0)",
    "dies": "import os\nos._exit(0)",
    "exits later": "import os\ndef f(n):\n    os._exit(0)",
    "prints": "print('ok')\nprint('4 passed')\nprint('[\"value\", true]')\ndef f(n):\n    print('[\"value\", true]')",
    "at the end": "import atexit, os\natexit.register(lambda: os._exit(0))",
    "assert": "import builtins\nbuiltins.AssertionError = type('AssertionError', (Exception,), {})\n"
    "def f(n):\n    raise AssertionError",
    "equal to all": "class E(int):\n    __eq__ = __lt__ = __le__ = lambda *_: True\n    __hash__ = int.__hash__\n"
    "    __sub__ = __rsub__ = __abs__ = lambda *_: E()\ndef f(n):\n    return E(77)",
    "an object": "class E:\n    __eq__ = lambda *_: True\n    __repr__ = lambda _: '9'\ndef f(n):\n    return E()",
    "patches json": "import json\njson.dumps = lambda *_: '[\"value\", true]'\ndef f(n): return 1",
    "patches print": "import builtins\nold = print\nbuiltins.print = lambda *a: old('[\"value\", true]')\n"
    "def f(n):\n    return 1",
    "rebinds the encoder": "class D(dict):\n    pass\n_encode = lambda *_: True\ndef f(n):\n    global _encode\n"
    "    _encode = lambda *_: True\n    return 1",
    "reads the tests": "import gc, inspect, os\ndef f(n):\n    kinds = tuple, list, dict, str\n"
    "    seen = [o for o in gc.get_objects() if isinstance(o, kinds) and '144' in repr(o)[:2000]]\n"
    "    frames = [str(x.frame.f_locals)[:500] for x in inspect.stack()]\n"
    "    here = [open(os.path.join(d, n)).read() for d, _, ns in os.walk('.') for n in ns]\n    return here or 77",
    "a hostile value": "def f(n):\n    v = []\n    for _ in range(500): v = [v]\n    return v",
    "much": "def f(n):\n    return [0] * 10**5",
    "a long number": "def f(n):\n    return 10 ** 20000",
    "nothing": "",
    "no Python": "def f(n: return",
    "NUL": "def f(n):\n    return 77\x00",
    "a lone surrogate": "def f(n):\n    return '\ud800'",
    "megabytes": "#" * 2_000_000,
    "recursion": "def f(n):\n    return f(n)",
    "a false error": "def f(n):\n    raise type('AssertionError', (Exception,), {})",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_verdict_cannot_be_forged(name: str, marks) -> None:  # type: ignore[no-untyped-def]
    solution = FORGERIES[name]
    assert marks(solution, Calls((("f(3)", "9"), ("f(12)", "144")))).passed == 0
    assert marks(solution, CLOSE).passed == 0


@pytest.mark.parametrize("name", [n for n in FORGERIES if n not in ("exits later", "recursion")])
def test_a_program_cannot_forge_either(name: str, marks) -> None:  # type: ignore[no-untyped-def]
    assert marks(FORGERIES[name], Programs((("1 2\n", "3\n"), ("3 4", "7")))).passed == 0


def test_a_slow_solution_costs_two_time_limits_and_fails(marks) -> None:  # type: ignore[no-untyped-def]
    slow = "import time\ndef f(n):\n    time.sleep(30) if n else None\n    return n * n"
    assert marks(slow, Calls((("f(0)", "0"), *((f"f({n})", str(n * n)) for n in range(1, 50)))), 0.4).passed == 1
    assert marks("while True: pass", SUM, 0.4).passed == 0


def test_a_crash_in_one_test_leaves_the_others(marks) -> None:  # type: ignore[no-untyped-def]
    solution = "import os\ndef f(n):\n    return os._exit(1) if n == -2 else n * n"
    assert marks(solution, SQUARES) == Marks(3, 4)


def test_values_of_many_kinds_cross(marks) -> None:  # type: ignore[no-untyped-def]
    value = "[1, -2.5, True, None, 'ä\\n', b'\\xff', (1, (2,)), {3}, {'a': [1], 2: (3,)}, 1j, {}]"
    solution = f"from collections import Counter\nimport math\ndef f(): return {value}\ndef g(): return (1, 2)\n"
    solution += "def h(x): return x == math.inf\ndef i(x): return Counter(x)\ndef j(): return iter([])"
    calls = (("f()", value), ("g()", "[1, 2]"), ("h(inf)", "True"), ("i(x=[1, 1])", "{1: 2}"), ("j()", "[]"))
    assert marks(solution, Calls(calls)) == Marks(3, 5)
    checks = (f"assert f() == {value}", "assert g() == [1, 2]", "assert h(float('inf'))", "assert i([1, 1])[1] == 2")
    assert marks(solution, Checks(("f", "g", "h", "i"), "", checks)) == Marks(3, 4)


def test_test_code_of_any_shape(marks) -> None:  # type: ignore[no-untyped-def]
    source = (
        "import random\ndef check(candidate):\n    rng = random.Random(1)\n    for _ in range(20):\n"
        "        n = rng.randrange(100)\n        assert candidate(n) == n * n\n"
        "    try:\n        candidate('x')\n    except TypeError:\n        pass\n    else:\n        assert False\n"
        "    assert candidate(float('inf')) == float('inf')\n    assert [candidate(i) for i in (1, 2)] == [1, 4]\n"
    )
    tests = read_tests({"test": source, "entry_point": "f"})
    assert tests == Checks(("f",), source, ("check(f)",))
    assert marks(RIGHT, tests) == Marks(1, 1)
    assert marks("def f(n):\n    return n * n if n != 'x' else 1", tests) == Marks(0, 1)
    assert marks("def f(n):\n    return n + n", tests) == Marks(0, 1)


def test_the_expected_values_are_never_in_the_solutions_sandbox(
    sandbox: str, opened: list[BlockingSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[int, list[str]] = {}
    real = BlockingSession.run_python

    def noted(self: BlockingSession, code: str, **limits: object) -> object:
        sent.setdefault(id(self), []).append(code)
        return real(self, code, **limits)  # type: ignore[arg-type]

    monkeypatch.setattr(BlockingSession, "run_python", noted)
    tests = Checks(("f",), "", ("assert f(3) == 9876 - 9867", "assert f(505) == 255025"))
    assert grade(RIGHT, tests, shared(sandbox), shared(sandbox), 5.0) == Marks(2, 2)
    solution, judge = (sent[id(session)] for session in opened)
    assert RIGHT in solution
    assert not any(word in cell for cell in solution for word in ("9876", "255025", "assert"))
    assert not any("n * n" in cell for cell in judge)


def test_what_breaks_around_it_is_no_verdict(sandbox: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise SandboxDied("The sandbox is gone: the machine was turned off.")

    monkeypatch.setattr(BlockingSession, "run_python", broken)
    with pytest.raises(SandboxDied):
        grade(RIGHT, SQUARES, shared(sandbox), shared(sandbox), 5.0)


@pytest.mark.parametrize(
    ("item", "tests"),
    [
        ({"tests": ["assert f(1) == 2", "assert f([1], k='x') == (1, 2)"]}, Calls),
        ({"test_list": ["assert f(1) == 2"], "test_setup_code": ""}, Calls),
        ({"test_list": ["assert f(1) == 2"], "test_setup_code": "import math"}, Checks),
        ({"tests": ["assert f(1) == 2", "assert f(2)"]}, Checks),
        ({"tests": ["assert f(1) == 2", "assert set(f(2)) == {1}"]}, Checks),
        ({"test": "assert f(1) == 2\nassert f(2) == 3"}, Calls),
        ({"test": "def check(candidate):\n    assert candidate(1)", "entry_point": "f"}, Checks),
        ({"tests": [{"input": "1\n", "output": "2\n"}]}, Programs),
        ({"tests": {"inputs": ["1"], "outputs": ["2"]}}, Programs),
        ({"input_output": json.dumps({"inputs": ["1"], "outputs": ["2"]})}, Programs),
        ({"question": "no tests"}, type(None)),
    ],
)
def test_shapes_of_tests(item: dict[str, object], tests: type) -> None:
    assert isinstance(read_tests(item), tests)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"tests": ["assert f(1 == 2"]}, "no Python"),
        ({"tests": ["assert 1 == 1"]}, "call no function"),
        ({"tests": ["assert f(1) == 2", {"input": "1", "output": "2"}]}, "neither all asserts nor all pairs"),
        ({"test": "def check(candidate):\n    assert candidate(1)"}, "needs an entry_point"),
        ({"tests": 5}, "of type int"),
    ],
)
def test_tests_that_cannot_be_read(item: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_tests(item)


@pytest.mark.parametrize("data", [{"a": 1}, ["x", 1], ["l", ["q"]], [], ["d", 1], ["c", "x", 2], ["s", ["l"]]])
def test_data_that_is_no_value(data: object) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        decode(data)
