"""Exact entropies out of vLLM, which has no channel for them: they travel as the log-probability of a token.

Where vLLM gathers the log-probabilities to report, the whole distribution is at hand. The hook computes its entropy
and writes it over the column of the likeliest token (column 0 is the sampled one), under the id
`agentrl.engines.vllm_wire.SENTINEL`. Requests with ``logprobs=0`` do not see that column; those with ``logprobs>=2``
see it first among the others, so that it is never cut off by a sampled token outside the top.

Two places, by vLLM's generation of model runner: ``Sampler.gather_logprobs`` (log-probabilities [N, V]) and, where
Triton is at hand (GPUs), ``compute_topk_scores`` (logits [N, V]). In ``processed`` modes both are after temperature,
top-k and top-p; top-k and top-p must be off for the entropy to be that of the full distribution.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import torch
from torch import Tensor

from agentrl.engines.vllm_wire import SENTINEL

MARK = "_agentrl_entropy"
"""Attribute of a function that is wrapped already; vLLM may load plugins more than once."""
ROWS = 64
"""Rows whose entropies are computed at once: [64, V] float32 is 37 MB at V = 150,000."""


def install() -> list[str]:
    """Wrap what is there; returns the names of the functions that are wrapped now."""
    done = []
    sampler: Any = importlib.import_module("vllm.v1.sample.sampler").Sampler
    if not hasattr(sampler.gather_logprobs, MARK):
        sampler.gather_logprobs = staticmethod(around_gather(sampler.gather_logprobs))
    done.append("Sampler.gather_logprobs")
    try:
        runner: Any = importlib.import_module("vllm.v1.worker.gpu.sample.sampler")
    except ImportError:  # no Triton: the older runner is used
        return done
    if hasattr(runner, "compute_topk_scores"):
        if not hasattr(runner.compute_topk_scores, MARK):
            runner.compute_topk_scores = around_topk(runner.compute_topk_scores)
        done.append("compute_topk_scores")
    return done


def around_gather(original: Any) -> Any:
    """``Sampler.gather_logprobs(logprobs_NV, num_logprobs, token_ids_N)`` with entropies."""

    @functools.wraps(original)
    def gather_logprobs(logprobs: Tensor, num_logprobs: int, token_ids: Tensor) -> Any:
        found = original(logprobs, num_logprobs, token_ids)
        return _marked(found, entropy_of(logprobs)) if num_logprobs >= 1 else found

    setattr(gather_logprobs, MARK, True)
    return gather_logprobs


def around_topk(original: Any) -> Any:
    """``compute_topk_scores(logits_NV, num_logprobs, ...)`` with entropies, where it gives log-probabilities."""

    @functools.wraps(original)
    def compute_topk_scores(logits: Tensor, num_logprobs: int, *args: Any, **kwargs: Any) -> Any:
        found = original(logits, num_logprobs, *args, **kwargs)
        if num_logprobs < 1 or kwargs.get("logits_mode", False):
            return found
        return _marked(found, entropy_of(logits))

    setattr(compute_topk_scores, MARK, True)
    return compute_topk_scores


def entropy_of(logits_NV: Tensor) -> Tensor:
    """[N] entropies (nats) of logits or log-probabilities, some of which may be -inf."""
    parts = [torch.special.entr(rows.float().softmax(-1)).sum(-1) for rows in torch.split(logits_NV, ROWS)]
    return torch.cat(parts) if parts else logits_NV.new_zeros(0, dtype=torch.float32)


def _marked(found: Any, entropy_N: Tensor) -> Any:
    """The named tuple ``LogprobsTensors`` with column 1 overwritten; its tensors are fresh ones, not shared."""
    found.logprob_token_ids[:, 1] = SENTINEL
    found.logprobs[:, 1] = entropy_N.to(found.logprobs.dtype)
    return found
