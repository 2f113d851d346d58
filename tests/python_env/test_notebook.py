"""Sessions that are opened late, and brought to where another one was."""

from __future__ import annotations

import pytest

from agentrl.envs.python.notebook import Cell, Notebook
from agentrl.errors import NotForkable
from agentrl.sandboxes import SandboxDied
from agentrl.sandboxes.blocking import BlockingSession, shared


@pytest.fixture
def book(sandbox: str, opened: list[BlockingSession]) -> Notebook:
    return Notebook(shared(sandbox), 1.0, 500)


def run(
    book: Notebook, *codes: str, cells: tuple[Cell, ...] = (), files: tuple[tuple[str, bytes], ...] = ()
) -> tuple[Cell, ...]:
    for code in codes:
        cells = (*cells, book.run(files, cells, code))
    return cells


def test_state_is_kept_and_nothing_is_opened_before_it_is_needed(book: Notebook, opened: list[BlockingSession]) -> None:
    assert not opened
    assert [cell.shown for cell in run(book, "x = 20", "x + 1")] == ["[no output]", "21"]
    assert len(opened) == 1
    book.close()
    book.close()


def test_cells_are_run_again_only_where_the_session_stands_elsewhere(
    book: Notebook, opened: list[BlockingSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    real = BlockingSession.run_python
    monkeypatch.setattr(BlockingSession, "run_python", lambda s, code, **k: ran.append(code) or real(s, code, **k))
    files = (("a.txt", b"7"),)
    first = run(book, "x = int(open('a.txt').read())", files=files)
    second = run(book, "x += 1\nprint(x)\nopen('left', 'w')", cells=first, files=files)
    assert len(ran) == 2
    assert run(book, "x += 1\nprint(x)", cells=first, files=files)[-1].shown == "8"
    assert len(ran) == 4
    assert len(opened) == 1  # it was set back
    assert "False" in run(book, "import os\nos.path.exists('left')", cells=first, files=files)[-1].shown
    other = Notebook(book.boxes, 1.0, 500)
    assert run(other, "x", cells=second, files=files)[-1].shown == "8"
    other.close()
    book.close()


def test_nothing_of_an_episode_is_there_in_the_next(book: Notebook, opened: list[BlockingSession]) -> None:
    leave = "import builtins, subprocess\nx = builtins.y = 1\nopen('left', 'w')\nopen('/dev/shm/left', 'w')"
    look = (
        "import builtins, os\n'x' in globals(), hasattr(builtins, 'y'), os.listdir(), os.path.exists('/dev/shm/left')"
    )
    run(book, leave)
    book.leave()
    assert run(book, look)[-1].shown == "(False, False, ['tmp'], False)"
    assert len(opened) == 1
    book.close()


def test_errors_and_addresses_repeat(book: Notebook) -> None:
    cells = run(book, "x = 1\n1 / 0", "object()", "import sys; sys.exit(3)")
    assert [cell.status for cell in cells] == ["error", "ok", "exit"]
    other = Notebook(book.boxes, 1.0, 500)
    assert run(other, "x", cells=cells)[-1].shown == "1"
    other.close()
    book.close()


@pytest.mark.parametrize("code", ["import time\nprint(time.time_ns())", "import random\nprint(random.random())"])
def test_a_cell_that_shows_something_else_is_told(code: str, book: Notebook) -> None:
    cells = run(book, code)
    other = Notebook(book.boxes, 1.0, 500)
    with pytest.raises(NotForkable, match="Cell 1 of 1 showed something else"):
        run(other, "1", cells=cells)
    book.close()


@pytest.mark.parametrize(
    "code", ["while True: pass", "import os\nos._exit(0)", "x = bytearray(10 ** 9)\nprint(len(x))"]
)
def test_a_cell_that_was_cut_short_is_told(code: str, book: Notebook, opened: list[BlockingSession]) -> None:
    cells = run(book, code)
    if cells[0].status == "error":
        assert "MemoryError" in cells[0].shown
    else:
        assert run(book, "1 + 1", cells=cells)[-1].shown == "2"  # the session itself goes on
        with pytest.raises(NotForkable, match="Cell 1 of 1 was cut short"):
            run(Notebook(book.boxes, 1.0, 500), "1", cells=cells)
        assert len(opened) == 1
    book.close()


def test_a_session_that_died_is_an_error_and_is_not_used_again(
    book: Notebook, opened: list[BlockingSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = run(book, "x = 5")
    opened[0].close()
    assert run(book, "x", cells=cells)[-1].shown == "5"
    with monkeypatch.context() as patched:

        def broken(*_: object, **__: object) -> None:
            raise SandboxDied("gone")

        patched.setattr(BlockingSession, "run_python", broken)
        with pytest.raises(SandboxDied):
            run(book, "x", cells=cells)
    assert book.session is None
    assert run(book, "x", cells=cells)[-1].shown == "5"
    book.close()
