"""Code that starts from nothing at every call, as with ``python -c``."""

from __future__ import annotations

from collections.abc import Callable

from agentrl.envs.python.notebook import Cell, Files, Notebook
from agentrl.sandboxes import ExecResult
from agentrl.sandboxes.blocking import BlockingSession, Sandboxes


class Fresh(Notebook):
    """A notebook whose cells know nothing of each other.

    Args:
        boxes: where its sandbox comes from, when the first code is to run.
        timeout_s: seconds that code may take.
        max_chars: characters of its output that are shown.
        show: what is shown of a run, given it and ``max_chars``.
        prints: whether the value of a last expression is to be left out.
    """

    def __init__(
        self,
        boxes: Sandboxes,
        timeout_s: float,
        max_chars: int,
        show: Callable[[ExecResult, int], str],
        *,
        prints: bool,
    ) -> None:
        super().__init__(boxes, timeout_s, max_chars)
        self.show, self.prints = show, prints

    def run(self, files: Files, cells: tuple[Cell, ...], code: str) -> Cell:
        """Run code; ``cells``, what ran before, does not matter. Raises SandboxError."""
        self.leave()
        return super().run(files, (), code)

    def _ran(self, session: BlockingSession, code: str) -> Cell:
        ran = f"{code}\nNone" if self.prints else code  # the value of a last expression, None, is not shown
        result = session.run_python(ran, timeout=self.timeout_s, max_output=4 * self.max_chars)
        return Cell(code, self.show(result, self.max_chars), result.status)
