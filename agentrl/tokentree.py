"""The token tree: every token of a group of episodes once, as the engine returned it.

One tree per group (the episodes of one task). It is an arena: a node is an index, holds only the ids
it adds, and points at its parent. One author per node, so the loss mask is one flag per node. What
the policy sampled is stored with the log-probabilities (of the sampling distribution, in nats),
entropies and weights version the engine gave.

    t = TokenTree()
    q = t.extend(ROOT, [5, 6, 7])                               # prompt, by the environment
    a = t.extend(q, [8, 2], sampled=Sampled(logprobs=[-.1, -.2]))  # a turn, by the policy
    o = t.extend(a, [9, 9])                                     # what the environment answered
    t.ids(o) == [5, 6, 7, 8, 2, 9, 9]

`graft` enters a whole sequence and shares the longest prefix that is already there; where it leaves
the middle of a node, the node is `split` and **the tail keeps the old id**, so that whoever holds an
id of a node still points at the same last token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

ROOT = -1
"""The parent of a tree's first nodes (several are allowed)."""


@dataclass
class Sampled:
    """What the engine told of the tokens of a policy node; lists run parallel to its ids."""

    logprobs: list[float]
    entropies: list[float] | None = None
    version: int = 0
    """Of the weights; of the first token where they changed in the middle."""
    versions: list[int] | None = None
    """Of each id, where the weights changed in the middle; None: all are of ``version``."""

    def cut(self, at: int) -> tuple[Sampled, Sampled]:
        """What belongs to the ids before ``at``, and to those from there on."""
        return self._part(slice(0, at)), self._part(slice(at, None))

    def _part(self, part: slice) -> Sampled:
        versions = self.versions and self.versions[part]
        entropies = self.entropies[part] if self.entropies else None
        return Sampled(self.logprobs[part], entropies, versions[0] if versions else self.version, versions)


@dataclass
class Node:
    """The ids that one author added after ``parent``."""

    parent: int
    ids: list[int]
    sampled: Sampled | None = None
    """None for nodes that the environment wrote."""
    start: int = 0
    """Position of the first id: the number of tokens on the path above."""
    children: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Position after the last id."""
        return self.start + len(self.ids)


class TokenTree:
    """An arena of `Node`; see the module docstring."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.roots: list[int] = []

    def __len__(self) -> int:
        return len(self.nodes)

    def extend(self, parent: int, ids: Sequence[int], *, sampled: Sampled | None = None) -> int:
        """Add a node after ``parent`` and return its id. Nothing is shared or merged.

        Raises:
            ValueError: no ids, or log-probabilities, entropies or versions that do not run parallel to them.
        """
        if not ids:
            raise ValueError("a node needs at least one id")
        if sampled is not None:
            if len(sampled.logprobs) != len(ids):
                raise ValueError(f"{len(ids)} sampled ids, but {len(sampled.logprobs)} log-probabilities")
            if sampled.entropies is not None and len(sampled.entropies) != len(ids):
                raise ValueError(f"{len(ids)} sampled ids, but {len(sampled.entropies)} entropies")
            if sampled.versions is not None and len(sampled.versions) != len(ids):
                raise ValueError(f"{len(ids)} sampled ids, but {len(sampled.versions)} versions")
        start = self.nodes[parent].end if parent != ROOT else 0
        self.nodes.append(Node(parent, list(ids), sampled, start))
        self._siblings(parent).append(len(self.nodes) - 1)
        return len(self.nodes) - 1

    def graft(self, ids: Sequence[int]) -> int:
        """Enter a whole sequence written by the environment; share its longest known prefix.

        Returns the node that ends with the sequence's last token. A sequence that is entirely known
        ends inside a node at most, which is then split.
        """
        if not ids:
            raise ValueError("cannot graft an empty sequence")
        at, node = 0, ROOT
        while at < len(ids):
            best, shared = ROOT, 0
            for child in self._siblings(node):
                n = _common(self.nodes[child].ids, ids, at)
                if n > shared:
                    best, shared = child, n
            if shared == 0:
                return self.extend(node, ids[at:])
            at += shared
            node = best if shared == len(self.nodes[best].ids) else self.split(best, shared)
        return node

    def split(self, node: int, at: int) -> int:
        """Cut a node before its ``at``-th id. The tail keeps the id ``node``; returns the new head's id."""
        tail = self.nodes[node]
        if not 0 < at < len(tail.ids):
            raise ValueError(f"cannot cut {len(tail.ids)} ids at {at}")
        head_sampled = None
        if (s := tail.sampled) is not None:
            head_sampled, tail.sampled = s.cut(at)
        self.nodes.append(Node(tail.parent, tail.ids[:at], head_sampled, tail.start, [node]))
        head = len(self.nodes) - 1
        siblings = self._siblings(tail.parent)
        siblings[siblings.index(node)] = head
        tail.parent, tail.ids, tail.start = head, tail.ids[at:], tail.start + at
        return head

    def path(self, node: int) -> list[int]:
        """Node ids from a root down to ``node``."""
        found = []
        while node != ROOT:
            found.append(node)
            node = self.nodes[node].parent
        return found[::-1]

    def between(self, above: int, node: int) -> list[int]:
        """Node ids below ``above`` (exclusive) down to ``node`` (inclusive)."""
        found = []
        while node != above:
            if node == ROOT:
                raise ValueError("the first node is not above the second")
            found.append(node)
            node = self.nodes[node].parent
        return found[::-1]

    def ids(self, node: int) -> list[int]:
        """All token ids from the root to the end of ``node``."""
        return [i for n in self.path(node) for i in self.nodes[n].ids]

    def depth_first(self) -> Iterator[int]:
        """Node ids in depth-first order, children in the order they were added."""
        stack = list(reversed(self.roots))
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(self.nodes[node].children))

    def _siblings(self, parent: int) -> list[int]:
        return self.roots if parent == ROOT else self.nodes[parent].children


def _common(known: Sequence[int], ids: Sequence[int], at: int) -> int:
    """How many ids of ``known`` equal those of ``ids`` from ``at`` on."""
    n = 0
    for a, b in zip(known, ids[at : at + len(known)], strict=False):
        if a != b:
            break
        n += 1
    return n
