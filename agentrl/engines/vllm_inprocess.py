"""vLLM inside the trainer's process, on its device: one thread holds the engine, steps it, and takes new weights.

    engine = VllmInProcess(model, max_context=4096)
    engine.load(model, version=0)
    completion = await engine.sample(ids, Sampling(max_tokens=64))
    engine.rest()                        # the GPU is the learner's: weights and cache are dropped (sleep level 2)
    engine.load(model, version=1)        # wake the weights, load them in place, wake the cache

Requests are added and dropped between vLLM's steps, and so are weights taken: what was being sampled goes on under
the new ones and says so (`Completion.versions`). Of a model with adapters the base is loaded once, and each version
brings the adapters.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from agentrl.engines import vllm_wire as wire
from agentrl.engines.base import Completion, Sampling, nothing
from agentrl.engines.vllm_checks import compare
from agentrl.engines.vllm_local import Local, build
from agentrl.engines.vllm_thread import Job, VllmThread, line
from agentrl.engines.weight_source import WeightSource, has_adapters, save_adapters
from agentrl.engines.weight_sync import ADAPTER, sync_folder
from agentrl.errors import EngineError


class VllmInProcess:
    """See the module docstring.

    Args:
        model: The learner's causal LM.
        max_context: Most tokens of prompt and completion together.
        max_slots: Requests decoded at once.
        dtype: vLLM's precision, for example ``float32``.
        memory: Share of the GPU.
        sleep: Whether `rest` gives memory up (GPUs only).
        fp32_head: Compute logits in float32.
        entropy: ``auto``, ``exact``, ``topk`` or ``none``.
        topk: Tokens of the lower bound.
        deadline_s: Seconds for taking weights.
        mismatch_limit: See `agentrl.engines.vllm_checks.compare`.
        make: In place of vLLM, for tests: called in the thread, returns a `Local`.

    Raises:
        MissingExtra: vLLM is not installed.
        ConfigError: its version, or the device, will not do.
        EngineError: it does not start.
    """

    def __init__(
        self,
        model: Any,
        *,
        max_context: int,
        max_slots: int = 128,
        dtype: str = "auto",
        memory: float = 0.4,
        sleep: bool = True,
        fp32_head: bool = False,
        entropy: str = "auto",
        topk: int = 20,
        deadline_s: float = 300.0,
        mismatch_limit: float | None = 0.2,
        make: Callable[[], Local] | None = None,
    ) -> None:
        self.max_context, self.deadline_s, self.mismatch_limit = max_context, deadline_s, mismatch_limit
        self.vocabulary = int(model.get_input_embeddings().weight.shape[0])
        self.version = -1
        self.labels = wire.Labels(secrets.token_hex(4))
        self.entropy = wire.Entropy("exact" if entropy == "auto" else entropy, topk)  # type: ignore[arg-type]
        self.folder = sync_folder(None)
        self.counters: dict[str, float] = dict.fromkeys(COUNTED, 0.0)
        self._model, self._adapters = model, has_adapters(model)
        self._base_loaded = self._asleep = self._compared = self.closed = False
        self._names = itertools.count()
        self.thread = VllmThread(self._admit, self._read)
        make = make or (
            lambda: build(
                model,
                self.folder,
                max_context=max_context,
                max_slots=max_slots,
                dtype=dtype,
                memory=memory,
                sleep=sleep,
                fp32_head=fp32_head,
                logprobs=max(2, topk),
            )
        )
        try:
            self.local: Local = self.thread.order(make, 4 * deadline_s)
            self.thread.local = self.local
        except BaseException:
            self.thread.end()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    @property
    def exact_entropy(self) -> bool:
        """Whether entropies are exact; `entropy` tells what they are else."""
        return self.entropy.kind == "exact"

    # ---- sampling -------------------------------------------------------------------------------

    async def sample(self, ids: Sequence[int], sampling: Sampling) -> Completion:
        """Continue ``ids``; see `agentrl.engines.base.Engine.sample`.

        Raises:
            EngineError: no weights (any more), a bad prompt, vLLM broke, a closed engine.
        """
        self._admit()
        limit = wire.room(ids, sampling, max_context=self.max_context, vocabulary=self.vocabulary)
        loop = asyncio.get_running_loop()
        params = wire.sampling_params(sampling, limit, self.entropy)
        job = Job(f"agentrl-{next(self._names)}", list(ids), params, loop, loop.create_future())
        return await self.thread.ask(job)

    # ---- weights --------------------------------------------------------------------------------

    def load(self, weights: Any, version: int) -> None:
        """Take the weights of the learner's model as they are now, in place, between two steps.

        Args:
            weights: That model; anything else stands for the one given at the start.
            version: What `Completion.version` will say.

        Raises:
            EngineError: it broke in the middle, or the first comparison with the learner failed; nothing is sampled
                until a later `load` ends.
        """
        model = weights if isinstance(weights, torch.nn.Module) else self._model
        self.thread.order(lambda: self._load(model, version), self.deadline_s)
        if not self._compared and isinstance(weights, torch.nn.Module):  # in parts it cannot be run by one process
            self.check(weights)

    def rest(self) -> None:
        """Drop weights and cache where vLLM can (GPUs); with adapters the base is kept in the machine's memory."""

        def sleep() -> None:
            if self.local.sleeps and not self.thread.waiting:
                self.local.sleep(1 if self._adapters else 2)
                self._asleep = True

        self.thread.order(sleep, self.deadline_s)

    def _load(self, model: Any, version: int) -> None:
        local = self.local
        self.version = -1
        try:
            if self._asleep:
                local.wake("weights")
            if not (self._adapters and self._base_loaded):
                local.load(iter(WeightSource(model)))
                self._base_loaded = True
            if self._adapters:
                path = self.folder / f"adapters-{version}"
                save_adapters(model, path)
                local.load_adapters(ADAPTER, str(path))
                self._forget_adapters(path)
            local.label(self.labels.of(version))
            if self._asleep:
                local.wake("kv_cache")
            if not self.thread.waiting:
                local.reset_cache()
        except BaseException as error:
            self._base_loaded = False
            self.thread.in_fail("the update of the weights was interrupted; what was being sampled is lost")
            with contextlib.suppress(Exception):
                local.mend()
            if not isinstance(error, Exception):
                raise
            raise EngineError(f"vLLM did not take the weights of version {version}: {line(error)}") from error
        self._asleep, self.thread.broken, self.version = False, "", version

    def _forget_adapters(self, kept: Path) -> None:
        for folder in self.folder.glob("adapters-*"):
            if folder != kept:
                shutil.rmtree(folder, ignore_errors=True)

    def check(self, model: Any) -> tuple[float, float | None]:
        """Compare with the learner, see `agentrl.engines.vllm_checks.compare`."""
        exact = self.exact_entropy

        async def ask() -> tuple[float, float | None]:
            async with asyncio.timeout(self.deadline_s):
                return await compare(self.sample, model, where="vLLM", limit=self.mismatch_limit, entropy_exact=exact)

        result: list[Any] = []

        def run() -> None:  # a loop of its own, whether or not the caller has one running
            try:
                result.append(asyncio.run(ask()))
            except BaseException as error:
                result.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        found = result[0]
        if isinstance(found, TimeoutError):
            raise EngineError(f"vLLM gave no answer within {self.deadline_s:g} s.")
        if isinstance(found, BaseException):
            raise found
        self._compared = True
        gap, apart = found
        return gap, apart

    # ---- around ---------------------------------------------------------------------------------

    def working(self) -> Any:
        """Nothing waits for anybody."""
        return nothing()

    def stats(self) -> dict[str, float]:
        """Counts since the last call, which starts them anew."""
        counted, self.counters = self.counters, dict.fromkeys(COUNTED, 0.0)
        return counted

    async def close(self) -> None:
        """End vLLM; requests under way raise. May be called twice."""
        if self.closed:
            return
        self.closed = True
        self.thread.end(self._end)
        await asyncio.to_thread(self.thread.join, self.deadline_s)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- in the thread ---------------------------------------------------------------------------

    def _end(self) -> None:
        self.thread.in_fail("the engine was closed.")
        self.local.close()

    def _admit(self) -> str:
        """The salt of requests, while there are whole weights."""
        if self.closed:
            raise EngineError("the engine was closed.")
        if self.thread.broken:
            raise EngineError(self.thread.broken)
        if self.version < 0 or self._asleep:
            raise EngineError("vLLM has no whole weights at the moment: load them first.")
        return self.labels.of(self.version)

    def _read(self, job: Job, output: Any) -> Completion:
        """A completion from vLLM's ``RequestOutput``."""
        said = output.outputs[0]
        ids = list(said.token_ids)
        if said.finish_reason not in ("stop", "length") or not ids:
            raise EngineError(f"vLLM ended a request with '{said.finish_reason}' after {len(ids)} tokens.")
        rows = [[(token, found.logprob) for token, found in at.items()] for at in said.logprobs]
        logprobs = [float(at[token].logprob) for token, at in zip(ids, said.logprobs, strict=True)]
        spans = [(span.version, span.end) for span in said.weight_versions or ()]
        seen = wire.versions(len(ids), spans, self.labels.version) if spans else [self.version]
        cached = int(output.num_cached_tokens or 0)
        completion = wire.complete(ids, logprobs, wire.entropies(rows, self.entropy), said.finish_reason, seen, cached)
        self.counters["requests"] += 1
        self.counters["prompt_tokens"] += len(job.ids)
        self.counters["cached_tokens"] += cached
        self.counters["decoded_tokens"] += len(ids)
        return completion


COUNTED = ("requests", "prompt_tokens", "cached_tokens", "decoded_tokens")
