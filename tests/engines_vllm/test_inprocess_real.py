"""vLLM in this process, for real: log-probabilities, updates in place, versions, cache, cancelling, adapters."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from vllm_models import policy_model

from agentrl.engines.base import Completion, Sampling
from agentrl.engines.vllm_checks import reference
from agentrl.engines.vllm_inprocess import VllmInProcess
from agentrl.engines.weight_source import WeightSource
from agentrl.errors import EngineError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

PROMPT = [(i * 37) % 500 + 3 for i in range(150)]
SIZE = 542


@pytest.fixture(scope="module")
def engine(vllm: Any) -> Iterator[VllmInProcess]:
    model = policy_model(SIZE)
    made = VllmInProcess(model, max_context=1024, max_slots=16, dtype="float32", deadline_s=120)
    yield made
    asyncio.run(made.close())


def far(model: Any, found: Completion, prompt: list[int] = PROMPT) -> tuple[float, float]:
    logp, entropy = reference(model, prompt, found.ids)
    assert found.entropies is not None
    return (
        float((logp - torch.tensor(found.logprobs)).abs().max()),
        float((entropy - torch.tensor(found.entropies)).abs().max()),
    )


def test_numbers_are_the_learners_though_its_head_is_tied(engine: VllmInProcess) -> None:
    with pytest.raises(EngineError, match="load them first"):
        asyncio.run(engine.sample(PROMPT, Sampling(4)))
    model = policy_model(SIZE)
    engine.load(model, 0)

    async def several() -> list[Completion]:
        return await asyncio.gather(*(engine.sample(PROMPT, Sampling(40, seed=i)) for i in range(4)))

    found = asyncio.run(several())
    for one in found:
        logp, entropy = far(model, one)
        assert logp < 1e-4 and entropy < 1e-4 and one.version == 0 and one.versions is None
    assert engine.exact_entropy and len({tuple(one.ids) for one in found}) == 4
    again = asyncio.run(engine.sample(PROMPT, Sampling(40, seed=2)))
    assert again.ids == found[2].ids and again.cached_tokens == 128
    print("largest differences of log-probability and entropy:", far(model, again))


def test_new_weights_in_place_and_an_empty_cache(engine: VllmInProcess) -> None:
    model = policy_model(SIZE, seed=5)
    started = time.perf_counter()
    engine.load(model, 1)
    print(f"update took {time.perf_counter() - started:.3f} s")
    found = asyncio.run(engine.sample(PROMPT, Sampling(20)))
    assert max(far(model, found)) < 1e-4 and found.version == 1 and found.cached_tokens == 0


def test_a_turn_across_an_update_names_the_version_of_each_token(engine: VllmInProcess) -> None:
    engine.mismatch_limit = None

    async def both() -> Completion:
        under_way = asyncio.create_task(engine.sample(PROMPT, Sampling(600, seed=1)))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(engine.load, policy_model(SIZE, seed=6), 2)
        return await under_way

    found = asyncio.run(both())
    assert found.versions is not None and len(found.versions) == 600
    assert found.versions[0] == 1 and found.versions[-1] == 2 and found.versions == sorted(found.versions)
    engine.mismatch_limit = 0.2


def test_many_seeded_requests_with_long_prompts_at_once(engine: VllmInProcess) -> None:
    """vLLM's CPU build dies of seeded requests whose prompts it computes in parts; it must not be let to."""
    model = policy_model(SIZE, seed=6)
    prompts = [[(i * k) % 500 + 3 for i in range(900)] for k in range(1, 13)]

    async def all_at_once() -> list[Completion]:
        return await asyncio.gather(*(engine.sample(p, Sampling(8, seed=k)) for k, p in enumerate(prompts)))

    found = asyncio.run(all_at_once())
    assert max(far(model, one, p)[0] for p, one in zip(prompts, found, strict=True)) < 1e-4


def test_a_cancelled_request_is_forgotten(engine: VllmInProcess) -> None:
    async def run() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await engine.sample(PROMPT, Sampling(800, seed=1))
        await asyncio.sleep(0.3)

    asyncio.run(run())
    assert engine.local.engine.get_num_unfinished_requests() == 0


def test_an_update_that_breaks_in_the_middle_is_told_and_mended(
    engine: VllmInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = policy_model(SIZE, seed=7)
    iterate = WeightSource.__iter__

    def broken(self: WeightSource) -> Iterator[Any]:
        for n, item in enumerate(iterate(self)):
            if n == 9:
                raise RuntimeError("the learner's device is gone")
            yield item

    with monkeypatch.context() as patched:
        patched.setattr(WeightSource, "__iter__", broken)
        with pytest.raises(EngineError, match=r"did not take the weights of version 3.*device is gone"):
            engine.load(model, 3)
    with pytest.raises(EngineError, match="load them first"):
        asyncio.run(engine.sample(PROMPT, Sampling(4)))
    engine.load(model, 4)
    found = asyncio.run(engine.sample(PROMPT, Sampling(10)))
    assert max(far(model, found)) < 1e-4 and found.version == 4


def test_rest_is_harmless_where_vllm_cannot_sleep(engine: VllmInProcess) -> None:
    model = policy_model(SIZE, seed=7)
    engine.rest()
    engine.load(model, 5)
    assert max(far(model, asyncio.run(engine.sample(PROMPT, Sampling(5))))) < 1e-4


def test_what_we_call_of_vllm_is_there(engine: VllmInProcess) -> None:
    """Also what only a GPU can run: names and parameters of the sender, of sleep, of the newer model runner."""
    from vllm.distributed.weight_transfer import clients, ipc_engine, nccl_engine
    from vllm.distributed.weight_transfer.base import ParamMeta, VLLMWeightSyncClient
    from vllm.distributed.weight_transfer.base import WeightSource as Theirs
    from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory

    from agentrl.engines.weight_source import Piece
    from agentrl.engines.weight_sync import ControlClient

    def names(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    init = names(WeightTransferTrainerFactory.trainer_init)
    assert init[:1] == ["init_info"] and {"client", "source"} <= set(init)
    nccl = names(nccl_engine.NCCLTrainerInitInfo)
    assert {"master_address", "master_port", "world_size", "packed", "rank"} <= set(nccl)
    assert {"packed", "rank"} <= set(names(ipc_engine.IPCTrainerInitInfo))
    calls = [n for n in vars(clients.HTTPVLLMWeightSyncClient) if not n.startswith("_")]
    for name in calls:
        if name != "shutdown_weight_transfer_engine":
            theirs = names(getattr(clients.HTTPVLLMWeightSyncClient, name))
            assert names(getattr(ControlClient, name)) == theirs, name
    assert isinstance(ControlClient.__new__(ControlClient), VLLMWeightSyncClient)
    assert list(ParamMeta.__dataclass_fields__) == list(Piece.__dataclass_fields__)
    assert {"metadata", "__iter__", "held_names"} <= set(vars(WeightSource)) & set(vars(Theirs))
    llm = engine.local.engine
    assert names(llm.sleep)[:1] == ["level"] and names(llm.wake_up)[:1] == ["tags"]
    assert names(llm.add_request)[:3] == ["request_id", "prompt", "params"] and "lora_request" in names(llm.add_request)
    import importlib.util

    spec = importlib.util.find_spec("vllm.v1.worker.gpu.sample.logprob")
    assert spec is not None and spec.origin is not None
    text = Path(spec.origin).read_text()
    assert "def compute_topk_scores(\n    logits: torch.Tensor,\n    num_logprobs: int," in text
    assert "logits_mode: bool = False" in text
