"""What goes to a vLLM server and comes back, as plain values: token ids, log-probabilities, versions of weights.

Two forms: ``/inference/v1/generate`` (ids all the way; needs ``--enable-scale-out``) and, where a server lacks it,
``/v1/completions`` with ``return_token_ids``. Checked against vLLM 0.32.

Weights are *labelled* ``RUN:VERSION``; the label is also the salt of the prefix cache, so that keys and values are
never reused across versions, nor across runs that share a server.

Entropy comes in one of two ways (`Entropy`). ``exact``: agentrl's plugin in the server (`agentrl.engines.vllm_entropy`)
puts the entropy of the whole distribution in the place of the likeliest token, under the id `SENTINEL`. ``topk``: the
entropy of the k likeliest tokens and all others taken as one, which is a lower bound of the exact one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentrl.engines.base import Completion, Sampling
from agentrl.errors import EngineError

SENTINEL = 2**31 - 1
"""Token id under which the plugin reports an entropy; no vocabulary has it."""
LOWEST = -9998.0
"""vLLM writes -9999 where a log-probability is not finite."""


@dataclass(frozen=True)
class Entropy:
    """How entropies are had."""

    kind: Literal["exact", "topk", "none"]
    topk: int = 20

    @property
    def logprobs(self) -> int:
        """How many log-probabilities to ask for."""
        return {"exact": 2, "topk": self.topk, "none": 0}[self.kind]

    @property
    def name(self) -> str:
        """What the numbers are, in words."""
        bound = f"a lower bound from the {self.topk} likeliest tokens"
        return {"exact": "exact", "topk": bound, "none": "none"}[self.kind]


@dataclass(frozen=True)
class Labels:
    """Names of versions of one run's weights."""

    run: str

    def of(self, version: int) -> str:
        """The label of a version."""
        return f"{self.run}:{version}"

    def version(self, label: str) -> int | None:
        """The version of a label; None where the label is not of this run."""
        run, _, version = label.rpartition(":")
        return int(version) if run == self.run and version.lstrip("-").isdigit() else None


class NoEntropy(EngineError):
    """The plugin's numbers are not there."""


class ForeignWeights(EngineError):
    """Something was sampled with weights that this run did not send."""


def room(ids: Sequence[int], sampling: Sampling, *, max_context: int, vocabulary: int) -> int:
    """How many tokens may be sampled after ``ids``.

    Raises:
        EngineError: none, or the ids are not the model's.
    """
    left = max_context - len(ids)
    if not ids:
        raise EngineError("cannot continue an empty prompt.")
    if left <= 0:
        raise EngineError(f"a prompt of {len(ids)} tokens leaves no room in a context of {max_context}.")
    if sampling.max_tokens < 1:
        raise EngineError(f"max_tokens must be at least 1, not {sampling.max_tokens}.")
    if min(ids) < 0 or max(ids) >= vocabulary:
        raise EngineError(f"the prompt has ids from {min(ids)} to {max(ids)}; the model knows 0 to {vocabulary - 1}.")
    return min(sampling.max_tokens, left)


def sampling_params(sampling: Sampling, limit: int, entropy: Entropy) -> dict[str, Any]:
    """vLLM's ``SamplingParams`` as JSON: nothing is left to the server's defaults, the end is decided by ids alone."""
    return {
        "max_tokens": limit,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "seed": sampling.seed % 2**63,
        "stop_token_ids": sorted(sampling.stop_ids),
        "ignore_eos": True,
        "logprobs": entropy.logprobs,
        "detokenize": False,
    }


def generate_body(
    ids: Sequence[int], sampling: Sampling, limit: int, entropy: Entropy, *, model: str, salt: str
) -> dict[str, Any]:
    """A request to ``/inference/v1/generate``."""
    params = sampling_params(sampling, limit, entropy)
    return {"model": model, "token_ids": list(ids), "sampling_params": params, "cache_salt": salt, "stream": False}


def completions_body(
    ids: Sequence[int], sampling: Sampling, limit: int, entropy: Entropy, *, model: str, salt: str
) -> dict[str, Any]:
    """A request to ``/v1/completions``."""
    params = sampling_params(sampling, limit, entropy)
    del params["detokenize"]
    return {
        **params,
        "model": model,
        "prompt": list(ids),
        "cache_salt": salt,
        "stream": False,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
    }


