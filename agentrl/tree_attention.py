"""Attention over a packed tree without a mask of N x N: segment by segment.

A *segment* is a stretch of the depth-first layout (`agentrl.pack`) in which every token has one successor: the shared
prompt, one episode's continuation of it. All its queries see the same tokens before it, the path from the root, and
among themselves the earlier ones. So

    attention(segment) = softmax(q_segment [k_path, k_segment]) [v_path, v_segment],  causal, aligned at the end

which is the ordinary causal attention of a chunk behind its cache: no work on pairs that cannot see each other, no
memory that grows with the square of a pack, and the fast kernels. Gradients of a path's keys and values add up over the
segments that read it.

On a GPU in half precision all segments go through one call of ``torch.nn.attention.varlen.varlen_attn``, with keys and
values gathered along each path; elsewhere (CPU, float32) each is one scaled_dot_product_attention. The sums are those
of a dense mask up to rounding.

transformers calls `attend` under the name `TREE`, and hands it the segments as the keyword ``segments``.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention

TREE = "agentrl_tree"
"""Name of the attention implementation."""


SHORT, SHORT_ON_GPU, DENSE = 1536, 256, 0.6
"""Tokens of a sequence below which a dense mask is no burden, and share of the pairs above which segments save nothing
(a GPU's fast kernels take no mask at all)."""


@dataclass(frozen=True)
class Segment:
    """One stretch of one sequence of a pack."""

    sequence: int
    first: int
    last: int
    """Its tokens are ``first`` to ``last`` - 1."""
    path_K: Tensor
    """Indices of the tokens that its last one sees: the path from the root, and the segment."""


class Segments:
    """All segments of a pack: every token of every sequence, padding too, is in exactly one."""

    def __init__(self, parts: list[Segment], length: int) -> None:
        self.parts = parts
        device = parts[0].path_K.device if parts else torch.device("cpu")
        queries = [part.last - part.first for part in parts]
        keys = [len(part.path_K) for part in parts]
        self.pairs = sum(q * k for q, k in zip(queries, keys, strict=True))
        """Queries times keys, over all segments: what attention costs."""
        self.longest = (max(queries, default=0), max(keys, default=0))
        self.query_M = torch.cat([torch.arange(p.first, p.last, device=device) + p.sequence * length for p in parts])
        self.key_M = torch.cat([p.path_K + p.sequence * length for p in parts])
        """Flat indices (sequence * length + token) of all queries and of all keys, segment after segment."""
        zero = torch.zeros(1, dtype=torch.int32, device=device)
        self.query_starts, self.key_starts = (
            torch.cat([zero, torch.tensor(sizes, device=device).cumsum(0).to(torch.int32)]) for sizes in (queries, keys)
        )


def segments(end_PN: Tensor, lengths: Sequence[int]) -> Segments:
    """Cut a pack into segments.

    Args:
        end_PN: Index after the last token of each token's subtree (`agentrl.pack.Pack`).
        lengths: Tokens of each sequence before its padding, which is one segment: nobody reads what it attends to.
    """
    parts: list[Segment] = []
    length = end_PN.shape[1]
    for sequence, end in enumerate(end_PN.tolist()):
        path: list[tuple[int, int]] = []  # the segments that are open, each inside the ones before
        first, real = 0, lengths[sequence]
        for n in range(length):
            if n + 1 < length and (n >= real or (n + 1 < real and end[n + 1] == end[n] > n + 1)):
                continue  # the next token is this one's only successor
            while path and end[path[-1][1] - 1] <= first:
                path.pop()
            stretch = (first, n + 1)
            indices = [torch.arange(a, b) for a, b in (*path, stretch)]
            parts.append(Segment(sequence, *stretch, torch.cat(indices).to(end_PN.device)))
            path.append(stretch)
            first = n + 1
    return Segments(parts, length)


def worthwhile(end_PN: Tensor, lengths: Sequence[int]) -> Segments | None:
    """The segments of a pack, if it takes less time by them than with a dense mask (benchmarks/update_cost.py)."""
    sequences, length = end_PN.shape
    if length < (SHORT_ON_GPU if end_PN.is_cuda else SHORT):
        return None
    found = segments(end_PN, lengths)
    return found if end_PN.is_cuda or found.pairs < DENSE * sequences * length**2 else None


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    segments: Segments | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention of a layer as transformers asks for it.

    Args:
        module: The layer's attention.
        query: [P, heads, N, size].
        key: [P, key heads, N, size].
        value: As ``key``.
        attention_mask: Not used with ``segments``.
        segments: Of the pack; None: attend under ``attention_mask``, as ``sdpa`` does.
        scaling: Of the products; None: 1 / sqrt(size).
        dropout: Not with ``segments``.

    Returns:
        [P, N, heads, size], None.
    """
    if segments is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        made: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **more
        )
        return made
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16):
        return _varlen(query, key, value, segments, scaling), None
    groups = query.shape[1] // key.shape[1]
    found = []
    for part in segments.parts:
        p, q = part.sequence, query[part.sequence, :, part.first : part.last]
        straight = len(part.path_K) == part.last  # the path is all that stands before: no need to gather
        k = key[p, :, : part.last] if straight else key[p].index_select(1, part.path_K)
        v = value[p, :, : part.last] if straight else value[p].index_select(1, part.path_K)
        if groups > 1:
            k, v = k.repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)
        same = q.shape[1] == k.shape[1]
        mask = None if same else causal_lower_right(q.shape[1], k.shape[1])
        one = scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask, is_causal=same, scale=scaling)
        found.append(one[0].transpose(0, 1))
    # segments lie one after the other, sequence by sequence
    P, H, N, D = query.shape
    return torch.cat(found).view(P, N, H, D), None


def _varlen(query: Tensor, key: Tensor, value: Tensor, segments: Segments, scaling: float | None) -> Tensor:
    """All segments in one call."""
    from torch.nn.attention.varlen import varlen_attn

    P, H, N, D = query.shape
    q = query.transpose(1, 2).reshape(P * N, H, D).index_select(0, segments.query_M)
    k, v = (x.transpose(1, 2).reshape(P * N, x.shape[1], D).index_select(0, segments.key_M) for x in (key, value))
    if k.shape[1] != H:
        k, v = (x.repeat_interleave(H // x.shape[1], 1) for x in (k, v))
    known = inspect.signature(varlen_attn).parameters  # it changes from release to release
    causal: dict[str, Any] = {"window_size": (-1, 0)} if "window_size" in known else {"is_causal": True}
    if "scale" in known:
        causal["scale"] = scaling
    elif scaling is not None:
        q = q * (scaling * D**0.5)
    out: Any = varlen_attn(q, k, v, segments.query_starts, segments.key_starts, *segments.longest, **causal)
    return out.view(P, N, H, D)  # type: ignore[no-any-return]


def attend_by_segments(model: Any) -> None:
    """Let the layers of ``model`` attend by `attend`, from now on: for one call would not do, since checkpointed layers
    run again in the backward pass. Calls without ``segments`` are those of transformers' own ``sdpa``."""
    if model.config._attn_implementation == TREE:
        return
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(TREE, attend)
    AttentionMaskInterface.register(TREE, sdpa_mask)
    for part in model.modules():
        if getattr(part, "config", None) is not None:
            part.config._attn_implementation = TREE


def no_mask(ids_PN: Tensor) -> Tensor:
    """What to pass as ``attention_mask`` beside ``segments``: four dimensions keep transformers from making one."""
    return torch.ones((1, 1, 1, 1), dtype=torch.bool, device=ids_PN.device)
