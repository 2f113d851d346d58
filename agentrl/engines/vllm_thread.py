"""The thread that holds a vLLM: it carries out orders between steps, and steps while anybody waits."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

from agentrl.engines.base import Completion
from agentrl.engines.vllm_local import Local
from agentrl.errors import EngineError


@dataclass(eq=False)
class Job:
    """A request on its way."""

    name: str
    ids: list[int]
    params: dict[str, Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Completion]


class VllmThread:
    """See the module docstring. Methods with a leading "in_" are called in the thread only.

    Args:
        admit: The salt of a request that is about to be added; raises `EngineError` where none may be.
        read: A completion from vLLM's ``RequestOutput``.
    """

    def __init__(self, admit: Callable[[], str], read: Callable[[Job, Any], Completion]) -> None:
        self._admit, self._read = admit, read
        self.local: Local | None = None
        """Set once it is made (by an order)."""
        self.waiting: dict[str, Job] = {}
        self.broken = ""
        """Why it can step no more."""
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="agentrl-vllm", daemon=True)
        self._thread.start()

    def order(self, work: Callable[[], Any], deadline_s: float) -> Any:
        """Run in the thread and wait.

        Raises:
            EngineError: it takes too long.
        """
        done: Future[Any] = Future()

        def run() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)

        self._orders.put(run)
        try:
            return done.result(deadline_s)
        except (TimeoutError, FutureTimeout):
            done.cancel()
            raise EngineError(f"vLLM gave no answer within {deadline_s:g} s.") from None

    async def ask(self, job: Job) -> Completion:
        """Have a request sampled; cancelling drops it.

        Raises:
            EngineError: it may not be, or vLLM broke.
        """
        self._orders.put(lambda: self._add(job))
        try:
            return await job.future
        except asyncio.CancelledError:
            self._orders.put(lambda: self._drop(job))
            raise

    def end(self, last: Callable[[], None] | None = None) -> None:
        """Do one more thing, then end; does not wait."""
        if last is not None:
            self._orders.put(last)
        self._orders.put(None)

    def join(self, deadline_s: float) -> None:
        """Wait for the end."""
        self._thread.join(deadline_s)

    def in_fail(self, message: str) -> None:
        """End all requests under way."""
        for job in list(self.waiting.values()):
            with contextlib.suppress(Exception):
                self._local.abort(job.name)
            settle(job, EngineError(message))
        self.waiting.clear()

    @property
    def _local(self) -> Local:
        assert self.local is not None, "make it first"
        return self.local

    def _serve(self) -> None:
        while True:
            with contextlib.suppress(queue.Empty):
                while True:
                    order = self._orders.get(block=not self.waiting)
                    if order is None:
                        return
                    order()
                    if self.waiting and self._orders.empty():
                        break
            if not self.waiting:
                continue
            try:
                ended = self._local.step()
            except Exception as error:
                self.broken = f"vLLM broke: {line(error)}. Resume the run to start it anew."
                self.in_fail(self.broken)
                continue
            for output in ended:
                self._hand_out(output)

    def _add(self, job: Job) -> None:
        if job.future.cancelled():
            return
        try:
            self._local.add(job.name, job.ids, job.params, self._admit())
        except EngineError as error:
            settle(job, error)
        except Exception as error:
            settle(job, EngineError(f"vLLM refused a request: {line(error)}"))
        else:
            self.waiting[job.name] = job

    def _drop(self, job: Job) -> None:
        if self.waiting.pop(job.name, None) is not None:
            self._local.abort(job.name)

    def _hand_out(self, output: Any) -> None:
        job = self.waiting.pop(output.request_id, None)
        if job is None:
            return
        try:
            settle(job, self._read(job, output))
        except EngineError as error:
            settle(job, error)


def settle(job: Job, result: Completion | EngineError) -> None:
    """Hand a result to whoever awaits it, in their loop."""

    def hand_over() -> None:
        if job.future.done():
            return
        if isinstance(result, EngineError):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)

    with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
        job.loop.call_soon_threadsafe(hand_over)


def line(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
