"""Code that starts from nothing at every call, as with ``python -c``: one sandbox, set back between calls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from agentrl.envs.python.notebook import Cell, Files
from agentrl.sandboxes import ExecResult, SandboxError
from agentrl.sandboxes.blocking import BlockingSession, Sandboxes


class Fresh:
    """Where the code of an episode runs; nothing of a call is left for the next.

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
        self.boxes, self.timeout_s, self.max_chars = boxes, timeout_s, max_chars
        self.show, self.prints = show, prints
        self.session: BlockingSession | None = None

    def run(self, files: Files, cells: tuple[Cell, ...], code: str) -> Cell:
        """Run code; ``cells``, what ran before, does not matter.

        Raises:
            SandboxError: something around the sandbox broke.
        """
        try:
            session = self._empty()
            for name, content in files:
                session.write_file(name, content)
            ran = f"{code}\nNone" if self.prints else code  # the value of a last expression, None, is not shown
            result = session.run_python(ran, timeout=self.timeout_s, max_output=4 * self.max_chars)
        except SandboxError:
            self.close()
            raise
        return Cell(code, self.show(result, self.max_chars), result.status)

    def close(self) -> None:
        """End the sandbox, if there is one."""
        session, self.session = self.session, None
        if session is not None:
            with contextlib.suppress(SandboxError):
                session.close()

    def _empty(self) -> BlockingSession:
        """A session in which nothing happened yet."""
        if self.session is not None and not self.session.dead:
            self.session.reset()
        else:
            self.close()
            self.session = self.boxes.open()
        return self.session
