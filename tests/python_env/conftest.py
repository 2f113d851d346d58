"""Sandboxes where they work, and a count of those that are open."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import pytest

from agentrl.envs.python import notebook
from agentrl.sandboxes import SandboxError
from agentrl.sandboxes.blocking import BlockingSession, Sandboxes
from agentrl.sandboxes.local import best_tier


@functools.cache
def _no_tier() -> str:
    """Why no sandbox works here; empty where one does."""
    try:
        best_tier()
    except SandboxError as error:
        return str(error)
    return ""


@pytest.fixture
def sandbox() -> str:
    """The backend that tests use; they are skipped where none works."""
    if reason := _no_tier():
        pytest.skip(f"no sandbox works here: {reason}")
    return "auto"


@pytest.fixture
def opened(sandbox: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BlockingSession]]:
    """The sandboxes that a test opens; all must be closed at its end."""
    sessions: list[BlockingSession] = []
    real = Sandboxes.open

    def noted(self: Sandboxes) -> BlockingSession:
        sessions.append(real(self))
        return sessions[-1]

    monkeypatch.setattr(Sandboxes, "open", noted)
    monkeypatch.setattr(notebook, "_shelves", WeakKeyDictionary())  # what other tests left lent is not looked at
    yield sessions
    left = [session for session in sessions if not session.dead]
    for session in left:
        session.close()
    assert not left, f"{len(left)} of {len(sessions)} sandboxes were left open"
