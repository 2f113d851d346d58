"""Whether a vLLM is the right one: its version, its settings, the model it has; each told plainly."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from agentrl.engines.base import Completion, Sampling
from agentrl.errors import ConfigError, EngineError

OLDEST, NEWEST = (0, 30), (0, 34)
"""Versions of vLLM that this was written for: from the first on, before the second."""
PROBE = 24
"""Tokens sampled to compare with the learner."""
EXACT = 0.05
"""Largest mean difference (nats) of entropies that are called exact, beyond that of the log-probabilities."""


def check_version(version: str, where: str) -> None:
    """Refuse a vLLM that this was not written for.

    Raises:
        ConfigError: naming the range.
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None or not OLDEST <= (int(found[1]), int(found[2])) < NEWEST:
        raise ConfigError(
            f"{where} is vLLM {version}; those from {_dotted(OLDEST)} to before {_dotted(NEWEST)} are known to work. "
            "Install one of them: pip install -e '.[vllm]'"
        )


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def check_settings(config: Mapping[str, Any], where: str) -> None:
    """Compare a server's configuration with what training needs.

    Args:
        config: ``vllm_config`` of ``/server_info?config_format=json``.
        where: The server.

    Raises:
        ConfigError: what is wrong, and how to start the server.
    """
    mode = str((config.get("model_config") or {}).get("logprobs_mode"))
    if "processed_logprobs" not in mode.lower():
        raise ConfigError(
            f"{where} reports '{mode}': log-probabilities before the temperature. Start it with: agentrl serve-vllm, "
            "or with --logprobs-mode processed_logprobs"
        )


def check_folder(config: Mapping[str, Any], root: str, where: str, *, vocabulary: int) -> None:
    """Look into the folder that a server was started with, where it can be read here.

    Raises:
        ConfigError: another vocabulary; or, on a CPU, a head tied to the embedding, which this build would keep as it
            was after an update.
    """
    try:
        served = json.loads((Path(root) / "config.json").read_text())
    except (OSError, ValueError):
        return
    if served.get("vocab_size", vocabulary) != vocabulary:
        raise ConfigError(
            f"{where} has a model of {served['vocab_size']} tokens, the policy has {vocabulary}: another model or "
            "tokenizer. Start it with the folder or the name that is given as --model."
        )
    device = config.get("device_config") or {}
    on_cpu = "cpu" in str(device.get("device_type") or device.get("device") or "").lower()
    if on_cpu and served.get("tie_word_embeddings"):
        raise ConfigError(
            f"{where} runs on a CPU with an output head that is tied to the embedding; this build of vLLM would keep "
            "the old head after an update. Start it with: agentrl serve-vllm, which serves an untied copy."
        )


async def compare(
    sample: Callable[..., Awaitable[Completion]], model: Any, *, where: str, limit: float | None, entropy_exact: bool
) -> tuple[float, float | None]:
    """Sample some tokens and compare their log-probabilities, and entropies, with the learner's.

    Args:
        sample: An engine's `sample`.
        model: The learner's; evaluated without gradients.
        where: The engine, for the message.
        limit: Largest mean difference; None: any.
        entropy_exact: Whether entropies are meant to be exact.

    Returns:
        Mean differences (nats) of log-probabilities and of entropies; None where there are none.

    Raises:
        EngineError: the difference is above the limit, or exact entropies are not.
    """
    size = int(model.get_input_embeddings().weight.shape[0])
    prompt = [(7 * i * i + 3 * i + 1) % size for i in range(16)]
    found = await sample(prompt, Sampling(PROBE, seed=1))
    logp, entropy = reference(model, prompt, found.ids)
    gap = float((logp - torch.tensor(found.logprobs)).abs().mean())
    if limit is not None and not gap <= limit:
        raise EngineError(
            f"{where} gives log-probabilities that differ from the learner's by {gap:.3f} nats in the mean; at most "
            f"{limit:g} are allowed (--engine.vllm.mismatch-limit). Is it serving the model of --model, with adapters "
            "where the learner has some, unquantised, and in a precision near to the learner's?"
        )
    if found.entropies is None:
        return gap, None
    apart = float((entropy - torch.tensor(found.entropies)).abs().mean())
    if entropy_exact and apart > EXACT + gap:
        raise EngineError(
            f"{where} gives entropies that differ from the learner's by {apart:.3f} nats in the mean. Use "
            "--engine.vllm.entropy topk"
        )
    return gap, apart


@torch.no_grad()
def reference(model: Any, prompt: list[int], said: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """[T] log-probabilities and entropies of ``said`` by one plain forward pass at temperature 1."""
    before = model.training
    model.eval()
    try:
        device = next(model.parameters()).device
        ids = torch.tensor([prompt + said], device=device)
        logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float()
    finally:
        model.train(before)
    logp = logits.log_softmax(-1)
    chosen = logp.gather(-1, ids[0, len(prompt) :, None])[:, 0]
    return chosen.cpu(), torch.special.entr(logp.exp()).sum(-1).cpu()
