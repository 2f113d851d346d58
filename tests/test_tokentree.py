"""The token tree against a plain dictionary of sequences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.tokentree import ROOT, Sampled, TokenTree

sequences = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=12)


@given(sequences)
def test_grafted_sequences_read_back_and_share_prefixes(entered: list[list[int]]) -> None:
    tree = TokenTree()
    nodes = [tree.graft(ids) for ids in entered]
    for node, ids in zip(nodes, entered, strict=True):
        assert tree.ids(node) == ids  # later splits must not move what an id stands for
    prefixes = {tuple(ids[:n]) for ids in entered for n in range(1, len(ids) + 1)}
    assert sum(len(n.ids) for n in tree.nodes) == len(prefixes)  # each distinct prefix is stored once
    assert sorted(tree.depth_first()) == list(range(len(tree)))


@given(sequences, st.data())
def test_sampled_data_follow_their_tokens_through_splits(entered: list[list[int]], data: st.DataObject) -> None:
    tree = TokenTree()
    ids = entered[0]
    prompt = tree.extend(ROOT, [9])
    logprobs = [-float(i) for i in range(len(ids))]
    node = tree.extend(prompt, ids, sampled=Sampled(logprobs, logprobs[:], version=7))
    for other in entered[1:]:
        tree.graft([9, *other])
    pieces = [tree.nodes[n] for n in tree.between(prompt, node)]
    assert [i for p in pieces for i in p.ids] == ids
    assert [x for p in pieces for x in p.sampled.logprobs] == logprobs  # type: ignore[union-attr]
    assert [x for p in pieces for x in p.sampled.entropies] == logprobs  # type: ignore[union-attr]
    assert all(p.sampled.version == 7 for p in pieces)  # type: ignore[union-attr]
    for n in range(len(tree)):
        node_data = tree.nodes[n]
        above = tree.nodes[node_data.parent].end if node_data.parent != ROOT else 0
        assert node_data.start == above
        assert all(tree.nodes[c].parent == n for c in node_data.children)


def test_bad_input_is_refused() -> None:
    tree = TokenTree()
    with pytest.raises(ValueError, match="at least one id"):
        tree.extend(ROOT, [])
    with pytest.raises(ValueError, match="3 sampled ids, but 1 log-prob"):
        tree.extend(ROOT, [1, 2, 3], sampled=Sampled([0.0]))
    with pytest.raises(ValueError, match="empty sequence"):
        tree.graft([])
    node = tree.extend(ROOT, [1, 2])
    with pytest.raises(ValueError, match="cannot cut"):
        tree.split(node, 2)


def test_versions_of_a_turn_that_saw_new_weights_are_cut_with_it() -> None:
    tree = TokenTree()
    root = tree.extend(ROOT, [1])
    said = tree.extend(root, [5, 6, 7], sampled=Sampled([-0.1, -0.2, -0.3], None, 3, [3, 3, 4]))
    tree.graft([1, 5, 6, 9])
    head, tail = tree.nodes[tree.path(said)[-2]].sampled, tree.nodes[said].sampled
    assert head == Sampled([-0.1, -0.2], None, 3, [3, 3])
    assert tail == Sampled([-0.3], None, 4, [4])


def test_versions_run_parallel_to_the_ids() -> None:
    with pytest.raises(ValueError, match="2 sampled ids, but 1 versions"):
        TokenTree().extend(ROOT, [1, 2], sampled=Sampled([0.0, 0.0], None, 0, [0]))
