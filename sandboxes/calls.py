"""Calls to a sandbox server: made again while that is safe and may help, and never for longer than was agreed.

What is made again: a call that did not reach the server (no connection, no free connection), one that was answered
with 429, 502, 503 or 504, and, if the server carries it out once for its id, one whose answer was lost or is no sense
(cut, late, too long, not JSON). Between two tries: a random part of a wait that doubles, and at least what
``Retry-After`` asks for. Everything else is answered as it came, or raises `NoAnswer`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from agentrl.errors import ConfigError, MissingExtra
from agentrl.sandboxes.messages import BadRequest, Json, load

try:
    import httpx
except ImportError:
    raise MissingExtra("httpx", "remote") from None

AGAIN = (429, 502, 503, 504)
ANSWER_BYTES = 256 << 20
"""The longest answer taken."""
CONNECT_S, WRITE_S, POOL_S = 10.0, 30.0, 5.0
"""Seconds for a connection, for each piece of a request, and for a free connection."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often and how long a call is made again."""

    tries: int = 8
    """At most."""
    first_s: float = 0.2
    """The first wait, at most; it doubles."""
    most_s: float = 10.0
    """The longest wait, if the server does not ask for more."""
    total_s: float = 60.0
    """Seconds for a call with all its tries, beside the time of what it asks for."""
    late_s: float = 15.0
    """Seconds beyond the time of what it asks for after which an answer is late; a server's own watchdog takes 5."""


class Reply(NamedTuple):
    """An answer that came whole."""

    status: int
    body: bytes
    data: Json
    """The body, if it is a JSON object; else empty."""
    headers: Mapping[str, str]

    def why(self) -> str:
        """What the server says of it."""
        text = self.data.get("message") or self.body[:200].decode("utf-8", "replace") or "no more is said"
        return f"{self.status}: {text}"


class NoAnswer(Exception):
    """A call that was given up."""

    def __init__(self, why: str, *, code: str, maybe_done: bool) -> None:
        super().__init__(why)
        self.code = code
        """The last answer's own code, such as ``busy`` or ``unavailable``; empty without one."""
        self.maybe_done = maybe_done
        """Whether the server may have carried it out."""


class Lost(Exception):
    """An answer that did not come, or not whole."""


