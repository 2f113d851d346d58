"""Entropies written into the place of the likeliest token; and the plugin that vLLM loads."""

from __future__ import annotations

import sys
import types
from importlib.metadata import entry_points
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from agentrl.engines import vllm_entropy, vllm_plugin
from agentrl.engines.vllm_wire import SENTINEL
from agentrl.engines.weight_sync import FILES


class LogprobsTensors(NamedTuple):
    """As vLLM's, without what is not touched."""

    logprob_token_ids: Tensor
    logprobs: Tensor
    selected_token_ranks: Tensor


def gather_logprobs(logprobs: Tensor, num_logprobs: int, token_ids: Tensor) -> LogprobsTensors:
    """As `vllm.v1.sample.sampler.Sampler.gather_logprobs`."""
    top, at = torch.topk(logprobs, num_logprobs, dim=-1)
    chosen = token_ids.unsqueeze(-1)
    ids = torch.cat((chosen, at), dim=1).to(torch.int32)
    values = torch.cat((logprobs.gather(-1, chosen), top), dim=1)
    return LogprobsTensors(ids, values, (logprobs > values[:, :1]).sum(-1))


def compute_topk_scores(
    logits: Tensor, num_logprobs: int, sampled_token_ids: Tensor, logits_mode: bool = False
) -> LogprobsTensors:
    """As `vllm.v1.worker.gpu.sample.logprob.compute_topk_scores`."""
    return gather_logprobs(logits if logits_mode else logits.log_softmax(-1), num_logprobs, sampled_token_ids)


def exact(logits: Tensor) -> Tensor:
    logp = logits.double().log_softmax(-1)
    return -(logp.exp() * logp).nan_to_num().sum(-1).float()


@pytest.mark.parametrize("n", [1, 130])
def test_entropies_of_all_rows(n: int) -> None:
    torch.manual_seed(n)
    logits = 3 * torch.randn(n, 1000)
    logits[0, 10:] = -torch.inf  # as after top-k
    ids = torch.randint(0, 10, (n,))
    plain = gather_logprobs(logits.log_softmax(-1), 3, ids)
    found = vllm_entropy.around_gather(gather_logprobs)(logits.log_softmax(-1), 3, ids)
    torch.testing.assert_close(found.logprobs[:, 1], exact(logits), atol=1e-5, rtol=0)
    assert (found.logprob_token_ids[:, 1] == SENTINEL).all()
    for column in (0, 2, 3):  # the others are as before
        assert torch.equal(found.logprobs[:, column], plain.logprobs[:, column])
        assert torch.equal(found.logprob_token_ids[:, column], plain.logprob_token_ids[:, column])
    other = vllm_entropy.around_topk(compute_topk_scores)(logits, 2, ids)
    torch.testing.assert_close(other.logprobs[:, 1], exact(logits), atol=1e-5, rtol=0)


def test_what_has_no_place_for_them_is_left_alone() -> None:
    logits = torch.randn(4, 50)
    ids = torch.arange(4)
    found = vllm_entropy.around_gather(gather_logprobs)(logits.log_softmax(-1), 0, ids)
    assert found.logprobs.shape == (4, 1) and (found.logprob_token_ids != SENTINEL).all()
    scores = vllm_entropy.around_topk(compute_topk_scores)(logits, 2, ids, logits_mode=True)
    assert (scores.logprob_token_ids != SENTINEL).all()


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """A ``vllm`` with the places that are wrapped, and the registry of backends."""

    class Sampler:
        gather_logprobs = staticmethod(gather_logprobs)

    class Factory:
        _registry: dict[str, tuple[str, ...]] = {}  # noqa: RUF012

        @classmethod
        def register_engine(cls, name: str, module: str, found: str) -> None:
            assert name not in cls._registry
            cls._registry[name] = (module, found)

    parts = {
        "vllm": {},
        "vllm.v1": {},
        "vllm.v1.sample": {},
        "vllm.v1.sample.sampler": {"Sampler": Sampler},
        "vllm.v1.worker": {},
        "vllm.v1.worker.gpu": {},
        "vllm.v1.worker.gpu.sample": {},
        "vllm.v1.worker.gpu.sample.sampler": {"compute_topk_scores": compute_topk_scores},
        "vllm.distributed": {},
        "vllm.distributed.weight_transfer": {},
        "vllm.distributed.weight_transfer.factory": {"WeightTransferEngineFactory": Factory},
    }
    for name, content in parts.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return types.SimpleNamespace(sampler=Sampler, factory=Factory)


def test_the_plugin_may_be_loaded_twice(package: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(vllm_plugin.ENTROPY, raising=False)
    vllm_plugin.load()
    assert package.factory._registry == {FILES: ("agentrl.engines.vllm_files", "FilesEngine")}
    assert package.sampler.gather_logprobs is gather_logprobs  # only where it is asked for
    monkeypatch.setenv(vllm_plugin.ENTROPY, "1")
    vllm_plugin.load()
    once = package.sampler.gather_logprobs
    vllm_plugin.load()
    assert package.sampler.gather_logprobs is once is not gather_logprobs
    assert sys.modules["vllm.v1.worker.gpu.sample.sampler"].compute_topk_scores is not compute_topk_scores
    logits = torch.randn(2, 50)
    assert once(logits, 1, torch.tensor([0, 1])).logprob_token_ids[0, 1] == SENTINEL


def test_vllm_finds_the_plugin() -> None:
    found = [point.value for point in entry_points(group="vllm.general_plugins") if point.name == "agentrl"]
    if not found:
        pytest.skip("this environment was installed before the entry point was: pip install -e . again")
    assert found == ["agentrl.engines.vllm_plugin:load"]
