"""Prompt contracts: how the policy is told what to do, what it reads, and how it writes searches and answers.

plain       short tags: <search>Ada Kemp</search>, <answer>Cedar Bay</answer>, <information>...</information>
functions   calls of the tool ``search``; anything else that is said is the answer
search-r1   the published contract of Search-R1 (arXiv 2503.09516), to the letter: its template, its form of
            results, its correction of what is no action; three passages a search, four turns
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentrl.envs.search.expert import Move
from agentrl.envs.search.retrievers import Hit
from agentrl.tags import Action, Tags
from agentrl.tool import ToolCall, encode_calls

NOTHING = "Nothing was found."
TEMPLATE = (
    "Answer the given question. You must conduct reasoning inside <think> and </think> first every time you get new "
    "information. After reasoning, if you find you lack some knowledge, you can call a search engine by <search> query "
    "</search> and it will return the top searched results between <information> and </information>. You can search as "
    "many times as your want. If you find no further external knowledge needed, you can directly provide the answer "
    "inside <answer> and </answer>, without detailed illustrations. For example, <answer> Beijing </answer>. "
    "Question: {question}\n"
)
INVALID = (
    "\nMy previous action is invalid. If I want to search, I should put the query between <search> and </search>. If I "
    "want to give the final answer, I should put the answer between <answer> and </answer>. Let me try again.\n"
)


@dataclass(frozen=True)
class SearchR1Tags(Tags):
    """The tags as Search-R1 reads and shows them."""

    def read(self, text: str) -> Action:
        """The action of a reply. It is invalid with both kinds of tags or a repeated one, reasoning included."""
        opened = [name for name in ("search", "answer") for _ in range(text.count(f"<{name}>"))]
        if len(opened) != 1:
            return Action(problem=INVALID)
        start = text.index(f"<{opened[0]}>") + len(opened[0]) + 2
        end = text.find(f"</{opened[0]}>", start)
        content = text[start:end].strip() if end >= 0 else ""
        if not content:
            return Action(problem=INVALID)
        return Action("search" if opened[0] == "search" else "", content)

    def show(self, result: str) -> str:
        return f"\n\n{super().show(result.strip())}\n\n"


@dataclass(frozen=True)
class Contract:
    """How a policy and the environment speak to each other."""

    instructions: str
    """The system message."""
    first: str
    """The first observation; ``{question}`` is put in."""
    tags: Tags | None
    """None for function calls."""
    reasons: bool = False
    """Whether replies hold their reasoning."""
    topk: int | None = None
    """Passages that a search returns; None where the contract does not say."""
    max_turns: int | None = None
    """Turn limit; None where the contract does not say."""

    def results(self, hits: Sequence[Hit], chars: int | None) -> str:
        """What a search found, each text cut to ``chars`` characters."""
        if self.reasons:
            return "".join(
                f'Doc {n}(Title: "{h.passage.title}") {h.passage.text[:chars]}\n' for n, h in enumerate(hits, 1)
            )
        return "\n".join(f"({h.passage.title}) {h.passage.text[:chars]}" for h in hits) or NOTHING

    def write(self, move: Move) -> str:
        """A move as a policy writes it."""
        if self.tags is None:
            return encode_calls([ToolCall("search", {"query": move.text})]) if move.is_search else move.text
        name = "search" if move.is_search else "answer"
        if not self.reasons:
            return f"<{name}>{move.text}</{name}>"
        thought = f"I need to look up {move.text}." if move.is_search else "I know what I need."
        return f"<think>{thought}</think><{name}> {move.text} </{name}>"


CONTRACTS: dict[str, Contract] = {
    "plain": Contract(
        "Answer the question. Search as often as needed: <search>words</search>. Then answer: <answer>words</answer>.",
        "{question}",
        Tags({"search": "search"}),
    ),
    "functions": Contract(
        "Answer the question. Call search as often as needed. Then write the answer alone, in few words.",
        "{question}",
        None,
    ),
    "search-r1": Contract("", TEMPLATE, SearchR1Tags({"search": "search"}), reasons=True, topk=3, max_turns=4),
}
"""By the setting ``prompt``."""
