"""HTTP/1.1 connections over asyncio: h11 takes the bytes apart, this file keeps time and counts.

h11 is the parser that httpx itself stands on, strict and without any input or output. What is here is what a server
needs around it when it runs for weeks and its clients may be slow, hostile or gone: a deadline for every head, body
and answer, a bound on each, and a bound on connections, of which those without a whole request go first. A client
that leaves does not cancel what it asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from agentrl.errors import MissingExtra

try:
    import h11
except ImportError:
    raise MissingExtra("h11", "remote") from None

log = logging.getLogger("agentrl.sandboxes.server")

HEAD_BYTES = 64 << 10
"""The longest request line and headers."""
PIECE = 64 << 10
"""Bytes read at a time."""
RATE = 256 << 10
"""Bytes a second that a body must come or go at, beside ``Deadlines.body_s``."""
LINGER_BYTES, LINGER_S = 64 << 20, 5.0
"""How much of a refused body is still read, so that its sender sees the answer."""


class Head(NamedTuple):
    """A request without its body."""

    method: str
    path: list[str]
    """The parts between the slashes, decoded."""
    query: dict[str, str]
    headers: dict[str, str]
    """Lower-case name -> value; those given twice are joined by a comma."""


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


class Deadlines(NamedTuple):
    """How long a client may take, in seconds."""

    idle_s: float = 75.0
    """Between two requests of one connection."""
    head_s: float = 10.0
    """From the first byte of a request to the end of its headers; also from the start of a connection."""
    body_s: float = 20.0
    """For a body, beside its length at 256 KiB a second; the same for taking an answer."""


class Refused(Exception):
    """A request that is answered before it is understood, or instead of it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Connections:
    """Every connection of one server.

    Args:
        admit: looks at a head before its body is read and returns the most bytes the body may have; raises Refused.
        handle: answers a request; what it raises is logged and answered with 500.
        refusal: makes an answer of a status and a message.
        most: connections at the same time.
    """

    def __init__(
        self,
        admit: Callable[[Head], int],
        handle: Callable[[Head, bytes], Awaitable[Answer]],
        refusal: Callable[[int, str], Answer],
        *,
        most: int = 1024,
        deadlines: Deadlines | None = None,
    ) -> None:
        self.admit, self.handle, self.refusal = admit, handle, refusal
        self.most = most
        self.deadlines = deadlines or Deadlines()
        self.open: set[asyncio.Task[Any]] = set()
        self.waiting: dict[asyncio.Task[Any], None] = {}
        """Connections without a whole request, oldest first."""
        self.listener: asyncio.Server | None = None
        self.closing = False

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Begin to serve; the address that is listened on, where ``port`` 0 is one that was free."""
        patience = self.deadlines.head_s if tls else None
        self.listener = await asyncio.start_server(
            self.converse, host, port, ssl=tls, ssl_handshake_timeout=patience, backlog=1024
        )
        address = self.listener.sockets[0].getsockname()
        return str(address[0]), int(address[1])

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        me = asyncio.current_task()
        assert me is not None
        self.open.add(me)
        writer.transport.set_write_buffer_limits(0)  # so that "drained" means that the client has taken it
        try:
            if len(self.open) > self.most and not self.evict():
                await Exchange(self, reader, writer).send(self.refusal(503, "too many connections"))
            elif not self.closing:
                exchange = Exchange(self, reader, writer)
                while await exchange.next() and not self.closing:
                    pass
        except (OSError, EOFError, asyncio.CancelledError):  # gone, too slow (TimeoutError), or evicted
            writer.transport.abort()
        except Exception:
            log.exception("a connection broke")
            writer.transport.abort()
        finally:
            self.open.discard(me)
            self.waiting.pop(me, None)
            writer.close()

    def evict(self) -> bool:
        """End the connection that has waited longest for its client; False where all are busy."""
        for task in self.waiting:
            del self.waiting[task]
            task.cancel()
            return True
        return False

    async def close(self, patience: float = 5.0) -> None:
        """Stop listening; end connections that wait at once, the others after their answer or ``patience``."""
        self.closing = True
        if self.listener:
            self.listener.close()
        while self.evict():
            pass
        if self.open:
            await asyncio.wait(self.open, timeout=patience)
        for task in self.open:
            task.cancel()
        if self.open:
            await asyncio.wait(self.open, timeout=patience)
        if self.listener:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.listener.wait_closed(), patience)


class Exchange:
    """Requests and answers of one connection, one after the other."""

    def __init__(self, all_of_them: Connections, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.all = all_of_them
        self.reader, self.writer = reader, writer
        self.h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self.first = True

    async def next(self) -> bool:
        """One request and its answer; whether another can follow."""
        try:
            request = await self.head()
            if request is None:
                return False
            head = parse(request)
            body = await self.body(request, self.all.admit(head))
        except Refused as refused:
            await self.refuse(refused.answer)
            return False
        except h11.RemoteProtocolError as error:
            await self.refuse(self.all.refusal(error.error_status_hint, f"not HTTP/1.1: {error}"))
            return False
        try:
            answer = await self.all.handle(head, body)
        except Exception:
            log.exception("%s /%s broke", head.method, "/".join(head.path))
            answer = self.all.refusal(500, "the server broke; its log says how")
        await self.send(answer, head.method)
        if self.h11.our_state is not h11.DONE or self.h11.their_state is not h11.DONE:
            return False
        self.h11.start_next_cycle()
        return True

    async def head(self) -> h11.Request | None:
        """The next head; None when the client has left, or has sent nothing for too long."""
        me = asyncio.current_task()
        assert me is not None
        self.all.waiting[me] = None
        deadlines = self.all.deadlines
        first, self.first = self.first, False
        begun = bool(self.h11.trailing_data[0])
        try:
            async with asyncio.timeout(deadlines.head_s if first or begun else deadlines.idle_s) as limit:
                while (event := self.h11.next_event()) is h11.NEED_DATA:
                    data = await self.reader.read(PIECE)
                    if data and not begun and not first:
                        limit.reschedule(asyncio.get_running_loop().time() + deadlines.head_s)
                    begun = begun or bool(data)
                    self.h11.receive_data(data)
        except TimeoutError:
            if begun:
                raise Refused(self.all.refusal(408, "the headers took too long")) from None
            return None
        finally:
            self.all.waiting.pop(me, None)
        return event if isinstance(event, h11.Request) else None

    async def body(self, request: h11.Request, most: int) -> bytes:
        """The whole body. Raises Refused when it is longer than ``most`` or too slow."""
        length = next((int(value) for name, value in request.headers if name == b"content-length"), 0)
        if length > most:
            raise Refused(self.all.refusal(413, f"a body of {length} bytes; at most {most} are taken"))
        if self.h11.they_are_waiting_for_100_continue:
            self.writer.write(self.h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        body = bytearray()
        try:
            async with asyncio.timeout(self.all.deadlines.body_s + (length or most) / RATE):
                while not isinstance(event := self.h11.next_event(), h11.EndOfMessage):
                    if event is h11.NEED_DATA:
                        self.h11.receive_data(await self.reader.read(PIECE))
                    elif isinstance(event, h11.Data):
                        body += event.data
                    if len(body) > most:
                        raise Refused(self.all.refusal(413, f"a body longer than {most} bytes"))
        except TimeoutError:
            raise Refused(self.all.refusal(408, "the body took too long")) from None
        return bytes(body)

    async def send(self, answer: Answer, method: str = "GET", last: bool = False) -> None:
        """Send an answer whole."""
        headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
        if last or self.all.closing:
            headers.append(("Connection", "close"))
        reason = HTTPStatus(answer.status).phrase
        parts = [self.h11.send(h11.Response(status_code=answer.status, headers=headers, reason=reason))]
        if method != "HEAD":
            parts.append(self.h11.send(h11.Data(data=answer.body)))
        parts.append(self.h11.send(h11.EndOfMessage()))
        async with asyncio.timeout(self.all.deadlines.body_s + len(answer.body) / RATE):
            self.writer.writelines([part for part in parts if part])
            await self.writer.drain()

    async def refuse(self, answer: Answer) -> None:
        """Answer a request that was not read to its end, and let its sender see the answer."""
        if self.h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        await self.send(answer, last=True)
        if self.writer.can_write_eof():
            self.writer.write_eof()
        left = LINGER_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while left > 0 and (data := await self.reader.read(PIECE)):
                    left -= len(data)


def parse(request: h11.Request) -> Head:
    """The head in words.

    Raises:
        h11.RemoteProtocolError: the target is not a path, or it and the headers are too long together.
    """
    size = len(request.target) + sum(len(name) + len(value) for name, value in request.headers)
    if size > HEAD_BYTES:  # h11 only bounds what it has to wait for
        raise h11.RemoteProtocolError(f"headers of {size} bytes", error_status_hint=431)
    try:
        target = urlsplit(request.target.decode("ascii"))
        path = [unquote(part, errors="strict") for part in target.path.split("/")[1:]]
        query = dict(parse_qsl(target.query, keep_blank_values=True, errors="surrogatepass", max_num_fields=20))
        if not target.path.startswith("/"):
            raise ValueError("the target is not a path")
    except ValueError as error:
        raise h11.RemoteProtocolError(str(error)) from None
    headers: dict[str, str] = {}
    for raw, value in request.headers:
        name, text = raw.decode("latin-1"), value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return Head(request.method.decode("latin-1"), path, query, headers)
