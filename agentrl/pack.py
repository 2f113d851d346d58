"""What the model is run on: unique tokens once, while the loss keeps seeing ordinary rows.

A `Row` is one sequence the policy was really run on (all turns of a transcript; a single turn of a
windowed prompt; one segment between two memory edits) and the turns that it trains. Rows of a group
share prefixes. `pack` lays the unique tokens out in depth-first order, so that the attention mask of
the whole forest is one integer per token:

    key j is visible to query i   iff   j <= i < end[j]

where ``end[j]`` is the index after the last token of j's subtree. Positions are depths. The logits
that predict a token are those of its *parent*, the token before it on its path.

    rows [5 6 7 | 1 2], [5 6 7 | 1 3], with [5 6 7] shared and 1 shared as well, pack to
    ids      5 6 7 1 2 3
    position 0 1 2 3 4 4
    end      6 6 6 6 5 6
    parent   - 0 1 2 3 3

A flat pack (``tree=False``) is the same structure with every row a sequence of its own; then the
mask is the ordinary causal one and needs no tensor. Shape legend: P sequences, N tokens of a
sequence, K trained tokens, B rows, T trained tokens of a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agentrl.tokentree import ROOT, TokenTree
from agentrl.trajectory import Group, Trajectory
from agentrl.tree_attention import Segments, worthwhile


@dataclass(frozen=True)
class Row:
    """One training row: a path of the tree and the turns of one trajectory that it trains."""

    group: int
    trajectory: int
    """Index in the group."""
    leaf: int
    """Tree node that ends the row."""
    turns: tuple[int, ...]
    """Indices of the trajectory's turns whose sampled tokens are trained here."""


@dataclass(frozen=True)
class RowTokens:
    """The trained tokens of one row, in order. Lists run parallel, length T."""

    nodes: list[tuple[int, int]]
    """(tree node, offset in the node) of each token."""
    turn: list[int]
    """Index of the trajectory's turn."""
    logprobs: list[float]
    """What the engine returned."""
    entropies: list[float] | None


def rows_of(index: int, group: Group) -> list[Row]:
    """All rows of a group's trajectories that count; ``index`` is the group's place in the batch."""
    return [row for t in group.trajectories if t.counts for row in _cut(index, group.tree, t)]


def _cut(group: int, tree: TokenTree, trajectory: Trajectory) -> list[Row]:
    """Cut a trajectory into rows: a turn whose context extends the previous turn continues its row.

    A transcript gives one row; windows and memory edits start a new row wherever the context left the path.
    """
    rows: list[Row] = []
    trained: list[int] = []
    leaf = -1
    for index, turn in enumerate(trajectory.turns):
        if trained and leaf not in tree.path(turn.context):
            rows.append(Row(group, trajectory.index, leaf, tuple(trained)))
            trained = []
        trained.append(index)
        leaf = turn.sampled
    if trained:
        rows.append(Row(group, trajectory.index, leaf, tuple(trained)))
    return rows


def row_tokens(row: Row, group: Group) -> RowTokens:
    """Look up what a row trains."""
    tree, turns = group.tree, group.trajectories[row.trajectory].turns
    out = RowTokens([], [], [], [])
    exact = True
    for index in row.turns:
        turn = turns[index]
        for node in tree.between(turn.context, turn.sampled):
            sampled = tree.nodes[node].sampled
            assert sampled is not None, "a turn's nodes are sampled nodes"
            size = len(tree.nodes[node].ids)
            out.nodes.extend((node, offset) for offset in range(size))
            out.turn.extend([index] * size)
            out.logprobs.extend(sampled.logprobs)
            exact = exact and sampled.entropies is not None
            if out.entropies is not None and sampled.entropies is not None:
                out.entropies.extend(sampled.entropies)
    return out if exact else RowTokens(out.nodes, out.turn, out.logprobs, None)


