"""Sandboxes where they work, a count of those that were opened, and environments that are closed in the end."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from agentrl.envs.python import notebook
from agentrl.envs.tools import Tools
from agentrl.sandboxes import SandboxError
from agentrl.sandboxes.blocking import BlockingSession, Sandboxes
from agentrl.sandboxes.local import best_tier

PATIENCE_S = 20.0
"""Seconds in which sandboxes must be closed."""


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
    end = time.monotonic() + PATIENCE_S
    while (left := [session for session in sessions if not session.dead]) and time.monotonic() < end:
        time.sleep(0.05)  # a rollout's environments are closed in threads of their own
    for session in left:
        session.close()
    assert not left, f"{len(left)} of {len(sessions)} sandboxes were left open"


@pytest.fixture
def tools(sandbox: str) -> Iterator[Callable[..., Tools]]:
    """Makes environments, of level 0 unless said otherwise."""
    made: list[Tools] = []

    def make(**settings: Any) -> Tools:
        made.append(Tools(**{"level": 0, **settings}))
        return made[-1]

    yield make
    for env in made:
        env.close()
