"""Policies from folders and hubs: a model, its tokenizer and its renderer."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from agentrl.errors import AgentRLError, ConfigError, MissingExtra, RunError
from agentrl.renderers.base import Renderer

ADAPTERS = "adapter_config.json"
"""Marks a folder of adapters (peft), which names the model that they belong to."""


@dataclass
class Policy:
    """What samples and is trained."""

    model: Any
    """A Hugging Face causal language model, weights in float32 (or wrapped by peft)."""
    tokenizer: Any
    renderer: Renderer
    max_context: int


def quiet_libraries() -> None:
    """Keep progress bars of loading and saving, and warnings meant for other developers, off the screen."""
    import warnings

    from transformers.utils import logging

    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft)\.")


def pick_device(name: str) -> torch.device:
    """``auto`` is the first GPU, else the CPU.

    Raises:
        ConfigError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"model.device: '{name}' is no device. Use auto, cpu, cuda or cuda:N.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("model.device: there is no usable GPU here. Use --model.device cpu.")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """Arithmetic of the forward pass."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def load_policy(name: str, *, device: torch.device, max_context: int | None = None) -> Policy:
    """Load a policy from a checkpoint folder, a run directory or a hub.

    Args:
        name: A Hugging Face folder, a run directory (its newest checkpoint is taken) or a hub id.
        device: Where the weights go.
        max_context: Upper limit; the model's own is taken where it is smaller.

    Raises:
        ConfigError: there is no such model, or it cannot be loaded.
        RendererError: no safe way from messages to tokens is known for it.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from agentrl.renderers import renderer_for

    source = resolve_folder(name)
    adapters = Path(source) / ADAPTERS
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        base = json.loads(adapters.read_text())["base_model_name_or_path"] if adapters.is_file() else source
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="sdpa")
        if adapters.is_file():
            model = _with_adapters(model, source)
    except AgentRLError:
        raise
    except Exception as error:  # broken files raise whatever their readers raise
        raise ConfigError(
            f"Model '{name}' could not be loaded: {_first_line(error)} Give 'tiny', a folder with config.json, "
            f"safetensors and tokenizer, a run directory, or a hub id that can be reached."
        ) from error
    own = int(getattr(model.config, "max_position_embeddings", 0) or 0)
    limits = [n for n in (own, max_context) if n]
    renderer = renderer_for(tokenizer, renderer_name(name))
    return Policy(model.to(device).eval(), tokenizer, renderer, min(limits) if limits else 4096)


def pack_policy(policy: Policy) -> dict[str, bytes]:
    """A policy's folder as bytes, by file name, for processes that may share no disk."""
    with tempfile.TemporaryDirectory() as folder:
        policy.model.save_pretrained(folder)
        policy.tokenizer.save_pretrained(folder)
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def unpack_policy(files: dict[str, bytes], *, device: torch.device, max_context: int | None = None) -> Policy:
    """The inverse of `pack_policy`."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        return load_policy(folder, device=device, max_context=max_context)


def resolve_folder(name: str) -> str:
    """A run directory stands for its newest checkpoint; everything else for itself.

    Raises:
        RunError: a run directory without a checkpoint.
    """
    folder = Path(name)
    if (folder / "config.toml").is_file():
        from agentrl.run import newest_checkpoint

        newest = newest_checkpoint(folder)
        if newest is None:
            raise RunError(f"The run '{name}' has no checkpoint yet.")
        return str(newest)
    if folder.is_dir() and not any((folder / file).is_file() for file in ("config.json", ADAPTERS)):
        raise ConfigError(f"The folder '{name}' holds no model (no config.json) and is no run directory.")
    # "owner/model" may be on a hub, unless "owner" is a folder here: then it is a path that was mistyped
    local = (
        name.startswith((".", "/", "~")) or name.count("/") > 1 or (folder.parent != Path() and folder.parent.is_dir())
    )
    if not folder.exists() and local:
        raise ConfigError(f"There is no folder '{name}'.")
    return name


def renderer_name(name: str) -> str:
    """The model whose way of writing messages a policy was trained with: the one that its run began from."""
    for folder in (Path(name), *Path(name).parents[:2]):
        if (folder / "config.toml").is_file():
            from agentrl.run import read_config

            return str(read_config(folder)["model"]["name"])
    return name


def add_lora(model: nn.Module, rank: int, *, seed: int = 0) -> nn.Module:
    """Wrap a model with low-rank adapters on all linear layers; only they are trained.

    Their first values follow from ``seed``; the caller's random state is left alone.

    Raises:
        MissingExtra: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise MissingExtra("peft", "lora") from None
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wrapped: nn.Module = get_peft_model(model, config)
    return wrapped


def _with_adapters(model: nn.Module, folder: str) -> nn.Module:
    try:
        from peft import PeftModel
    except ImportError:
        raise MissingExtra("peft", "lora") from None
    wrapped: nn.Module = PeftModel.from_pretrained(model, folder, is_trainable=True)
    return wrapped


def _first_line(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0]
    return text if text.endswith(".") else text + "."
