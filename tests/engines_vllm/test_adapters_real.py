"""Adapters (LoRA) through a real vLLM, in a process of its own and by a server: only they travel."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from vllm_models import policy_model
from vllm_serving import start_server, stop_server

from agentrl.engines.base import Sampling
from agentrl.engines.vllm_checks import reference
from agentrl.engines.vllm_servers import VllmServers
from agentrl.engines.weight_sync import AdapterSync
from agentrl.models import add_lora

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

PROMPT = [(i * 37) % 500 + 3 for i in range(60)]


def with_adapters(base: Any, seed: int) -> Any:
    """Adapters of a size that changes what is said."""
    model = add_lora(base, 8)
    change(model, seed)
    return model


@torch.no_grad()
def change(model: Any, seed: int) -> None:
    torch.manual_seed(seed)
    for name, tensor in model.named_parameters():
        if "lora_" in name:
            tensor.normal_(std=0.1)


def gap(model: Any, found: Any) -> float:
    logp, _ = reference(model, PROMPT, found.ids)
    return float((logp - torch.tensor(found.logprobs)).abs().max())


def in_this_process() -> None:
    """The body of the first test, run by this file as a program."""
    from agentrl.engines.vllm_inprocess import VllmInProcess

    model = with_adapters(policy_model(542), 1)
    engine = VllmInProcess(model, max_context=512, max_slots=8, dtype="float32", deadline_s=120)
    for version in range(3):
        change(model, version)
        engine.load(model, version)
        found = asyncio.run(engine.sample(PROMPT, Sampling(20)))
        assert found.version == version and found.cached_tokens == 0, found
        assert gap(model, found) < 1e-4, gap(model, found)
    with model.disable_adapter():
        assert gap(model, found) > 0.1  # it is the adapters that made it so
    asyncio.run(engine.close())
    print("adapters: in process")


def test_in_process(vllm: Any) -> None:
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=600, check=False)
    assert "adapters: in process" in done.stdout, done.stdout[-1000:] + done.stderr[-3000:]


def test_by_a_server(policy_folder: Path, tmp_path: Path) -> None:
    url, process = start_server(policy_folder, tmp_path / "log", "--sync", "files", "--lora-rank", "8")
    try:
        engine = VllmServers([url], max_context=512, vocabulary=542, deadline_s=120)
        from transformers import AutoModelForCausalLM

        model = with_adapters(AutoModelForCausalLM.from_pretrained(str(policy_folder)), 1)
        engine.sync = AdapterSync(model, tmp_path / "adapters", engine.call)
        for version in range(2):
            change(model, version)
            engine.load(model, version)
            found = asyncio.run(engine.sample(PROMPT, Sampling(20)))
            assert found.version == version and found.cached_tokens == 0 and gap(model, found) < 1e-4
        assert engine.exact_entropy
        asyncio.run(engine.close())
    finally:
        stop_server(process)


if __name__ == "__main__":
    in_this_process()
