"""JSON over HTTP within a deadline: what the remote retrievers ask their servers with.

A request is tried again when the connection fails, and after the statuses that say "later" (429 and 5xx), a bounded
number of times and never past the deadline. Everything else that is wrong is a `RetrieverError` at once.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from agentrl.envs.search.retrievers import RetrieverError
from agentrl.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 16 << 20
"""Longest answer."""
LATER = frozenset({429, 500, 502, 503, 504})
"""Statuses after which a request is tried again."""
PAUSE_S = 0.25
"""Before the second try; twice as long before each further one. A longer ``Retry-After`` of the server counts."""
SHOWN = 200
"""Characters of a server's answer in an error."""


class Fetcher:
    """Asks one server. Safe to share by threads.

    Args:
        name: What the server is called in errors.
        cure: What to do about an error, the end of its message.
        timeout: Seconds to wait for a connection, and for each piece of an answer.
        deadline: Seconds for everything, further tries included; the last piece may be late by `timeout`.
        retries: Tries after the first.
        transport: How requests are sent; None is the network.

    Raises:
        ConfigError: a number is out of range.
        MissingExtra: httpx is not installed.
    """

    def __init__(
        self,
        name: str,
        cure: str,
        *,
        timeout: float = 10.0,
        deadline: float = 30.0,
        retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtra("httpx", "search") from None
        if not (timeout > 0 and deadline > 0 and retries >= 0):
            raise ConfigError(
                f"timeout={timeout} and deadline={deadline} must be above 0 seconds, and retries={retries} 0 or more."
            )
        self._name, self._cure = name, cure
        self._timeout, self._deadline, self._retries = timeout, deadline, retries
        self._client = httpx.Client(transport=transport)  # redirects are not followed: they could carry off the key

    def fetch(self, method: str, url: str, **request: Any) -> Any:
        """The decoded answer.

        Args:
            method: ``GET`` or ``POST``.
            url: Where to.
            request: ``json``, ``params`` and ``headers``, as in ``httpx.Client.request``.

        Raises:
            RetrieverError: there was none in time, or it is no JSON.
        """
        end = time.monotonic() + self._deadline
        pause, tries = PAUSE_S, self._retries + 1
        for attempt in range(tries):
            status, body, wait, fault = self._once(method, url, end, request)
            if status is not None and status < 300:
                return self._decoded(url, body)
            if attempt + 1 == tries or (status is not None and status not in LATER):
                break
            pause = max(pause, wait)
            if time.monotonic() + pause >= end:
                fault += f", and the deadline of {self._deadline:g} s leaves no time for another try"
                break
            time.sleep(pause)
            pause *= 2
        raise self.error(url, fault)

    def _once(self, method: str, url: str, end: float, request: dict[str, Any]) -> tuple[int | None, bytes, float, str]:
        """Status (None: no connection), body, seconds that the server asks to wait, what is wrong."""
        import httpx

        left = end - time.monotonic()
        timeout = httpx.Timeout(max(0.001, min(self._timeout, left)))
        try:
            with self._client.stream(method, url, timeout=timeout, **request) as response:
                pieces, size = [], 0
                for piece in response.iter_bytes():
                    pieces.append(piece)
                    size += len(piece)
                    if time.monotonic() > end:
                        raise self.error(url, f"no whole answer within {self._deadline:g} s")
                    if size > MAX_BYTES:
                        raise self.error(url, f"the answer is longer than {MAX_BYTES >> 20} MiB")
                body, status = b"".join(pieces), response.status_code
                shown = (response.headers.get("Location") or body[:SHOWN].decode("utf-8", "replace")).strip()
                fault = f"it answered with status {status} {response.reason_phrase}{': ' if shown else ''}{shown}"
                return status, body, _seconds(response.headers.get("Retry-After")), fault
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.RemoteProtocolError, httpx.ReadError) as error:
            return None, b"", 0.0, f"{_kind(error)}: {error}"
        except httpx.TimeoutException as error:
            raise self.error(url, f"no answer within {min(self._timeout, left):.3g} s ({_kind(error)})") from error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise self.error(url, f"{_kind(error)}: {error}") from error

    def _decoded(self, url: str, body: bytes) -> Any:
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            shown = body[:SHOWN].decode("utf-8", "replace")
            raise self.error(url, f"the answer is not JSON ({error}): {shown!r}") from error

    def error(self, url: str, fault: str) -> RetrieverError:
        """An error that names the server, and says what to do."""
        return RetrieverError(f"{self._name} at {url} failed: {fault}. {self._cure}")

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


def _kind(error: Exception) -> str:
    return type(error).__name__


def _seconds(header: str | None) -> float:
    """Of a ``Retry-After`` header; 0 for none, and for a date."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        return 0.0
