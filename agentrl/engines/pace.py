"""When the next request to an endpoint may go: limits of one's own, and what the endpoint asks for."""

from __future__ import annotations

import asyncio
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any


class Pace:
    """Spreads requests over time: so many a minute, so many tokens a minute, and none while all are held back."""

    def __init__(self, rpm: float | None = None, tpm: float | None = None) -> None:
        self._gap = 60.0 / rpm if rpm else 0.0
        self._per_token = 60.0 / tpm if tpm else 0.0
        self._free = self._held = 0.0

    async def wait(self) -> None:
        """Return when the next request may go."""
        start = max(time.monotonic(), self._free)
        self._free = start + self._gap
        while (left := max(start, self._held) - time.monotonic()) > 0:
            await asyncio.sleep(left)

    def spend(self, tokens: int) -> None:
        """Enter what a request came to."""
        self._free = max(time.monotonic(), self._free) + tokens * self._per_token

    def hold(self, seconds: float) -> None:
        """Let nobody go for a while."""
        self._held = max(self._held, time.monotonic() + seconds)


def retry_after(headers: Any) -> float | None:
    """Seconds that an answer asks to wait: ``retry-after-ms``, or ``Retry-After`` in seconds or as a date.

    >>> retry_after({"retry-after": "2"}), retry_after({"retry-after-ms": "250"}), retry_after({})
    (2.0, 0.25, None)
    """
    try:
        if (ms := headers.get("retry-after-ms")) is not None:
            return max(0.0, float(ms) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if re.fullmatch(r"\s*[\d.]+\s*", value):
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