@dataclass
class Pack:
    """Token sequences for one forward pass and where each row finds its tokens in it."""

    ids_PN: Tensor
    position_PN: Tensor
    end_PN: Tensor | None
    """Subtree ends, or None where every sequence is a plain causal one."""
    target_K: Tensor
    """Flat index (p * N + n) of each trained token."""
    source_K: Tensor
    """Flat index of the token whose logits predict it."""
    row_BT: Tensor
    """Index into K of each trained token of a row; 0 where ``mask_BT`` is False."""
    mask_BT: Tensor
    rows: list[Row]
    lengths: tuple[int, ...]
    """Tokens of each sequence without padding."""
    segments: Segments | None = None
    """How to attend without a mask of N x N, where that is cheaper than with one (see `agentrl.tree_attention`)."""

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return sum(self.lengths)

    def to(self, device: torch.device | str) -> Pack:
        """The same pack on another device."""
        moved: dict[str, Any] = {n: value.to(device) for n, value in vars(self).items() if isinstance(value, Tensor)}
        if self.end_PN is not None:
            moved["segments"] = worthwhile(moved["end_PN"], self.lengths)
        return Pack(**{**vars(self), **moved})

    def mask_PQK(self) -> Tensor | None:
        """Boolean attention mask [P, 1, N, N] (True = visible), or None for causal sequences."""
        if self.end_PN is None:
            return None
        index = torch.arange(self.ids_PN.shape[1], device=self.ids_PN.device)
        query, key = index[None, :, None], index[None, None, :]
        visible = (key <= query) & (query < self.end_PN[:, None, :])
        return visible[:, None]


def pack(rows: Sequence[Row], groups: Sequence[Group], *, tree: bool = True) -> Pack:
    """Lay out rows for one forward pass.

    Args:
        rows: Rows of any groups; rows of one group are best neighbours.
        groups: The batch; ``row.group`` indexes it.
        tree: Share prefixes (one sequence per group) or not (one sequence per row).
    """
    sequences: list[_Sequence] = []
    found: list[list[tuple[int, int]]] = []  # per row: (sequence, index in it) of each trained token
    if tree:
        by_group: dict[int, _Sequence] = {}
        for group in dict.fromkeys(row.group for row in rows):
            leaves = [row.leaf for row in rows if row.group == group]
            by_group[group] = _lay_out(groups[group].tree, leaves, len(sequences))
            sequences.append(by_group[group])
        where = [by_group[row.group] for row in rows]
    else:
        for row in rows:
            sequences.append(_lay_out(groups[row.group].tree, [row.leaf], len(sequences)))
        where = sequences
    for row, sequence in zip(rows, where, strict=True):
        nodes = row_tokens(row, groups[row.group]).nodes
        found.append([(sequence.index, sequence.start[node] + offset) for node, offset in nodes])
    return _assemble(rows, sequences, found)


def plan(
    rows: Sequence[Row],
    groups: Sequence[Group],
    *,
    budget: int,
    layout: str = "auto",
    attention_cost: float = 0.0,
) -> list[tuple[list[Row], bool]]:
    """Cut rows into micro-batches of at most ``budget`` tokens (padding included), each tree or flat.

    A group's rows stay together where they fit. ``layout="auto"`` takes the tree for a group where it costs
    less: tokens x (1 + attention_cost x visible keys), with ``attention_cost`` the cost of attending to one
    key relative to everything else a token costs.
    """
    by_group: dict[int, list[Row]] = {}
    for row in rows:
        by_group.setdefault(row.group, []).append(row)
    shared: list[tuple[int, list[Row]]] = []
    single: list[tuple[int, list[Row]]] = []
    for group, members in by_group.items():
        tree = groups[group].tree
        lengths = [tree.nodes[row.leaf].end for row in members]
        unique = _unique_tokens(tree, [row.leaf for row in members])
        cost_flat = sum(n * (1 + attention_cost * n) for n in lengths)
        cost_tree = unique * (1 + attention_cost * unique)
        if layout == "tree" or (layout == "auto" and cost_tree < 0.9 * cost_flat):
            shared.extend(
                (_unique_tokens(tree, [r.leaf for r in part]), part) for part in _halve(members, tree, budget)
            )
        else:
            single.extend((n, [row]) for n, row in zip(lengths, members, strict=True))
    batches = []
    for units, as_tree in ((shared, True), (single, False)):
        units.sort(key=lambda unit: unit[0])
        batch: list[Row] = []
        count = 0
        for size, members in units:  # ascending, so ``size`` is the padded length
            if batch and (count + 1) * size > budget:
                batches.append((batch, as_tree))
                batch, count = [], 0
            batch = batch + members
            count += 1
        if batch:
            batches.append((batch, as_tree))
    return batches


