"""Talking to vLLM servers: a thread with an event loop of its own, open connections, deadlines, plain errors.

Whoever samples lives in other event loops, one per batch of rollouts; control calls come from no loop at all. Both
hand their coroutines over with `Line.ask` and `Line.call`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from agentrl.errors import EngineError, MissingExtra

T = TypeVar("T")
CONNECT_S = 10.0
"""Seconds to reach a server."""


class Unreachable(EngineError):
    """A server cannot be reached, or left in the middle of an answer."""


class Refused(EngineError):
    """A server answered with an error; ``status`` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Line:
    """The thread, and one pool of connections for all servers.

    Args:
        transport: In place of the network, for tests (an ``httpx`` transport).

    Raises:
        MissingExtra: httpx is not installed.
    """

    def __init__(self, *, transport: Any = None) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtra("httpx", "vllm") from None
        self._httpx = httpx
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="agentrl-vllm", daemon=True)
        self._thread.start()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx.AsyncClient(limits=limits, transport=transport, timeout=None, trust_env=False)
        self.closed = False

    def call(self, work: Coroutine[Any, Any, T], deadline_s: float) -> T:
        """Run from ordinary code, and wait.

        Raises:
            EngineError: it took longer, or what the work raised.
        """
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, deadline_s), self._loop)
        try:
            return future.result(deadline_s + CONNECT_S)
        except (TimeoutError, FutureTimeout):
            future.cancel()
            raise EngineError(f"vLLM servers gave no answer within {deadline_s:g} s.") from None
        except BaseException:
            future.cancel()
            raise

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Await from another loop; cancelling cancels the work, and with it the request at the server."""
        if self.closed:
            work.close()
            raise EngineError("the engine was closed.")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def send(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        deadline_s: float,
        keep: bool = False,
    ) -> Any:
        """One request; returns the JSON of the answer, or its text where it is none.

        Args:
            keep: Leave the connection open for the next request. A server closes it when it answers with an error of
                its own, which the next request may notice too late; so calls that must not be sent twice do not.

        Raises:
            Unreachable: no connection, or it broke.
            Refused: the server says no.
            EngineError: no answer in time.
        """
        httpx = self._httpx
        server = url.split("/", 3)[2] if "//" in url else url
        timeout = httpx.Timeout(deadline_s, connect=min(CONNECT_S, deadline_s), pool=None)
        try:
            headers = {} if keep else {"Connection": "close"}
            answer = await self._client.request(method, url, json=json, params=params, timeout=timeout, headers=headers)
        except httpx.ConnectTimeout as error:
            raise Unreachable(f"the vLLM server {server} cannot be reached: no connection in time.") from error
        except httpx.TimeoutException as error:
            raise EngineError(f"the vLLM server {server} gave no answer within {deadline_s:g} s.") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Unreachable(f"'{url}' is no address of a server; write http://host:port.") from error
        except httpx.TransportError as error:
            what = str(error).rstrip(".") or type(error).__name__
            raise Unreachable(f"the vLLM server {server} cannot be reached: {what}.") from error
        if answer.status_code >= 400:
            raise Refused(f"the vLLM server {server} refused {_path(url)}: {_why(answer)}", answer.status_code)
        try:
            return answer.json()
        except ValueError:
            return answer.text

    def close(self) -> None:
        """End connections and thread."""
        if self.closed:
            return
        self.closed = True

        async def end() -> None:
            await self._client.aclose()
            mine = asyncio.current_task()
            for task in asyncio.all_tasks():
                if task is not mine:
                    task.cancel()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(CONNECT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CONNECT_S)


class Server:
    """One server: its address, what is known of it, its control calls.

    ``usable`` is False from a broken connection, or an update that did not end, until the next whole update.
    """

    def __init__(self, line: Line, url: str, *, deadline_s: float) -> None:
        self.line, self.deadline_s = line, deadline_s
        self.url = url.rstrip("/") if "//" in url else f"http://{url.rstrip('/')}"
        self.usable = False
        self.running = 0
        """Requests of ours it is at."""
        self.generates = True
        """Whether it has ``/inference/v1/generate``."""
        self.model = ""
        """Its name for the model."""
        self.max_context = 0
        """Most tokens of prompt and completion that it takes; 0: not known."""
        self.asleep = False
        """Whether it has dropped its weights for the learner's sake."""
        self.info: dict[str, Any] = {}
        """vLLM's configuration, from ``/server_info``."""

    def __repr__(self) -> str:
        return self.url

    @property
    def sleeps(self) -> bool:
        """Whether it was started with its sleep mode."""
        return bool((self.info.get("model_config") or {}).get("enable_sleep_mode"))

    async def get(self, path: str, **params: Any) -> Any:
        """Read something."""
        return await self.line.send("GET", self.url + path, params=params, deadline_s=self.deadline_s)

    async def post(self, path: str, json: Any = None, **params: Any) -> Any:
        """Have something done, once."""
        return await self.line.send("POST", self.url + path, json=json, params=params, deadline_s=self.deadline_s)

    async def ask(self, path: str, json: Any, deadline_s: float) -> Any:
        """Have something computed; asked again where an open connection turns out to be closed."""
        for again in (True, False):
            try:
                return await self.line.send("POST", self.url + path, json=json, deadline_s=deadline_s, keep=again)
            except Unreachable:
                if not again:
                    raise
        raise AssertionError("not reached")


async def all_of(servers: Sequence[Server], work: Callable[[Server], Coroutine[Any, Any, T]]) -> list[T | EngineError]:
    """The same for each server at once; what went wrong is a value in the place of the result."""

    async def one(server: Server) -> T | EngineError:
        try:
            return await work(server)
        except EngineError as error:
            return error

    return await asyncio.gather(*(one(server) for server in servers))


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3] if url.count("/") > 2 else url


def _why(answer: Any) -> str:
    """What a server says in its error."""
    try:
        found = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code}: {' '.join(answer.text.split())[:400]}"
    if isinstance(found, dict):
        found = found.get("error", found.get("detail", found))
        found = found.get("message", found) if isinstance(found, dict) else found
    return f"HTTP {answer.status_code}: {str(found)[:400]}"
