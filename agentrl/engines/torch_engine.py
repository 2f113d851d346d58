"""Native sampling: a transformers model, a slot cache, continuous batching.

Episodes await `TorchEngine.sample`; one task per event loop (the *driver*) gathers what arrived and
has one worker thread step the batch (`agentrl.engines.batch`) until a request is done, then hands out
results and looks again. The loop stays responsive: cancelling a request, or a new arrival, stops the
batch after its current step.

With ``deterministic`` the driver waits while any episode is inside `working`, admits what arrived in
the order of (seed, ids), and does not let arrivals interrupt the batch. Which rows are computed
together is then a function of the requests alone: from a fresh engine, or from the last `load`, equal
requests give bitwise equal results, however long the environments take.

    engine = TorchEngine(model, max_context=1024)
    completion = await engine.sample(ids, Sampling(max_tokens=64, stop_ids=frozenset({2})))
    ...                                     # the learner updates the model's weights in place
    engine.load(None, version=1)            # drops every cached key and value
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from agentrl.engines.base import Completion, Sampling, nothing
from agentrl.engines.batch import Batch, Counters, Job
from agentrl.engines.replica import Replica
from agentrl.errors import EngineError

_CALM = 6
"""Passes of the event loop without news after which nobody is about to ask for more."""


class TorchEngine:
    """Samples from a causal LM of transformers with full attention (Qwen2, Qwen3, Llama, ...).

    Args:
        model: shared with the learner where device and precision allow it (see `Replica`).
        max_context: most tokens of prompt and completion together.
        max_slots: requests decoded at once; further ones wait in order of arrival.
        dtype: precision; None for the model's on a CPU and bfloat16 elsewhere.
        deterministic: see the module docstring.
        device: None for the model's.
        prefill_tokens: most prompt tokens computed in one step.

    Raises:
        EngineError: the model cannot be run with a slot cache.
    """

    exact_entropy = True

    def __init__(
        self,
        model: Any,
        *,
        max_context: int,
        max_slots: int = 64,
        dtype: torch.dtype | None = None,
        deterministic: bool = True,
        device: torch.device | str | None = None,
        prefill_tokens: int = 4096,
    ) -> None:
        if max_context < 2 or max_slots < 1:
            raise EngineError(f"max_context={max_context} and max_slots={max_slots} leave no room to sample.")
        self.max_context, self.deterministic = max_context, deterministic
        self._replica = Replica(model, dtype=dtype, device=device)
        cache = self._replica.cache(slots=max_slots, length=max_context)
        self._batch = Batch(
            self._replica.module, cache, max_slots=max_slots, max_context=max_context, prefill_tokens=prefill_tokens
        )
        self._batch.probe()
        self.vocabulary = int(self._replica.module.get_input_embeddings().weight.shape[0])
        self._waiting: dict[Job, asyncio.Future[Completion]] = {}
        self._arrived: list[Job] = []
        self._driver: asyncio.Task[None] | None = None
        self._worker: ThreadPoolExecutor | None = None
        self._stepping, self._interrupt = threading.Lock(), threading.Event()
        self._away = _Away()
        self._closed = False

    @property
    def version(self) -> int:
        """Version of the weights."""
        return self._batch.version

    async def sample(self, ids: Sequence[int], sampling: Sampling) -> Completion:
        """Continue ``ids``; see `agentrl.engines.base.Engine.sample`.

        Raises:
            EngineError: an empty or too long prompt, unknown ids, a failing model, a closed engine.
        """
        job = self._job(ids, sampling)
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        with self._away.back():
            self._waiting[job] = future
            self._arrived.append(job)
            self._away.news()
            if not self.deterministic:
                self._interrupt.set()
            self._start()
            try:
                return await future
            finally:
                self._waiting.pop(job, None)
                if not job.done:
                    job.cancelled = True
                    self._interrupt.set()

    def load(self, weights: Any, version: int) -> None:
        """Take new weights and drop all cached keys and values.

        Requests under way start again with the new weights, so that a completion is of one version.

        Args:
            weights: None after the shared model was updated in place; or a module, a state dict, or an
                iterable of (name, tensor), which are copied.
            version: what `Completion.version` will say.

        Raises:
            EngineError: names or shapes do not fit the model.
        """
        self._interrupt.set()
        with self._stepping:
            self._replica.load(weights)
            self._batch.module = self._replica.module
            self._batch.reset(version)

    def rest(self) -> None:
        """Nothing is given up: the weights are the learner's, and its cache is kept."""

    def working(self) -> Any:
        """Context manager: the caller is away from the engine and will come back with a request, or end."""
        return self._away.leave() if self.deterministic else nothing()

    def stats(self) -> dict[str, float]:
        """Counts and seconds since the last call, which starts them anew: the fields of

        `agentrl.engines.batch.Counters`, and ``rows_per_step``.
        """
        counters, self._batch.counters = self._batch.counters, Counters()
        return {**asdict(counters), "rows_per_step": counters.rows / max(counters.steps, 1)}

    async def close(self) -> None:
        """End the worker and release the cache; requests under way raise `EngineError`. May be called twice."""
        self._closed = True
        self._interrupt.set()
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(EngineError("the engine was closed."))
        if self._driver is not None and self._driver.get_loop() is asyncio.get_running_loop():
            self._driver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._driver
        self._driver = None
        if self._worker is not None:
            self._worker.shutdown(wait=True)
            self._worker = None
        self._batch.cache.release()

    # ---- inside ---------------------------------------------------------------------------------

    def _job(self, ids: Sequence[int], sampling: Sampling) -> Job:
        prompt = np.array(ids, dtype=np.int64)
        if self._closed:
            raise EngineError("the engine was closed.")
        if not len(prompt):
            raise EngineError("cannot continue an empty prompt.")
        room = self.max_context - len(prompt)
        if room <= 0:
            raise EngineError(f"a prompt of {len(prompt)} tokens leaves no room in a context of {self.max_context}.")
        if sampling.max_tokens < 1:
            raise EngineError(f"max_tokens must be at least 1, not {sampling.max_tokens}.")
        if prompt.min() < 0 or prompt.max() >= self.vocabulary:
            raise EngineError(
                f"the prompt has ids from {prompt.min()} to {prompt.max()}; the model knows 0 to {self.vocabulary - 1}."
            )
        return Job(prompt, sampling, min(sampling.max_tokens, room))

    def _start(self) -> None:
        """Make sure that a driver runs on the current loop."""
        loop = asyncio.get_running_loop()
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="torch-engine")
        if self._driver is None or self._driver.done() or self._driver.get_loop() is not loop:
            self._driver = loop.create_task(self._drive(self._worker), name="torch-engine")

    async def _drive(self, worker: ThreadPoolExecutor) -> None:
        """Step until nobody waits any more."""
        loop = asyncio.get_running_loop()
        while True:
            await self._away.settled(_CALM if self.deterministic else 1)
            if not self._waiting:
                return
            arrived, self._arrived = self._arrived, []
            if self.deterministic:
                arrived.sort(key=_canonical)
            self._interrupt.clear()
            try:
                done = await loop.run_in_executor(worker, self._advance, arrived)
            except Exception as error:  # the bookkeeping itself broke: nobody may wait for ever
                done = list(self._waiting)
                for job in done:
                    job.error = job.error or EngineError(f"the engine broke: {type(error).__name__}: {error}")
                self._batch.reset(self.version)
            for job in done:
                self._hand_out(job)

    def _advance(self, arrived: list[Job]) -> list[Job]:
        with self._stepping:
            return self._batch.advance(arrived, self._interrupt.is_set)

    def _hand_out(self, job: Job) -> None:
        future = self._waiting.get(job)
        if future is None or future.done():
            return
        if job.error is not None:
            future.set_exception(job.error)
        elif job.finish is not None:
            future.set_result(job.completion())


