"""Attention by segments is attention under the tree's mask: values, gradients, whoever asks."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from test_pack import random_group
from tiny_models import FAMILIES, tiny_model

import agentrl.tree_attention as tree_attention
from agentrl.pack import Pack, pack, rows_of
from agentrl.scoring import score
from agentrl.tree_attention import TREE, segments


def packs(monkeypatch: pytest.MonkeyPatch, seed: int) -> tuple[Pack, Pack]:
    """One pack with a dense mask, and with segments."""
    rng = random.Random(seed)
    groups = [random_group(rng, trajectories=n) for n in (5, 2, 3)]
    rows = [row for g, group in enumerate(groups) for row in rows_of(g, group)]
    dense = pack(rows, groups)
    monkeypatch.setattr(tree_attention, "SHORT", 0)
    monkeypatch.setattr(tree_attention, "DENSE", 2.0)
    cut = pack(rows, groups)
    assert dense.segments is None and cut.segments is not None and dense.end_PN is not None
    return dense, cut


@pytest.mark.parametrize("seed", range(20))
def test_segments_see_what_the_mask_shows(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    dense, cut = packs(monkeypatch, seed)
    mask = dense.mask_PQK()
    assert mask is not None and cut.segments is not None and dense.end_PN is not None
    covered = torch.zeros_like(dense.ids_PN)
    for part in cut.segments.parts:
        covered[part.sequence, part.first : part.last] += 1
        shown = mask[part.sequence, 0, part.first : part.last]
        own = part.last - part.first
        if part.first >= dense.lengths[part.sequence]:
            continue  # padding
        for i in range(own):
            seen = part.path_K[: len(part.path_K) - own + i + 1]
            assert shown[i].nonzero()[:, 0].tolist() == sorted(seen.tolist())
    assert bool((covered == 1).all())
    assert cut.segments.query_M.tolist() == list(range(dense.ids_PN.numel()))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_scores_and_gradients_are_those_of_the_mask(
    monkeypatch: pytest.MonkeyPatch, family: str, checkpointing: bool
) -> None:
    dense, cut = packs(monkeypatch, 3)
    found = []
    first = tiny_model(family)
    for packed in (dense, cut):
        model = copy.deepcopy(first).train()
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        scores = score(model, packed, temperature=0.7, entropy_grad=True)
        (scores.logp_K.sum() + scores.entropy_K.square().sum()).backward()
        found.append((scores, {n: p.grad for n, p in model.named_parameters()}))
    (a, grads), (b, others) = found
    torch.testing.assert_close(a.logp_K, b.logp_K, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(a.entropy_K, b.entropy_K, atol=1e-5, rtol=1e-5)
    for name, gradient in grads.items():
        assert gradient is not None
        torch.testing.assert_close(gradient, others[name], atol=2e-4, rtol=1e-3, msg=name)


def test_without_segments_the_model_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    _, cut = packs(monkeypatch, 4)
    model = tiny_model(next(iter(FAMILIES))).eval()
    ids = torch.arange(12)[None]
    padded = torch.tensor([[0] * 3 + [1] * 9])
    with torch.no_grad():
        before = model(ids).logits, model(ids, attention_mask=padded).logits[:, 3:]
        score(model, cut)
        assert model.config._attn_implementation == TREE
        after = model(ids).logits, model(ids, attention_mask=padded).logits[:, 3:]
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


def test_long_packs_take_segments_and_short_ones_a_mask() -> None:
    end = torch.full((1, 2000), 2000)
    end[0, 500:1000], end[0, 1000:1500] = 1000, 1500
    made = tree_attention.worthwhile(end, [2000])
    assert made is not None
    assert [(p.first, p.last) for p in made.parts] == [(0, 500), (500, 1000), (1000, 1500), (1500, 2000)]
    assert made.pairs == 500 * 500 + 3 * 500 * 1000
    assert tree_attention.worthwhile(end[:, :1400].clamp(max=1400), [1400]) is None


@pytest.mark.gpu
def test_one_call_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    dense, cut = packs(monkeypatch, 5)
    model = tiny_model(next(iter(FAMILIES))).cuda()
    dense = dense.to("cuda")
    monkeypatch.setattr(tree_attention, "SHORT_ON_GPU", 0)
    cut = cut.to("cuda")
    assert dense.segments is None and cut.segments is not None
    with torch.autocast("cuda", dtype=torch.bfloat16):
        a = score(model, dense).logp_K
        b = score(model, cut).logp_K
    assert float((a - b).abs().max()) < 0.05
    b.sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_every_token_once() -> None:
    """Cutting is about the layout alone."""
    end = torch.tensor([[6, 6, 6, 6, 5, 6, 7, 8]])
    parts = segments(end, [6]).parts
    assert [(p.first, p.last, p.path_K.tolist()) for p in parts] == [
        (0, 4, [0, 1, 2, 3]),
        (4, 5, [0, 1, 2, 3, 4]),
        (5, 6, [0, 1, 2, 3, 5]),
        (6, 8, [6, 7]),
    ]
