r"""Mathematical answers: equal as texts or numbers, or else by math-verify (the extra ``math``).

    \frac{14}{3} = 14/3     90^\circ = 90     1,-2 = \{-2, 1\}     y = 2x + 3 = 2x + 3     (3,4] = (3, 4]

math-verify can be made to compute for ever, and its own time limits are signals, which only a main thread can take,
while environments run in threads. So it runs in a process of its own (`mathworker`), which the kernel ends after so
much processor time; what could not be shown to be equal by then is not. The process is kept for the next answers.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import queue
import select
import subprocess
import sys
import threading
import weakref
from pathlib import Path

from agentrl.envs.python import answers
from agentrl.errors import EnvError, MissingExtra

CPU_S = 3.0
"""Seconds of processor time for one answer."""
PATIENCE_S = 60.0
"""Seconds of waiting after which it is not the answer's fault."""
WORKERS = 2
"""Processes at most."""


def is_installed() -> bool:
    """Whether the extra ``math`` is there."""
    return importlib.util.find_spec("math_verify") is not None


def needs_math(gold: str) -> bool:
    """Whether answers cannot be compared with a gold one as numbers or texts alone.

    >>> needs_math("18"), needs_math(r"\\text{east}"), needs_math(r"\\sqrt{51}")
    (False, False, True)
    """
    return answers.number(gold) is None and not answers.is_words(gold)


def equal(answer: str, gold: str) -> bool:
    """Whether an answer is the gold one.

    Without the extra ``math`` numbers and texts are still compared, and a number written as LaTeX that is no plain
    fraction is not recognised.

    Raises:
        MissingExtra: the gold answer needs math-verify, and it is not installed.
        EnvError: math-verify does not run.
    """
    if answers.plainly_equal(answer, gold):
        return True
    said = answers.extract(answer)
    if not said or len(said) > answers.LONGEST or answers.is_words(gold):
        return False
    plain = answers.number(said) is not None and answers.number(gold) is not None
    if plain and "/" not in said + gold and "frac" not in said + gold:
        return False  # two whole or decimal numbers
    if not is_installed():
        if needs_math(gold):
            raise MissingExtra("math-verify", "math")
        return False
    return _referees().equal(said, gold)


class Referees:
    """Up to ``WORKERS`` processes with math-verify; may be asked from any thread."""

    def __init__(self) -> None:
        self._idle: queue.LifoQueue[_Referee | None] = queue.LifoQueue()
        for _ in range(WORKERS):
            self._idle.put(None)

    def equal(self, answer: str, gold: str) -> bool:
        """math-verify's verdict. Raises EnvError when it does not run."""
        referee = self._idle.get()
        try:
            if referee is None:
                referee = _Referee()
            verdict = referee.ask({"gold": gold, "answer": answer, "seconds": CPU_S})
            if verdict is None:
                referee.end()
                referee = None
            return bool(verdict)
        except BaseException:
            if referee is not None:
                referee.end()
                referee = None
            raise
        finally:
            self._idle.put(referee)


class _Referee:
    """One process."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", str(Path(__file__).with_name("mathworker.py"))]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        self.end = weakref.finalize(self, _end, self.process)
        if self._line() != "ready\n":
            self.end()
            raise EnvError(f"math-verify does not start: try {sys.executable} -c 'import math_verify'")

    def ask(self, question: dict[str, object]) -> bool | None:
        """The verdict; None where the process ended over it.

        Raises:
            EnvError: there was none for a long time, though the processor was hardly used.
        """
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(question).encode() + b"\n")
        line = self._line()
        return bool(json.loads(line)["equal"]) if line.endswith("\n") else None

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
                raise EnvError(f"math-verify gave no verdict within {PATIENCE_S:.0f} s: this machine is too busy.")
            piece = os.read(self.process.stdout.fileno(), 4096)
            if not piece:
                break
            line += piece
        return line.decode()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


_making = threading.Lock()


def _referees() -> Referees:
    with _making:
        return _of_process(os.getpid())


@functools.cache
def _of_process(pid: int) -> Referees:
    """One set for each process; one that was forked gets its own."""
    return Referees()