class _Away:
    """Counts the episodes that are away from the engine, and waits for their return."""

    def __init__(self) -> None:
        self._count = 0
        self._changes = 0
        self._all_home: asyncio.Event | None = None

    @contextlib.contextmanager
    def leave(self) -> Iterator[None]:
        """The current episode is away, but while it samples inside the block."""
        absence = _Absence(self)
        token = _ABSENCES.set((*_ABSENCES.get(), absence))
        self._add(1)
        try:
            yield
        finally:
            absence.ended = True
            _ABSENCES.reset(token)
            if not absence.visits:
                self._add(-1)

    @contextlib.contextmanager
    def back(self) -> Iterator[None]:
        """A request is under way: the absences around it are suspended."""
        mine = [absence for absence in _ABSENCES.get() if absence.of is self]
        for absence in mine:
            absence.visits += 1
            if absence.visits == 1 and not absence.ended:
                self._add(-1)
        try:
            yield
        finally:
            for absence in mine:
                absence.visits -= 1
                if absence.visits == 0 and not absence.ended:
                    self._add(1)

    def news(self) -> None:
        """Something happened that may be followed by more of its kind."""
        self._changes += 1

    async def settled(self, passes: int) -> None:
        """Return when all are home and the event loop made ``passes`` passes without news."""
        calm = 0
        while calm < passes:
            if self._count:
                self._all_home = asyncio.Event()
                await self._all_home.wait()
                calm = 0
            before = self._changes
            await asyncio.sleep(0)
            calm = calm + 1 if self._changes == before and not self._count else 0

    def _add(self, change: int) -> None:
        self._count += change
        self._changes += 1
        if self._count == 0 and self._all_home is not None:
            self._all_home.set()


class _Absence:
    """One block of `_Away.leave`; ``visits`` counts the requests now made inside it."""

    def __init__(self, of: _Away) -> None:
        self.of, self.visits, self.ended = of, 0, False


_ABSENCES: ContextVar[tuple[_Absence, ...]] = ContextVar("absences", default=())


def _canonical(job: Job) -> tuple[Any, ...]:
    s = job.sampling
    return (s.seed, job.ids.tolist(), s.max_tokens, s.temperature, s.top_p, s.top_k, sorted(s.stop_ids))
