"""Log-probabilities and entropies of a pack's trained tokens under a model, with gradients.

One forward over the unique tokens; the language-model head runs only where a trained token is
predicted, in chunks, so that memory does not grow with vocabulary x length. Log-probabilities are
those of ``softmax(logits / temperature)``, the distribution that was sampled from. K trained tokens,
V vocabulary, D hidden size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from agentrl.pack import Pack
from agentrl.tree_attention import attend_by_segments, no_mask

CHUNK_ELEMENTS = 1 << 26
"""Most logits (K x V) held at once."""


class Scores(NamedTuple):
    """Per trained token of a pack, float32 [K]."""

    logp_K: Tensor
    entropy_K: Tensor


def score(model: nn.Module, packed: Pack, *, temperature: float = 1.0, entropy_grad: bool = False) -> Scores:
    """Run ``model`` on a pack (already on the model's device).

    Args:
        model: A Hugging Face causal language model, or one wrapped by peft.
        packed: See `agentrl.pack.pack`.
        temperature: Of the sampling distribution; 0 (greedy) counts as 1.
        entropy_grad: Whether gradients flow through the entropies.
    """
    hidden_KD = hidden_states(model, packed).flatten(0, 1)[packed.source_K]
    target_K = packed.ids_PN.flatten()[packed.target_K]
    head = output_head(model)
    scale = temperature or 1.0
    vocabulary = int(getattr(head, "out_features", 0)) or 1
    step = max(1, CHUNK_ELEMENTS // vocabulary)
    parts = []
    for i in range(0, max(1, len(target_K)), step):
        arguments = (head, hidden_KD[i : i + step], target_K[i : i + step], scale, entropy_grad)
        if torch.is_grad_enabled() and len(target_K) > step:  # several chunks: keep none of their logits
            parts.append(checkpoint(_chunk, *arguments, use_reentrant=False))
        else:
            parts.append(_chunk(*arguments))
    return Scores(torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]))


class Scorer(nn.Module):
    """A model whose forward is `score`: what processes that train together wrap."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, packed: Pack, *, temperature: float = 1.0, entropy_grad: bool = False) -> Scores:
        """See `score`."""
        return score(self.model, packed, temperature=temperature, entropy_grad=entropy_grad)


def _chunk(
    head: nn.Module, hidden_KD: Tensor, target_K: Tensor, temperature: float, entropy_grad: bool
) -> tuple[Tensor, Tensor]:
    logp_KV = torch.log_softmax(head(hidden_KD).float() / temperature, dim=-1)
    chosen_K = logp_KV.gather(1, target_K[:, None])[:, 0]
    with torch.set_grad_enabled(entropy_grad and torch.is_grad_enabled()):
        seen = logp_KV if entropy_grad else logp_KV.detach()
        entropy_K = -(seen.exp() * seen).sum(-1)
    return chosen_K, entropy_K


def hidden_states(model: nn.Module, packed: Pack) -> Tensor:
    """Last hidden states [P, N, D] of a pack under its own attention mask."""
    body = backbone(model)
    arguments: dict[str, Any] = {"input_ids": packed.ids_PN, "position_ids": packed.position_PN, "use_cache": False}
    parts = packed.segments
    if parts is not None:
        attend_by_segments(body)
        whole: Tensor = body(**arguments, attention_mask=no_mask(packed.ids_PN), segments=parts).last_hidden_state
        return whole
    mask = packed.mask_PQK()
    if mask is not None:
        arguments["attention_mask"] = mask
    else:  # right padding under a causal mask disturbs nobody: an explicit all-ones mask keeps it plain causal
        arguments["attention_mask"] = torch.ones_like(packed.ids_PN)
    hidden: Tensor = body(**arguments).last_hidden_state
    return hidden


def backbone(model: Any) -> Any:
    """The model without its head (adapters of peft stay in place: they live inside the layers)."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return getattr(inner, inner.base_model_prefix)


def output_head(model: Any) -> nn.Module:
    """The language-model head."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    head: nn.Module = inner.get_output_embeddings()
    return head


def check_head(model: Any) -> str:
    """Empty if ``head(backbone(x))`` is the model's own logits, else what differs (soft caps, scalings).

    Some families scale or cap logits after the head; training them on uncapped logits would be silently wrong.
    """
    device = next(model.parameters()).device
    ids = torch.arange(3, device=device)[None]
    with torch.no_grad():
        ours = output_head(model)(backbone(model)(input_ids=ids, use_cache=False).last_hidden_state).float()
        theirs = model(input_ids=ids, use_cache=False).logits.float()
    worst = float((ours - theirs).abs().max())
    return "" if worst < 1e-2 else f"logits differ from head(hidden states) by up to {worst:.3g}"