@dataclass
class _Sequence:
    index: int
    ids: list[int]
    position: list[int]
    end: list[int]
    parent: list[int]
    start: dict[int, int]
    """Index of each node's first token."""
    chain: bool


def _lay_out(tree: TokenTree, leaves: Iterable[int], index: int) -> _Sequence:
    """Depth-first layout of the paths to ``leaves``, children in the order of the leaves below them.

    (Not in the order in which they joined the tree: episodes run at once and join it in any order.)
    """
    out = _Sequence(index, [], [], [], [], {}, True)
    open_nodes: list[tuple[int, int]] = []  # (node, its first index), the path being written

    def close(until: int) -> None:
        while open_nodes and open_nodes[-1][0] != until:
            node, first = open_nodes.pop()
            for i in range(first, first + len(tree.nodes[node].ids)):
                out.end[i] = len(out.ids)

    for node in _depth_first(tree, leaves):
        data = tree.nodes[node]
        before = len(open_nodes)
        close(data.parent)
        out.chain = out.chain and len(open_nodes) == before
        first = len(out.ids)
        last = open_nodes[-1][1] + len(tree.nodes[data.parent].ids) - 1 if open_nodes else -1
        out.start[node] = first
        out.ids.extend(data.ids)
        out.position.extend(range(data.start, data.end))
        out.parent.extend([last, *range(first, first + len(data.ids) - 1)])
        out.end.extend([0] * len(data.ids))
        open_nodes.append((node, first))
    close(-2)
    return out


def _depth_first(tree: TokenTree, leaves: Iterable[int]) -> list[int]:
    """The nodes on the paths to ``leaves``, parents first, in the order of the leaves."""
    children: dict[int, list[int]] = {}
    for leaf in leaves:
        for node in reversed(tree.path(leaf)):
            below = children.setdefault(tree.nodes[node].parent, [])
            if node in below:
                break  # everything above is known as well
            below.append(node)
    order: list[int] = []
    stack = list(reversed(children.get(ROOT, [])))
    while stack:
        order.append(stack.pop())
        stack.extend(reversed(children.get(order[-1], [])))
    return order


def _assemble(rows: Sequence[Row], sequences: list[_Sequence], found: list[list[tuple[int, int]]]) -> Pack:
    longest = max(len(s.ids) for s in sequences)
    shape = (len(sequences), longest)
    ids, position = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    end = torch.arange(1, longest + 1).repeat(len(sequences), 1)  # padding sees itself alone
    for p, s in enumerate(sequences):
        n = len(s.ids)
        ids[p, :n], position[p, :n] = torch.tensor(s.ids), torch.tensor(s.position)
        end[p, :n] = torch.tensor(s.end)
    known: dict[tuple[int, int], int] = {}
    for tokens in found:
        for token in tokens:
            known.setdefault(token, len(known))
    target = [p * longest + n for p, n in known]
    source = [p * longest + sequences[p].parent[n] for p, n in known]
    width = max((len(tokens) for tokens in found), default=0)
    row = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    for b, tokens in enumerate(found):
        row[b, : len(tokens)] = torch.tensor([known[token] for token in tokens], dtype=torch.long)
        mask[b, : len(tokens)] = True
    causal = all(s.chain for s in sequences)
    lengths = tuple(len(s.ids) for s in sequences)
    return Pack(
        ids,
        position,
        None if causal else end,
        torch.tensor(target, dtype=torch.long),
        torch.tensor(source, dtype=torch.long),
        row,
        mask,
        list(rows),
        lengths,
        None if causal else worthwhile(end, lengths),
    )


def _unique_tokens(tree: TokenTree, leaves: Iterable[int]) -> int:
    return sum(len(tree.nodes[n].ids) for n in {node for leaf in leaves for node in tree.path(leaf)})


def _halve(rows: list[Row], tree: TokenTree, budget: int) -> list[list[Row]]:
    """Cut a group's rows (depth-first neighbours together) until each part fits the budget."""
    order = {node: i for i, node in enumerate(_depth_first(tree, [row.leaf for row in rows]))}
    rows = sorted(rows, key=lambda row: order[row.leaf])
    if len(rows) == 1 or _unique_tokens(tree, [row.leaf for row in rows]) <= budget:
        return [rows]
    middle = len(rows) // 2
    return _halve(rows[:middle], tree, budget) + _halve(rows[middle:], tree, budget)
