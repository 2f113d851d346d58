"""Grading code: a solution runs in a fresh sandbox, what it must give never enters that sandbox.

A solution can rebind everything around it: ``print``, ``assert``, ``sys.exit``, whatever a harness in its process
would rely on. So there is no harness there to believe. For each test the solution's sandbox is asked for a value, as
data, and the comparison is made elsewhere: by the host, or, where the test is code, by a *judge*, a second sandbox in
which the solution's functions are stand-ins that ask the host, which asks the solution::

    host                            sandbox of the solution        sandbox of the judge
    run it                     ->   def f(n): ...
    f(3)?                      ->   [1, 2]
    [1, 2] == [1, 2]
                                                            <-     f(2)?  (in assert abs(f(2) - 1.41) < .01)
    f(2)?                      ->   1.414
                               ------------------------------->    1.414: passed

So whatever a solution prints, exits or patches, it passes a test only if it comes up with the value that the test
wants. What is left to it: knowing a value without computing it (hard-coding the tests that its prompt shows, guessing
a boolean), and tests that accept wrong values. Values cross as data (None, booleans, numbers, texts, bytes, lists,
tuples, sets, dictionaries): objects of other classes fail, and what a function does to its arguments is not seen.
"""

from __future__ import annotations

import ast
import json
import secrets
from typing import Any, NamedTuple

from agentrl.envs.python.cases import Calls, Checks, Programs, Tests
from agentrl.envs.python.crossing import ASK, ENCODE, decode
from agentrl.sandboxes import ExecResult
from agentrl.sandboxes.blocking import BlockingSession, Sandboxes

VALUE_BYTES = 1 << 18
"""The longest value that a call may return, encoded, and the longest output of a program."""
LATE = 2
"""Runs that may pass the time limit before the rest is not tried."""
ASKED = 500
"""Calls that a check may make."""
SOLUTION_CHARS = 100_000
"""The longest solution that is tried."""


class Marks(NamedTuple):
    """How many tests were passed."""

    passed: int
    total: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.passed / self.total


class Outcome(NamedTuple):
    """What came of a call."""

    value: Any = None
    raised: str = ""
    """Name of the exception; empty where it returned."""


def grade(solution: str, tests: Tests, boxes: Sandboxes, judges: Sandboxes, timeout_s: float) -> Marks:
    """Hold a solution to its tests, in sandboxes that nobody used before.

    Args:
        boxes: where solutions run.
        judges: where test code runs; another pool, so that nobody waits there who is waited for.
        timeout_s: seconds for each call or run.

    Raises:
        SandboxError: something around a sandbox broke; there is no verdict then.
    """
    if len(solution) > SOLUTION_CHARS:
        return Marks(0, len(tests))
    with boxes.open() as session:
        tried = Candidate(session, solution, timeout_s)
        if isinstance(tests, Programs):
            return Marks(sum(tried.prints(given, wanted) for given, wanted in tests.runs), len(tests))
        if isinstance(tests, Calls):
            return Marks(sum(tried.returns(call, wanted) for call, wanted in tests.calls), len(tests))
        with judges.open() as judge:
            passed = sum(_check(judge, tests, check, tried, timeout_s) for check in tests.checks)
    return Marks(passed, len(tests))


class Candidate:
    """A solution in its sandbox."""

    def __init__(self, session: BlockingSession, solution: str, timeout_s: float) -> None:
        self.session, self.solution, self.timeout_s = session, solution, timeout_s
        self.loaded = False
        self.late = 0
        """Runs that passed the time limit."""

    def returns(self, call: str, wanted: str) -> bool:
        """Whether a call returns what a literal says."""
        outcome = self.call(call)
        if outcome.raised:
            return False
        try:
            return bool(outcome.value == ast.literal_eval(wanted))
        except RecursionError:
            return False

    def call(self, call: str) -> Outcome:
        """Run a call; ``call`` is source."""
        if self.late >= LATE:
            return Outcome(raised="TimeoutError")
        if not self.loaded:
            self.loaded = True
            self._count(self.session.run_python(self.solution, timeout=self.timeout_s, max_output=1024))
        mark = secrets.token_hex(8)
        cell = ENCODE.format(call=call, mark=mark)
        result = self.session.run_python(cell, timeout=self.timeout_s, max_output=2 * VALUE_BYTES)
        self._count(result)
        _, _, line = result.stdout.rpartition(mark)
        try:
            kind, found = json.loads(line)
            return Outcome(raised=str(found)) if kind == "raised" else Outcome(decode(found))
        except (ValueError, TypeError, LookupError, RecursionError):
            return Outcome(raised="RuntimeError")  # no value, or one that is no data

    def prints(self, given: str, wanted: str) -> bool:
        """Whether the solution, as a program, prints what it must for an input."""
        if self.late >= LATE:
            return False
        self.session.write_file("solution.py", self.solution.encode(errors="replace"))
        command = "exec python3 -B solution.py"
        result = self.session.run_shell(
            command, timeout=self.timeout_s, stdin=given.encode(errors="replace"), max_output=VALUE_BYTES
        )
        self._count(result)
        return result.status == "ok" and not result.truncated and _lines(result.stdout) == _lines(wanted)

    def _count(self, result: ExecResult) -> None:
        self.late += result.status == "timeout"
        if result.session_reset:
            self.loaded = False


def _lines(text: str) -> list[str]:
    """Lines without white space at their ends; none that are empty at the end."""
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _check(judge: BlockingSession, tests: Checks, check: str, tried: Candidate, timeout_s: float) -> bool:
    """Run one check in the judge's sandbox, as often as it asks for one more call."""
    known: dict[str, Outcome] = {}
    while len(known) < ASKED:
        cell = ASK.format(
            names=tests.names,
            known={key: tuple(outcome) for key, outcome in known.items()},
            source=f"{tests.setup}\n{check}",
        )
        result = judge.run_python(cell, timeout=timeout_s, max_output=2 * VALUE_BYTES)
        try:
            said = json.loads(result.stdout.rstrip().rpartition("\n")[2])
        except ValueError:
            return False  # a value made the check hang, or print without end
        if "call" not in said:
            return bool(said["passed"])
        known[said["call"]] = tried.call(said["call"])
    return False
