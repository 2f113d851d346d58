"""What can be set about the engine: ``engine.*``, and ``engine.vllm.*`` for vLLM."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from agentrl.settings import Section


class VllmSettings(Section):
    """vLLM: servers that run already (`agentrl serve-vllm`), or the trainer's own process."""

    bare: ClassVar[str] = "servers"

    servers: list[str] = Field(default_factory=list)
    """Addresses, for example http://gpu1:8000,http://gpu2:8000; none: in this process, on the trainer's device."""
    sync: Literal["auto", "inprocess", "nccl", "ipc", "files"] = "auto"
    """How weights reach it: inprocess (no servers), nccl (servers on other GPUs), ipc (a server on the trainer's
    GPU), files (anywhere that shares a folder); auto: inprocess without servers, else what the servers were
    started with."""
    sync_dir: Path | None = None
    """Folder for sync=files, and for adapters, seen by trainer and servers; none: /dev/shm, or the temporary one."""
    sync_host: str = "127.0.0.1"
    """Address of this machine as the servers see it (sync=nccl)."""
    memory: float = Field(0.4, gt=0, lt=1)
    """Share of the GPU that vLLM takes in this process."""
    sleep: bool = True
    """Give weights and cache of the vLLM in this process up while the learner works (GPU only)."""
    fp32_head: bool = False
    """Compute logits in float32 in this process (servers: serve-vllm --fp32-head); lessens the mismatch."""
    entropy: Literal["auto", "exact", "topk", "none"] = "auto"
    """exact: of the whole vocabulary, by agentrl's plugin in vLLM; topk: a lower bound by the likeliest tokens;
    auto: exact where the plugin is loaded, else topk."""
    topk: int = Field(20, ge=1)
    """Tokens of the lower bound."""
    deadline: float = Field(300.0, gt=0)
    """Seconds for one control call: a check, a pause, an update of the weights."""
    mismatch_limit: float | None = Field(0.2, gt=0)
    """Largest mean difference (nats) of vLLM's log-probabilities from the learner's, at the start and in each step;
    above it the run stops; none: never."""


class EngineSettings(Section):
    """Who samples."""

    bare: ClassVar[str] = "name"

    name: Literal["torch", "vllm"] = "torch"
    """torch: the native engine; vllm: for large models (needs the extra 'vllm' where it runs)."""
    slots: int = Field(128, ge=1)
    """Sequences decoded at once."""
    deterministic: bool = True
    """Wait for all environments before each step, so that a run repeats to the bit. Turn off for slow ones. vLLM has
    no such thing."""
    vllm: VllmSettings = VllmSettings()
