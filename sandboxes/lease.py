"""One session that a server lends: until when, and what was asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from agentrl.sandboxes.once import Once
from agentrl.sandboxes.session import Session
from agentrl.sandboxes.wire import Answer


class Gone(Exception):
    """There is no such lease, or no longer; the text says why."""


@dataclass(eq=False, kw_only=True)
class Lease:
    """One session that is lent."""

    session: Session
    key: str
    """The client's id of the request that made it."""
    ttl_s: float
    idle_s: float
    id: str = field(default_factory=lambda: f"s-{secrets.token_urlsafe(18)}")
    """What a client needs to know to use it; cannot be guessed."""
    born: float = field(default_factory=time.monotonic)
    touched: float = field(default_factory=time.monotonic)
    asked: int = 0
    """Requests under way."""
    once: Once[Answer] = field(default_factory=lambda: Once(lambda answer: len(answer.body)))
    ending: asyncio.Task[None] | None = None

    def expired(self) -> str:
        """Why it must end now, or nothing."""
        now = time.monotonic()
        if now > self.born + self.ttl_s:
            return f"its lease of {self.ttl_s:g} s ended"
        if not self.asked and now > self.touched + self.idle_s:
            return f"nobody asked it anything for {self.idle_s:g} s"
        return f"it died: {self.session.dead or 'its agent is gone'}" if self.session.lost() else ""

    def expires_s(self) -> float:
        """Seconds that it has left if nothing is asked any more."""
        now = time.monotonic()
        return max(min(self.born + self.ttl_s, self.touched + self.idle_s) - now, 0.0)

    @contextlib.contextmanager
    def use(self) -> Iterator[Session]:
        """The session while a request is under way; it is not idle then."""
        self.asked += 1
        try:
            yield self.session
        finally:
            self.asked -= 1
            self.touched = time.monotonic()
