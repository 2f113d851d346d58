"""``agentrl train --dry-run``: the resolved plan, with the tokens and the memory to be expected.

Estimates, not promises: the number of turns is the environment's limit, prompts are measured on one
episode of its expert where there is one, and memory counts weights, gradients, AdamW's two moments,
the engine's copy and cache, activations and the logits of one chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from agentrl.config import Config
from agentrl.models import pick_device, pick_dtype
from agentrl.scoring import CHUNK_ELEMENTS
from agentrl.settings import to_toml

BYTES_PER_TOKEN = 120
"""What a token of a batch takes in a process's memory, as Python lists of ids, log-probabilities and entropies."""


@dataclass(frozen=True)
class Shape:
    """The numbers of a model that memory depends on."""

    parameters: int
    trained: int
    layers: int
    kv_width: int
    vocabulary: int
    activations: int
    """Numbers that a layer keeps per token for its backward pass (measured on Qwen3: 24 widths where the inner width is
    three times the width)."""
    width: int


def describe(config: Config, processes: int = 1) -> str:
    """The whole text of the plan; memory is that of one of the processes, each with a device of its own."""
    device = pick_device(config.model.device)
    dtype = pick_dtype(config.model.dtype, device)
    episodes = config.rollout.groups * config.algo.group_size
    turns, prompt, page = _episode(config)
    shape = _shape(config)
    context = prompt + turns * (page + (config.rollout.max_new_tokens or 0))
    context = min(config.model.max_context or context, context)
    memory = _memory(config, shape, dtype, context, processes)
    gathered = episodes * context * BYTES_PER_TOKEN
    lines = [
        to_toml(config).rstrip(),
        "",
        f"# environment   {config.env.name}: at most {turns} turns, about {prompt} tokens before the first, "
        f"{page} per answer of the environment",
        f"# episodes      {episodes} per step ({config.rollout.groups} tasks x {config.algo.group_size}), "
        f"{episodes * config.train.steps:,} in {config.train.steps} steps",
        f"# tokens        at most {context:,} in one sequence, {episodes * context:,} per step",
        f"# optimizer     {config.train.minibatches * config.train.epochs} updates per step, "
        f"learning rate {config.train.lr:g}",
        f"# model         {shape.parameters:,} parameters, {shape.trained:,} trained, on {device} in "
        f"{str(dtype).removeprefix('torch.')}",
        f"# processes     {processes}"
        + (
            f", {config.train.parallel}: each plays 1/{processes} of the groups and forwards 1/{processes} of the "
            f"packs; all hold all groups ({_size(gathered)} at most)"
            if processes > 1
            else ""
        ),
        *(f"# memory        {what:<34}{_size(n):>10}" for what, n in memory),
        f"# memory        {'together, at least':<34}{_size(sum(n for _, n in memory)):>10}",
    ]
    return "\n".join(lines)


def _episode(config: Config) -> tuple[int, int, int]:
    """Turn limit, tokens of the first prompt, tokens of a later observation (about four characters each)."""
    env = config.env.make(split="train")
    turns = config.rollout.max_turns or env.max_turns
    observation, _ = env.reset(seed=0)
    first, later = len(env.instructions) + len(observation), []
    for _ in range(turns):
        said = env.expert()
        if said is None:
            break
        observation, _, terminated, truncated, _ = env.step(said)
        later.append(len(observation))
        if terminated or truncated:
            break
    env.close()
    return turns, max(1, first // 4), sum(later) // max(1, len(later)) // 4


def _shape(config: Config) -> Shape:
    """The model's numbers without loading its weights."""
    if config.embedded:
        m = config.model
        body = m.layers * (m.hidden * m.hidden * 3 + 6 * m.hidden * m.hidden)
        parameters = body + m.vocab_size * m.hidden
        return Shape(parameters, parameters, m.layers, m.hidden // 2, m.vocab_size, 24 * m.hidden, m.hidden)
    from transformers import AutoConfig, AutoModelForCausalLM

    from agentrl.models import resolve_folder

    found: Any = AutoConfig.from_pretrained(resolve_folder(config.model.name))
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(found)
    parameters = sum(p.numel() for p in model.parameters())
    heads = getattr(found, "num_key_value_heads", found.num_attention_heads)
    head = getattr(found, "head_dim", None) or found.hidden_size // found.num_attention_heads
    rank = config.model.lora_rank
    linear = [m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and "head" not in n]
    trained = sum(rank * (m.in_features + m.out_features) for m in linear) if rank else parameters
    kept = 12 * found.hidden_size + 4 * found.intermediate_size
    return Shape(parameters, trained, found.num_hidden_layers, heads * head, found.vocab_size, kept, found.hidden_size)


def _memory(config: Config, shape: Shape, dtype: torch.dtype, context: int, processes: int) -> list[tuple[str, int]]:
    """What fills the memory of one process's device."""
    half = 2 if dtype == torch.bfloat16 else 4
    parts = processes if config.train.parallel == "fsdp" else 1
    each = f", 1/{parts}" if parts > 1 else ""
    out = [
        (f"weights (float32){each}", 4 * shape.parameters // parts),
        (f"gradients and AdamW{each}", 12 * shape.trained // parts),
    ]
    if parts > 1:
        out.append(("layers gathered at once (two)", 2 * half * shape.parameters // max(1, shape.layers)))
    if config.engine.name == "torch" and (half == 2 or parts > 1 or config.rollout.overlaps):
        out.append(("the engine's copy", half * shape.parameters))
    if config.algo.critic() is not None:
        out.append((f"critic, its gradients and AdamW{each}", (4 * shape.parameters + 12 * shape.trained) // parts))
    if "ref_logprobs" in config.algo.needs and not config.model.lora_rank:
        out.append((f"reference model{each}", 4 * shape.parameters // parts))
    if config.engine.name == "torch":
        cache = 2 * shape.layers * shape.kv_width * half * context * config.engine.slots
        out.append((f"cache, {config.engine.slots} slots x {context} tokens", cache))
    tokens = config.train.microbatch_tokens
    layers = shape.layers * shape.activations
    if config.train.gradient_checkpointing:  # what goes into each layer, and the inside of one
        layers = shape.layers * shape.width + shape.activations
    out.append((f"activations of {tokens:,} tokens", tokens * layers * half))
    out.append(("logits of a chunk", 2 * 4 * min(CHUNK_ELEMENTS, tokens * shape.vocabulary)))
    return out


def _size(n: int) -> str:
    return f"{n / 2**30:.2f} GiB" if n >= 2**30 else f"{n / 2**20:.1f} MiB"
