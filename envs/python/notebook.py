"""A sandbox that is only opened when a cell is to run, and that can be brought to where another one was.

What an episode remembers are its cells: their code and what they showed. A notebook that stands elsewhere (after a
restore, or in another environment) sets its sandbox back, or opens one, and runs these cells again before the next one.
Two signs say that this does not lead to the same state, and both raise `NotForkable`:

- a cell was cut short (time, memory, output, disk, a crash): how far it had come is not known;
- a cell that is run again shows something else than it did, but for the addresses of objects.

A cell that shows the same, but leaves another state behind (a random number kept, the time of day), goes unnoticed.
"""

from __future__ import annotations

import contextlib
import re
import threading
from dataclasses import dataclass, field
from typing import NamedTuple
from weakref import WeakKeyDictionary

from agentrl.errors import NotForkable
from agentrl.sandboxes import ExecResult, SandboxError
from agentrl.sandboxes.blocking import BlockingSession, Sandboxes

WHOLE = ("ok", "error", "exit")
"""Ends of a cell after which its state is known."""
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
Files = tuple[tuple[str, bytes], ...]


class Cell(NamedTuple):
    """A cell that ran."""

    code: str
    shown: str
    """What the policy was shown of it."""
    status: str
    """How it ended, as in `ExecResult.status`."""


@dataclass
class _Shelf:
    """Sandboxes that are kept between episodes, no more than there are notebooks that use them."""

    sessions: list[BlockingSession] = field(default_factory=list)
    users: int = 0


_shelves: WeakKeyDictionary[Sandboxes, _Shelf] = WeakKeyDictionary()
_shelving = threading.Lock()


class Notebook:
    """The Python session of an episode.

    Args:
        boxes: where its sandbox comes from.
        timeout_s: seconds that a cell may take.
        max_chars: characters of a cell's output that are shown.
    """

    def __init__(self, boxes: Sandboxes, timeout_s: float, max_chars: int) -> None:
        self.boxes, self.timeout_s, self.max_chars = boxes, timeout_s, max_chars
        self.session: BlockingSession | None = None
        self._files: Files = ()
        self._cells: tuple[Cell, ...] | None = None
        """Where it stands; None: nowhere that could be gone on from."""
        with _shelving:
            self._shelf = _shelves.setdefault(boxes, _Shelf())
        self._uses = False

    def run(self, files: Files, cells: tuple[Cell, ...], code: str) -> Cell:
        """Run a cell after others.

        Args:
            files: what lies in the work folder at the start.
            cells: those that ran before; run again where this notebook stands elsewhere.
            code: the next one.

        Raises:
            SandboxError: something around the sandbox broke.
            NotForkable: running the cells again does not lead to the same state.
        """
        session = self._at(files, cells)
        try:
            cell = self._ran(session, code)
        except SandboxError:
            self.close()
            raise
        self._cells = (*cells, cell)
        return cell

    def leave(self) -> None:
        """End the episode. The sandbox is kept for the next one, whose ever: to set it back is ten times cheaper."""
        session, self.session, self._cells = self.session, None, None
        if session is not None:
            with _shelving:
                self._shelf.sessions.append(session)

    def close(self) -> None:
        """End the sandbox, or one that is kept, if there is any."""
        session, self.session, self._cells = self.session, None, None
        with _shelving:
            self._shelf.users -= self._uses
            self._uses = False
            spare = self._shelf.sessions[self._shelf.users :]
            del self._shelf.sessions[self._shelf.users :]
        for one in [*([session] if session else []), *spare]:
            _end(one)

    def _at(self, files: Files, cells: tuple[Cell, ...]) -> BlockingSession:
        """The session that stands after ``cells``."""
        if self.session is not None and not self.session.dead and (files, cells) == (self._files, self._cells):
            return self.session
        check_repeatable(cells)
        self.session, self._files, self._cells = self._clean(), files, None
        try:
            for name, content in files:
                self.session.write_file(name, content)
            for number, cell in enumerate(cells, 1):
                again = self._ran(self.session, cell.code)
                if _plain(again) != _plain(cell):
                    raise NotForkable(
                        f"Cell {number} of {len(cells)} showed something else when it was run again: "
                        f"{_short(again.shown)} instead of {_short(cell.shown)}. Its code depends on chance or time."
                    )
        except BaseException:
            self.close()
            raise
        return self.session

    def _clean(self) -> BlockingSession:
        """A session in which nothing happened: one that is set back, or a new one."""
        while (session := self._used()) is not None:
            try:
                session.reset()
            except SandboxError:  # it went while nothing ran in it: nothing is lost
                _end(session)
            else:
                return session
        return self.boxes.open()

    def _used(self) -> BlockingSession | None:
        """The own session, or else one that was kept."""
        session, self.session = self.session, None
        if session is not None:
            return session
        with _shelving:
            self._shelf.users += not self._uses
            self._uses = True
            return self._shelf.sessions.pop() if self._shelf.sessions else None

    def _ran(self, session: BlockingSession, code: str) -> Cell:
        result: ExecResult = session.run_python(code, timeout=self.timeout_s, max_output=4 * self.max_chars)
        return Cell(code, result.to_observation(self.max_chars), result.status)


def _end(session: BlockingSession) -> None:
    with contextlib.suppress(SandboxError):
        session.close()


def check_repeatable(cells: tuple[Cell, ...]) -> None:
    """Whether running cells again can lead to the same state. Raises NotForkable where one was cut short."""
    cut = next((n for n, cell in enumerate(cells, 1) if cell.status not in WHOLE), 0)
    if cut:
        raise NotForkable(
            f"Cell {cut} of {len(cells)} was cut short ({cells[cut - 1].status}): running it again may not give the "
            "same state."
        )


def _plain(cell: Cell) -> tuple[str, str]:
    return _ADDRESS.sub("0x", cell.shown), cell.status


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 60 else text[:57] + "...")
