"""A small random policy with the embedded one's tokenizer, as vLLM can serve it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from agentrl.tiny import train_tokenizer

TEXTS = ["find a red shirt", "click[buy now]", "search[blue cotton shirt] [SEP] Price: 10.00", "size XL, go to desk 2"]


def policy_tokenizer() -> Any:
    """About 530 tokens."""
    return train_tokenizer(TEXTS, vocab_size=600)


def policy_model(vocabulary: int, *, seed: int = 0, tied: bool = True, spread: float = 0.1) -> Any:
    """Two layers, width 128, four heads of 32; weights large enough for a peaked distribution."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=1024,
        initializer_range=spread,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )
    return Qwen3ForCausalLM(config).float().eval()


def save_policy(folder: Path, *, seed: int = 0) -> tuple[Any, Any]:
    """A folder that can be served; returns the model and the tokenizer."""
    tokenizer = policy_tokenizer()
    model = policy_model(len(tokenizer), seed=seed)
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return model, tokenizer