def read_generate(answer: Mapping[str, Any], sent: int, labels: Labels, entropy: Entropy) -> Completion:
    """A completion from the answer of ``/inference/v1/generate``.

    Args:
        answer: The JSON.
        sent: Version of the weights when the request was sent.
        labels: Of this run.
        entropy: As asked for.

    Raises:
        ForeignWeights: the server has weights of somebody else.
        EngineError: the answer is incomplete.
    """
    try:
        choice = answer["choices"][0]
        ids = list(choice["token_ids"])
        content = choice["logprobs"]["content"]
        rows = [[(top["token_id"], top["logprob"]) for top in at["top_logprobs"]] for at in content]
        logprobs = [float(at["logprob"]) for at in content]
        spans = [(s["version"], s["end"]) for s in choice.get("weight_versions") or ()]
        usage = answer.get("usage")
    except (KeyError, IndexError, TypeError) as error:
        raise EngineError(f"a vLLM server's answer lacks {error}: {str(answer)[:300]}") from error
    return _completion(ids, logprobs, rows, choice["finish_reason"], usage, sent, labels.version, spans, entropy)


def read_completions(answer: Mapping[str, Any], sent: int, entropy: Entropy) -> Completion:
    """A completion from the answer of ``/v1/completions``, which does not tell the versions.

    Raises:
        EngineError: the answer is incomplete, or has texts where ids were asked for.
    """
    try:
        choice = answer["choices"][0]
        found = choice["logprobs"]
        ids = list(choice["token_ids"])
        tops = found["top_logprobs"] or [{}] * len(ids)
        rows = [[(int(k.removeprefix("token_id:")), v) for k, v in (top or {}).items()] for top in tops]
        logprobs = [float(x) for x in found["token_logprobs"]]
        usage = answer.get("usage")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EngineError(f"a vLLM server's answer lacks {error}: {str(answer)[:300]}") from error
    return _completion(ids, logprobs, rows, choice["finish_reason"], usage, sent, None, [], entropy)


def _completion(
    ids: list[int],
    logprobs: list[float],
    rows: list[list[tuple[int, float]]],
    finish: str | None,
    usage: Any,
    sent: int,
    version_of: Any,
    spans: Sequence[tuple[str, int]],
    entropy: Entropy,
) -> Completion:
    if finish not in ("stop", "length"):
        raise EngineError(f"a vLLM server ended a request with '{finish}' after {len(ids)} tokens.")
    if not ids or len(ids) != len(logprobs) or len(ids) != len(rows):
        raise EngineError(f"a vLLM server gave {len(ids)} ids with {len(logprobs)} log-probabilities.")
    return complete(
        ids,
        logprobs,
        entropies(rows, entropy),
        finish,
        versions(len(ids), spans, version_of) if spans else [sent],
        int(((usage or {}).get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
    )


def complete(
    ids: list[int], logprobs: list[float], found: list[float] | None, finish: Any, seen: list[int], cached: int
) -> Completion:
    """A completion; ``seen`` has the version of each id, or one for all.

    Raises:
        EngineError: a log-probability is not finite.
    """
    if any(not x > LOWEST for x in logprobs):
        raise EngineError("the model returned logits that are not finite: its weights have diverged.")
    mixed = len(set(seen)) > 1
    return Completion(ids, logprobs, found, finish, seen[0], cached, seen if mixed else None)


def versions(n: int, spans: Iterable[tuple[str, int]], version_of: Any) -> list[int]:
    """[n] the version of each id, from (label, end) of spans in order.

    >>> versions(3, [("run:4", 2), ("run:5", 3)], Labels("run").version)
    [4, 4, 5]

    Raises:
        ForeignWeights: a label is not of this run.
    """
    out: list[int] = []
    for label, end in spans:
        version = version_of(label)
        if version is None:
            raise ForeignWeights(
                f"a vLLM server sampled with the weights '{label}', which this run has not sent: it was started again, "
                "or another run uses it. Give each run servers of its own."
            )
        out += [version] * (end - len(out))
    return (out + out[-1:] * (n - len(out)))[:n]


def entropies(rows: Sequence[Sequence[tuple[int, float]]], entropy: Entropy) -> list[float] | None:
    """Entropies (nats) from the (id, value) pairs of each position.

    Raises:
        NoEntropy: the plugin's numbers are not there.
    """
    if entropy.kind == "none":
        return None
    if entropy.kind == "topk":
        return [lower_bound([value for token, value in row if token != SENTINEL]) for row in rows]
    found = [dict(row).get(SENTINEL) for row in rows]
    if any(value is None for value in found):
        raise NoEntropy("vLLM gave no exact entropies; was it started (again) without agentrl's plugin?")
    return [float(value) for value in found if value is not None]


def lower_bound(logprobs: Sequence[float]) -> float:
    """Entropy (nats) of a distribution whose likeliest tokens have these log-probabilities, all others taken as one.

    >>> round(lower_bound([math.log(0.5), math.log(0.25)]), 4)  # the rest, 0.25, as one token
    1.0397
    """
    ps = [math.exp(x) for x in logprobs]
    rest = max(0.0, 1.0 - sum(ps))
    known = -sum(p * x for p, x in zip(ps, logprobs, strict=True) if p > 0)
    return max(0.0, known - (rest * math.log(rest) if rest > 1e-12 else 0.0))
