"""An OpenAI-compatible server that misbehaves on demand, in a thread, over plain asyncio streams.

    with ChatServer(speak, faults=cycle(["ok", "429", "cut"])) as server:
        server.url, server.asked

``speak(messages, tools)`` gives the text of a reply, or a list of calls ``(name, arguments)``. Each request takes one
fault: see `ChatServer.answer`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

Speak = Callable[[list[dict[str, Any]], list[dict[str, Any]]], "str | list[tuple[str, str]]"]
FAULTS = ["429", "500", "cut", "no json", "slow", "other model", "no choices", "wrong shape", "200 error", "hang up"]


class ChatServer:
    """See the module docstring."""

    def __init__(self, speak: Speak, faults: Iterator[str] | Callable[[dict[str, Any]], str] | None = None) -> None:
        self.speak, self.faults = speak, faults
        self.asked: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.served: dict[str, int] = {}
        """Replies by fault."""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ChatServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def start() -> None:
            server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                size = next(
                    (int(h.split(":")[1]) for h in head.split("\r\n") if h.lower().startswith("content-length")), 0
                )
                body = await reader.readexactly(size)
                if head.startswith("GET"):
                    await self._send(writer, 200, json.dumps({"data": [{"id": "toy-model"}]}))
                    continue
                self.headers.append(head)
                self.asked.append(json.loads(body))
                if not await self.answer(self.asked[-1], writer):
                    break
        writer.close()

    async def answer(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False closes the connection."""
        fault = self.faults(body) if callable(self.faults) else next(self.faults) if self.faults else "ok"
        self.served[fault] = self.served.get(fault, 0) + 1
        whole = json.dumps(self.reply(body))
        if fault == "429":
            await self._send(writer, 429, '{"error": {"message": "slow down"}}', "Retry-After: 0.05\r\n")
        elif fault in ("500", "401", "404"):
            await self._send(writer, int(fault), "Internal Server Error")
        elif fault == "too long":
            told = '{"error": {"message": "This model\'s maximum context length is 10 tokens", "code": 400}}'
            await self._send(writer, 400, told)
        elif fault == "cut":
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(whole)}\r\n\r\n{whole[: len(whole) // 2]}".encode())
            await writer.drain()
            return False
        elif fault == "no json":
            await self._send(writer, 200, whole[: len(whole) // 2])
        elif fault == "slow":
            await asyncio.sleep(6)
            await self._send(writer, 200, whole)
        elif fault == "other model":
            await self._send(writer, 200, json.dumps({**self.reply(body), "model": "cheap-model"}))
        elif fault == "no choices":
            await self._send(writer, 200, json.dumps({**self.reply(body), "choices": []}))
        elif fault == "wrong shape":
            await self._send(writer, 200, '{"model": "toy-model", "choices": [{"message": "hello"}]}')
        elif fault == "200 error":
            await self._send(writer, 200, '{"error": {"message": "upstream is busy"}}')
        elif fault == "hang up":
            return False
        else:
            await self._send(writer, 200, whole)
        return True

    def reply(self, body: dict[str, Any]) -> dict[str, Any]:
        """A good reply."""
        said = self.speak(body["messages"], body.get("tools", []))
        message: dict[str, Any] = {"role": "assistant", "content": said if isinstance(said, str) else None}
        if not isinstance(said, str):
            message["tool_calls"] = [
                {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
                for i, (name, arguments) in enumerate(said)
            ]
        finish = "stop" if isinstance(said, str) else "tool_calls"
        return {
            "model": body["model"],
            "choices": [{"message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 10 * len(body["messages"]), "completion_tokens": 3},
        }

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: str, headers: str = "") -> None:
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body.encode())}\r\n{headers}\r\n{body}".encode())
        await writer.drain()
