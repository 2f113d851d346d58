"""The in-process engine over a scripted vLLM: order of sleep and wake, broken updates, broken steps, cancelling."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_models import tiny_model

from agentrl.engines.base import Engine, Sampling
from agentrl.engines.vllm_inprocess import VllmInProcess
from agentrl.engines.vllm_wire import SENTINEL
from agentrl.errors import EngineError, MissingExtra


class Scripted:
    """In place of `agentrl.engines.vllm_local.Local`: says token 7 until the limit, one token a step."""

    sleeps = True

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.jobs: dict[str, Any] = {}
        self.labels: list[str] = []
        self.error: Exception | None = None
        self.threads: set[str] = set()

    def add(self, name: str, ids: list[int], params: dict[str, Any], salt: str) -> None:
        assert salt == self.labels[-1]
        self.jobs[name] = SimpleNamespace(params=params, spans=[], n=0)

    def step(self) -> list[Any]:
        time.sleep(0.002)
        self.threads.add(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        done = []
        for name, job in list(self.jobs.items()):
            job.n += 1
            if job.spans and job.spans[-1].version == self.labels[-1]:
                job.spans[-1].end = job.n
            else:
                job.spans.append(SimpleNamespace(version=self.labels[-1], end=job.n))
            if job.n == job.params["max_tokens"]:
                at = {7: SimpleNamespace(logprob=-0.5), SENTINEL: SimpleNamespace(logprob=1.25)}
                said = SimpleNamespace(
                    token_ids=[7] * job.n, logprobs=[at] * job.n, finish_reason="length", weight_versions=job.spans
                )
                done.append(SimpleNamespace(request_id=name, outputs=[said], num_cached_tokens=2, finished=True))
                del self.jobs[name]
        return done

    def abort(self, name: str) -> None:
        self.jobs.pop(name, None)
        self.calls.append("abort")

    def load(self, weights: Iterator[Any]) -> None:
        self.calls.append(f"load {len(list(weights))}")

    def load_adapters(self, name: str, path: str) -> None:
        self.calls.append("load adapters")

    def label(self, label: str) -> None:
        self.labels.append(label)

    def mend(self) -> None:
        self.calls.append("mend")

    def reset_cache(self) -> None:
        self.calls.append("reset")

    def sleep(self, level: int) -> None:
        self.calls.append(f"sleep {level}")

    def wake(self, tag: str) -> None:
        self.calls.append(f"wake {tag}")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


def make(model: Any, scripted: Scripted) -> VllmInProcess:
    return VllmInProcess(model, max_context=64, deadline_s=5, mismatch_limit=None, make=lambda: scripted)  # type: ignore[arg-type,return-value]


@pytest.fixture
def engine(scripted: Scripted) -> Iterator[VllmInProcess]:
    made = make(tiny_model(), scripted)
    yield made
    asyncio.run(made.close())
    assert scripted.calls[-1] == "close" and not made.folder.exists()


def test_completions(engine: VllmInProcess, scripted: Scripted) -> None:
    assert isinstance(engine, Engine)
    with pytest.raises(EngineError, match="load them first"):
        asyncio.run(engine.sample([1], Sampling(3)))
    engine.load(None, 0)

    async def several() -> list[Any]:
        return await asyncio.gather(*(engine.sample([1, 2], Sampling(n)) for n in (1, 3, 99)))

    found = asyncio.run(several())
    assert [len(one.ids) for one in found] == [1, 3, 62]
    assert found[1].logprobs == [-0.5] * 3 and found[1].entropies == [1.25] * 3 and found[1].cached_tokens == 2
    assert engine.stats()["decoded_tokens"] == 66 and scripted.threads == {"agentrl-vllm"}


def test_rest_drops_everything_and_load_wakes_it_in_order(engine: VllmInProcess, scripted: Scripted) -> None:
    engine.load(None, 0)
    n = len(tiny_model().state_dict())
    engine.rest()
    with pytest.raises(EngineError, match="load them first"):
        asyncio.run(engine.sample([1], Sampling(3)))
    engine.load(None, 1)
    assert scripted.calls == [f"load {n}", "reset", "sleep 2", "wake weights", f"load {n}", "wake kv_cache", "reset"]
    assert asyncio.run(engine.sample([1], Sampling(3))).version == 1


def test_adapters_keep_the_base_in_memory(scripted: Scripted) -> None:
    from agentrl.models import add_lora

    engine = make(add_lora(tiny_model(), 4), scripted)
    n = len(tiny_model().state_dict())
    engine.load(None, 0)
    engine.rest()
    engine.load(None, 1)
    assert scripted.calls[:3] == [f"load {n}", "load adapters", "reset"]
    assert scripted.calls[3:] == ["sleep 1", "wake weights", "load adapters", "wake kv_cache", "reset"]
    assert [p.name for p in engine.folder.iterdir()] == ["adapters-1"]
    asyncio.run(engine.close())


def test_new_weights_in_the_middle_of_a_turn(engine: VllmInProcess) -> None:
    engine.load(None, 0)

    async def both() -> Any:
        task = asyncio.create_task(engine.sample([1], Sampling(60)))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(engine.load, None, 1)
        return await task

    found = asyncio.run(both())
    assert found.versions is not None and set(found.versions) == {0, 1} and found.version == 0


def test_a_broken_update_ends_what_was_sampled(
    engine: VllmInProcess, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.load(None, 0)

    def broken(weights: Any) -> None:
        raise ValueError("size mismatch")

    async def both() -> None:
        task = asyncio.create_task(engine.sample([1], Sampling(60)))
        await asyncio.sleep(0.02)
        with monkeypatch.context() as patched:
            patched.setattr(scripted, "load", broken)
            with pytest.raises(EngineError, match="did not take the weights of version 1: ValueError: size mismatch"):
                await asyncio.to_thread(engine.load, None, 1)
        with pytest.raises(EngineError, match="was interrupted"):
            await task

    asyncio.run(both())
    assert scripted.calls[-1] == "mend"
    with pytest.raises(EngineError, match="load them first"):
        asyncio.run(engine.sample([1], Sampling(3)))
    engine.load(None, 2)
    assert asyncio.run(engine.sample([1], Sampling(3))).version == 2


def test_a_broken_step_is_told_to_all(engine: VllmInProcess, scripted: Scripted) -> None:
    engine.load(None, 0)
    scripted.error = RuntimeError("CUDA error: out of memory")
    for _ in range(2):
        with pytest.raises(EngineError, match=r"vLLM broke: RuntimeError: CUDA error.*Resume the run"):
            asyncio.run(engine.sample([1], Sampling(3)))


def test_a_cancelled_request_is_aborted(engine: VllmInProcess, scripted: Scripted) -> None:
    engine.load(None, 0)

    async def run() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await engine.sample([1], Sampling(60))
        await asyncio.sleep(0.1)

    asyncio.run(run())
    assert "abort" in scripted.calls and not scripted.jobs


def test_closing_ends_what_is_under_way(scripted: Scripted) -> None:
    engine = make(tiny_model(), scripted)
    engine.load(None, 0)

    async def run() -> None:
        task = asyncio.create_task(engine.sample([1], Sampling(60)))
        await asyncio.sleep(0.02)
        await engine.close()
        with pytest.raises(EngineError, match="was closed"):
            await task
        with pytest.raises(EngineError, match="was closed"):
            await engine.sample([1], Sampling(3))

    asyncio.run(run())


def test_without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrl.engines.vllm_local.installed", lambda: "")
    with pytest.raises(MissingExtra, match="vllm"):
        VllmInProcess(tiny_model(), max_context=64, deadline_s=5)
