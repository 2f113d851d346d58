"""A proxy between a client and a real server, which does to chosen requests what networks do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field

import h11

STALL_S = 30.0


@dataclass
class Fault:
    """What is done to a request."""

    kind: str
    """``status``, ``cut_before``, ``cut_after``, ``reset_after``, ``truncate``, ``garbage``, ``stall``, ``drip``,
    ``endless``, ``not_json_object``."""
    times: int = 1
    method: str = ""
    """Only requests of this method; all, if empty."""
    path: str = ""
    """Only requests whose path ends so."""
    status: int = 503
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b'{"code":"injected"}'


class Proxy:
    """Passes HTTP/1.1 on to ``upstream``, but for the faults, each of which is used up."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.seen: Counter[str] = Counter()
        """How often each ``METHOD /path`` came."""
        self.server: asyncio.Server | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        self.server = await asyncio.start_server(self.converse, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        assert self.server
        self.server.close()
        for task in self.tasks:
            task.cancel()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self.tasks.add(task)
        connection = h11.Connection(h11.SERVER)
        try:
            while await self.exchange(connection, reader, writer):
                connection.start_next_cycle()
        except (OSError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    async def exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        request, body = await receive(connection, reader)
        if not isinstance(request, h11.Request):
            return False
        path = request.target.decode().partition("?")[0]
        self.seen[f"{request.method.decode()} {path}"] += 1
        fault = self.choose(request.method.decode(), path)
        if fault and fault.kind == "status":
            await send(connection, writer, fault.status, fault.headers, fault.body)
            return True
        if fault and fault.kind == "cut_before":
            return False
        status, headers, answer = await self.forward(request, body)
        if fault is None:
            await send(connection, writer, status, headers, answer)
            return True
        await spoil(fault.kind, connection, writer, status, headers, answer)
        return False

    def choose(self, method: str, path: str) -> Fault | None:
        """The first fault that fits, once more used."""
        for fault in self.faults:
            if fault.times and fault.method in ("", method) and path.endswith(fault.path):
                fault.times -= 1
                return fault
        return None

    async def forward(self, request: h11.Request, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the real server."""
        reader, writer = await asyncio.open_connection(*self.upstream)
        connection = h11.Connection(h11.CLIENT)
        parts = [connection.send(request), connection.send(h11.Data(data=body)), connection.send(h11.EndOfMessage())]
        writer.write(b"".join(part for part in parts if part))
        response, answer = await receive(connection, reader)
        writer.close()
        assert isinstance(response, h11.Response)
        kept = [(n.decode(), v.decode()) for n, v in response.headers if n in (b"content-type", b"retry-after")]
        return response.status_code, kept, answer


async def receive(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[object, bytes]:
    """A message and its body."""
    head, body = None, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request | h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return head, bytes(body)


async def send(
    connection: h11.Connection, writer: asyncio.StreamWriter, status: int, headers: list[tuple[str, str]], body: bytes
) -> None:
    """An answer, whole."""
    head = h11.Response(status_code=status, headers=[*headers, ("Content-Length", str(len(body)))])
    writer.write((connection.send(head) or b"") + (connection.send(h11.Data(data=body)) or b""))
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()


async def spoil(
    kind: str,
    connection: h11.Connection,
    writer: asyncio.StreamWriter,
    status: int,
    headers: list[tuple[str, str]],
    body: bytes,
) -> None:
    """The request was carried out; now lose its answer."""
    if kind == "reset_after":
        wire: socket.socket = writer.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif kind == "stall":
        await asyncio.sleep(STALL_S)
    elif kind == "garbage":
        await send(connection, writer, 200, headers, b"<html>the gateway says hello</html>")
    elif kind == "not_json_object":
        await send(connection, writer, 200, headers, b"[1, 2, 3]")
    elif kind in ("truncate", "drip", "endless"):
        length = 1 << 40 if kind == "endless" else len(body)
        head = h11.Response(status_code=status, headers=[*headers, ("Content-Length", str(length))])
        writer.write(connection.send(head) or b"")
        if kind == "truncate":
            writer.write(body[: len(body) // 2])
        for byte in body if kind == "drip" else b"":
            writer.write(bytes([byte]))
            await asyncio.sleep(0.3)
        while kind == "endless":
            writer.write(b" " * (1 << 20))
            await writer.drain()
        with contextlib.suppress(OSError):
            await writer.drain()
