"""The engine that the settings ask for."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from agentrl.engines.base import ALONE, Engine, Together
from agentrl.engines.settings import EngineSettings, VllmSettings
from agentrl.engines.torch_engine import TorchEngine
from agentrl.engines.weight_source import WeightSource, has_adapters
from agentrl.engines.weight_sync import FILES, AdapterSync, FilesSync, Sync, TransferSync, sync_folder
from agentrl.errors import ConfigError, MissingExtra

SAMPLE_S = 3600.0
"""Seconds for one completion by a server; whoever asks has a shorter deadline of its own."""


def check_installed(settings: EngineSettings) -> None:
    """Say at once, and not after a warm-up, that what the engine needs is not installed.

    Raises:
        MissingExtra: naming the extra.
    """
    needed = None if settings.name == "torch" else "httpx" if settings.vllm.servers else "vllm"
    if needed and importlib.util.find_spec(needed) is None:
        raise MissingExtra(needed, "vllm")


def make_engine(
    settings: EngineSettings,
    model: Any,
    *,
    max_context: int,
    tokenizer: Any,
    dtype: torch.dtype,
    world: Together = ALONE,
) -> Engine:
    """Make an engine for the learner's model. One of vLLM has no weights before the first `Engine.load`.

    Args:
        settings: ``engine.*``.
        model: A causal LM, perhaps with adapters.
        max_context: Most tokens of prompt and completion together.
        tokenizer: The policy's.
        dtype: Precision to sample in.
        world: Several training processes, if there are.

    Raises:
        ConfigError: settings that contradict each other or what the servers were started with.
        EngineError: servers cannot be reached, vLLM does not start.
        MissingExtra: the extra ``vllm`` is not installed.
    """
    v = settings.vllm
    if settings.name == "torch":
        return TorchEngine(
            model,
            max_context=max_context,
            max_slots=settings.slots,
            dtype=dtype,
            deterministic=settings.deterministic,
        )
    if v.servers and v.sync == "inprocess":
        raise ConfigError("engine.vllm.sync: 'inprocess' has no servers; use nccl, ipc, files or auto with servers.")
    if v.servers:
        return _servers(v, model, max_context=max_context, tokenizer=tokenizer, world=world)
    if v.sync not in ("auto", "inprocess"):
        raise ConfigError(
            f"engine.vllm.sync: '{v.sync}' is for servers; name them: --engine.vllm.servers http://HOST:PORT"
        )
    from agentrl.engines.vllm_inprocess import VllmInProcess

    return VllmInProcess(
        model,
        max_context=max_context,
        max_slots=settings.slots,
        dtype=str(dtype).removeprefix("torch."),
        memory=v.memory,
        sleep=v.sleep,
        fp32_head=v.fp32_head,
        entropy=v.entropy,
        topk=v.topk,
        deadline_s=v.deadline,
        mismatch_limit=v.mismatch_limit,
    )


def _servers(v: VllmSettings, model: Any, *, max_context: int, tokenizer: Any, world: Together) -> Engine:
    from agentrl.engines.vllm_servers import VllmServers

    engine = VllmServers(
        v.servers,
        max_context=max_context,
        vocabulary=int(model.get_input_embeddings().weight.shape[0]),
        tokenizer=tokenizer,
        entropy=v.entropy,
        topk=v.topk,
        deadline_s=v.deadline,
        sample_s=SAMPLE_S,
        mismatch_limit=v.mismatch_limit,
        world=world,
    )
    try:
        engine.sync = choose_sync(v, engine, model)
    except BaseException:
        engine.line.close()
        raise
    return engine


def choose_sync(v: VllmSettings, engine: Any, model: Any) -> Sync:
    """The way for weights: as set, or as the servers were started.

    Raises:
        ConfigError: the servers were started for another way, or there is none from here.
    """
    if has_adapters(model):
        return AdapterSync(model, sync_folder(v.sync_dir), engine.call)
    backend = engine.backend()
    started = "files" if backend == FILES else backend
    way = v.sync if v.sync != "auto" else started or "files"
    dtype = getattr(torch, str(engine.servers[0].info["model_config"].get("dtype", "")).removeprefix("torch."), None)
    source = WeightSource(model, dtype)
    if way == "files":
        return FilesSync(source, sync_folder(v.sync_dir), engine.call, reload=started != "files")
    if way not in ("nccl", "ipc"):
        raise ConfigError(
            f"engine.vllm.sync: the servers were started for '{way}', which is not known here. Start them "
            "with: agentrl serve-vllm --sync nccl, ipc or files"
        )
    if way != started:
        raise ConfigError(
            f"engine.vllm.sync: '{way}' is set, but the servers were started for '{started or 'nothing'}'. Start them "
            f"with: agentrl serve-vllm --sync {way}"
        )
    if next(model.parameters()).device.type != "cuda":
        raise ConfigError(
            f"engine.vllm.sync: '{way}' sends from a GPU, and the policy is not on one. Start the servers "
            "with: agentrl serve-vllm --sync files"
        )
    return TransferSync(way, source, engine.call, host=v.sync_host)
