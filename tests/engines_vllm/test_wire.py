"""What is read from recorded answers of a vLLM server."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from fake_vllm import ANSWERS
from hypothesis import given
from hypothesis import strategies as st

from agentrl.engines import vllm_wire as wire
from agentrl.engines.base import Sampling
from agentrl.errors import EngineError

RUN = wire.Labels("run")
EXACT, TOPK, NONE = wire.Entropy("exact"), wire.Entropy("topk", 4), wire.Entropy("none")


def answer(name: str) -> Any:
    return copy.deepcopy(ANSWERS[name][1])


def test_ids_log_probabilities_entropies_and_version() -> None:
    found = wire.read_generate(answer("exact"), 3, RUN, EXACT)
    assert found.ids == [442, 441, 350] and found.finish == "length"
    assert found.logprobs == pytest.approx([-5.42303, -5.25342, -7.80318], abs=1e-4)
    assert found.entropies == pytest.approx([5.71137, 5.57731, 5.61575], abs=1e-4)
    assert found.version == 3 and found.versions is None and found.cached_tokens == 0
    assert all(entropy < math.log(542) for entropy in found.entropies or [])


def test_the_stop_id_is_kept() -> None:
    found = wire.read_generate(answer("stop"), 3, RUN, EXACT)
    assert found.ids == [442] and found.finish == "stop"


def test_versions_across_an_update() -> None:
    found = wire.read_generate(answer("spans"), 3, RUN, NONE)
    assert found.versions == [3] * 34 + [4] * 6
    assert found.version == 3 and found.entropies is None


def test_lower_bounds_are_below() -> None:
    exact = wire.read_generate(answer("exact"), 3, RUN, EXACT).entropies or []
    bounds = wire.read_generate(answer("topk"), 3, RUN, TOPK).entropies or []
    assert all(0 < low < high for low, high in zip(bounds, exact, strict=True))
    completions = wire.read_completions(answer("completions"), 7, TOPK)
    assert completions.ids == [442, 441, 350] and completions.version == 7
    assert all(0 < low < high for low, high in zip(completions.entropies or [], exact, strict=True))


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=40), st.integers(1, 40))
def test_the_lower_bound_never_exceeds_the_entropy(logits: list[float], k: int) -> None:
    norm = math.log(sum(math.exp(x) for x in logits))
    logp = sorted((x - norm for x in logits), reverse=True)
    exact = -sum(math.exp(x) * x for x in logp)
    assert wire.lower_bound(logp[:k]) <= exact + 1e-9
    assert wire.lower_bound(logp) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda a: a["choices"].clear(), "lacks"),
        (lambda a: a["choices"][0].pop("logprobs"), "lacks 'logprobs'"),
        (lambda a: a["choices"][0]["logprobs"].update(content=None), "lacks"),
        (lambda a: a["choices"][0]["token_ids"].pop(), "2 ids with 3"),
        (lambda a: a["choices"][0].update(finish_reason="abort"), "ended a request with 'abort'"),
        (lambda a: a["choices"][0]["logprobs"]["content"][1].update(logprob=-9999.0), "have diverged"),
        (lambda a: a["choices"][0]["logprobs"]["content"][1]["top_logprobs"].pop(), "no exact entropies"),
        (
            lambda a: a["choices"][0]["weight_versions"][0].update(version="default"),
            "weights 'default', which this run",
        ),
        (lambda a: a["choices"][0]["weight_versions"][0].update(version="other:3"), "another run uses it"),
    ],
)
def test_broken_answers_are_told(break_: Any, message: str) -> None:
    broken = answer("exact")
    break_(broken)
    with pytest.raises(EngineError, match=message):
        wire.read_generate(broken, 3, RUN, EXACT)


def test_an_aborted_request_is_no_completion() -> None:
    with pytest.raises(EngineError, match="ended a request with 'abort' after 3 tokens"):
        wire.read_generate(answer("aborted"), 4, RUN, NONE)


def test_a_request_leaves_nothing_to_the_servers_defaults() -> None:
    sampling = Sampling(64, 0.7, seed=2**63 + 5, stop_ids=frozenset({9, 2}))
    body = wire.generate_body((1, 2), sampling, 40, EXACT, model="policy", salt="run:3")
    assert body["token_ids"] == [1, 2] and body["cache_salt"] == "run:3"
    assert body["sampling_params"] == {
        "max_tokens": 40,
        "temperature": 0.7,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "seed": 5,
        "stop_token_ids": [2, 9],
        "ignore_eos": True,
        "logprobs": 2,
        "detokenize": False,
    }
    other = wire.completions_body((1, 2), sampling, 40, TOPK, model="policy", salt="run:3")
    assert other["prompt"] == [1, 2] and other["return_token_ids"] and other["logprobs"] == 4
    assert "detokenize" not in other