class Calls:
    """One server, as one client calls it; used within one event loop.

    Args:
        url: ``http://HOST:PORT`` or ``https://...``; a path in it comes before every path.
        token: sent as ``Authorization: Bearer``.
        connections: at the same time. Few: httpx looks through all of its connections for every request, so that
            whoever makes many calls at once takes a `twin` for each.
        proxy: an HTTP proxy; the environment's is not taken, so that the token goes nowhere else.
        verify: an `ssl.SSLContext`, for a certificate that the system does not know.

    Raises:
        ConfigError: the URL is none, or the token cannot be sent.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        patience: Patience | None = None,
        connections: int = 16,
        proxy: str | None = None,
        verify: Any = True,
    ) -> None:
        try:
            self.url = httpx.URL(url.rstrip("/"))
        except (httpx.InvalidURL, TypeError) as error:
            raise ConfigError(f"'{url}' is not a URL: {error}.") from None
        if self.url.scheme not in ("http", "https") or not self.url.host:
            raise ConfigError(f"'{url}' is not the URL of a sandbox server, such as http://127.0.0.1:8765.")
        if self.url.userinfo:
            raise ConfigError("A name or password in the URL would end up in messages: pass token= instead.")
        if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
            raise ConfigError("A token is one word of printable ASCII.")
        self.token = token
        self.patience = patience or Patience()
        self.proxy = proxy
        self.verify = httpx.create_ssl_context(trust_env=False) if verify is True else verify  # slow to make
        self.connections = connections
        self.random = random.Random()
        """Its own: the waits must not move anybody's seeds."""
        self.client: httpx.AsyncClient | None = None

    def opened(self) -> httpx.AsyncClient:
        """The client; made when it is first needed, in the event loop that needs it."""
        if self.client is None:
            headers = {"Accept-Encoding": "identity", "User-Agent": "agentrl-sandbox"}
            if self.token:
                headers["Authorization"] = f"Bearer {self.token}"
            number = self.connections
            limits = httpx.Limits(max_connections=number, max_keepalive_connections=number, keepalive_expiry=30.0)
            self.client = httpx.AsyncClient(
                headers=headers, limits=limits, verify=self.verify, proxy=self.proxy, trust_env=False
            )
        return self.client

    def twin(self, connections: int = 1) -> Calls:
        """The same server over connections of its own."""
        return Calls(
            str(self.url),
            self.token,
            patience=self.patience,
            connections=connections,
            proxy=self.proxy,
            verify=self.verify,
        )

    async def ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes = b"",
        query: Mapping[str, str] | None = None,
        run_s: float = 10.0,
        repeatable: bool = True,
        raw: bool = False,
        patience: Patience | None = None,
    ) -> Reply:
        """Make a call until it is answered.

        Args:
            path: below the URL, already quoted.
            content: the body; JSON unless the method is PUT.
            run_s: seconds that the server may need for it.
            repeatable: whether a call that may have been carried out can be made again.
            raw: whether a body that is not JSON is a right answer.

        Raises:
            NoAnswer: it was not, within what ``patience`` allows.
        """
        patience = patience or self.patience
        end = time.monotonic() + run_s + patience.late_s + patience.total_s
        request = {"method": method, "url": self.place(path, query), "content": content}
        code, maybe_done, trouble = "", False, ""
        asked_s: float | None = None
        for number in range(patience.tries):
            if number:
                await self.pause(number, asked_s, end, patience, NoAnswer(trouble, code=code, maybe_done=maybe_done))
            code, asked_s = "", None
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + end - time.monotonic()):
                    reply = await self.once(request, run_s + patience.late_s, raw)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                trouble = f"no connection to {self.url}: {error or type(error).__name__}"
                continue
            except (httpx.RequestError, Lost, TimeoutError) as error:
                trouble, maybe_done = f"the answer of {self.url} was lost: {error or type(error).__name__}", True
                if repeatable:
                    continue
                break
            if reply.status not in AGAIN:
                return reply
            trouble = f"{self.url} answered {reply.why()}"
            code = "busy" if reply.status == 429 else str(reply.data.get("code", ""))
            maybe_done = maybe_done or reply.status in (502, 504)
            asked_s = retry_after(reply.headers.get("retry-after", ""))
        raise NoAnswer(trouble, code=code, maybe_done=maybe_done)

    async def pause(
        self, number: int, asked_s: float | None, end: float, patience: Patience, trouble: NoAnswer
    ) -> None:
        """Wait before another try. Raises ``trouble`` when there is no time left for one."""
        wait = self.random.uniform(0, min(patience.first_s * 2 ** (number - 1), patience.most_s))
        wait += asked_s or 0.0
        if time.monotonic() + wait >= end:
            raise trouble
        await asyncio.sleep(wait)

    async def once(self, request: dict[str, Any], read_s: float, raw: bool) -> Reply:
        """One try. Raises httpx.RequestError or Lost."""
        timeout = httpx.Timeout(connect=CONNECT_S, read=read_s, write=WRITE_S, pool=POOL_S)
        kind = "application/octet-stream" if request["method"] == "PUT" else "application/json"
        body = bytearray()
        async with self.opened().stream(**request, headers={"Content-Type": kind}, timeout=timeout) as response:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > ANSWER_BYTES:
                    raise Lost(f"an answer longer than {ANSWER_BYTES} bytes")
        try:
            data = {} if raw and response.status_code == 200 else load(bytes(body))
        except BadRequest as error:
            if response.status_code < 300:
                raise Lost(str(error)) from None
            data = {}
        return Reply(response.status_code, bytes(body), data, response.headers)

    def place(self, path: str, query: Mapping[str, str] | None) -> httpx.URL:
        """The URL of a path."""
        base = self.url.raw_path.decode().rstrip("/")
        words = "&".join(f"{name}={value}" for name, value in (query or {}).items())
        return self.url.copy_with(raw_path=f"{base}{path}{'?' if words else ''}{words}".encode())

    async def close(self) -> None:
        """End the connections."""
        client, self.client = self.client, None
        if client:
            await client.aclose()


def retry_after(text: str) -> float | None:
    """Seconds that a ``Retry-After`` asks for, a number or a date; None if it is neither.

    >>> retry_after("2"), retry_after("soon")
    (2.0, None)
    """
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(seconds, 0.0) if seconds == seconds else None
