r"""Prompt contracts: how the policy is told what to do, what it reads, and how it writes calls and answers.

plain      short tags: <search>Ada Kemp</search>, <python>1901 - 1873</python>, <result>28</result>, <answer>28</answer>
functions  calls of the tools ``search`` and ``python``; anything else that is said is the answer
arpo       ARPO's and AEPO's (arXiv 2507.19849, 2510.14545): <think>, <search>, <python>, <result>, <answer> with a
           \boxed{}; ten results of 1,000 characters, six calls (deep search; 3 for reasoning), a reply without a call
           is the last one
tapo       TAPO's (arXiv 2510.07038): <think>, <search>, <code>, <response>, <answer>; one passage, 30 s for code, only
           what is printed is shown, four turns and a last one without tools

In the last two every piece of code starts from nothing, the whole response is judged, and replies keep their thoughts.
Tags and results are as published; what the policy is told is in words of our own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentrl.envs.search.prompts import CONTRACTS as SEARCH_CONTRACTS
from agentrl.envs.search.retrievers import Hit
from agentrl.envs.tools.expert import Move
from agentrl.envs.tools.tasks import Task
from agentrl.rewards.arpo import boxed
from agentrl.sandboxes import ExecResult
from agentrl.tags import Action, Tags
from agentrl.tool import ToolCall, encode_calls

NOTHING_FOUND = "Sorry, I cannot find any relevant information."
"""TAPO's, for a search without results."""
NOTHING_PRINTED = "Warning: the code printed nothing. Use print() to show its result."
"""TAPO's warning, in our words."""
INVALID = (
    "\nMy previous action is invalid. To search, I should put a query between <search> and </search>; to run code, "
    "Python between <code> and </code>; to finish, the answer between <answer> and </answer>. Let me try again.\n"
)
RESULT_CHARS = 8192
"""Longest result in TAPO's contract, which has 2048 tokens."""

ARPO_INSTRUCTIONS = r"""You solve questions step by step. Two tools help you: a search engine and a Python interpreter.
Think first, inside <think> and </think>. When you miss a fact, search for it: <search> what to look for </search>. When
something has to be computed, run code: <python> code </python>. What a tool finds follows between <result> and
</result>; then think again, and use the tools again if you have to. At the end write the answer, its exact value in a
box: <answer> The answer is \[ \boxed{value} \] </answer>. In short: <think> ... </think> <search> ... </search>
<result> ... </result> <think> ... </think> <python> ... </python> <result> ... </result> <think> ... </think>
<answer> \[ \boxed{...} \] </answer>."""

TAPO_TEMPLATE = """Answer the question below. Follow these rules:
1. Reason inside <think> and </think> before everything else that you do, and again after each response.
2. To look up facts, write a query inside <search> and </search>. What is found comes back inside <response> and
</response>.
3. To calculate, write Python inside <code> and </code>. What it prints comes back inside <response> and </response>.
4. When you know the answer, write it inside <answer> and </answer>, with nothing else in it and nothing after it.
For example, for the question "How many people live on a square kilometre of Singapore?":
<think> I need the population and the area. </think> <search> population and area of Singapore </search>
<response> 5,917,600 people live on 735.2 square kilometres. </response>
<think> Now I divide. </think> <code> print(5917600 / 735.2) </code> <response> 8048.966267682263 </response>
<think> That is about 8049. </think> <answer> 8049 </answer>
Question: {question}
"""


@dataclass(frozen=True)
class WholeTags(Tags):
    """Tags of contracts in which the whole response is judged: no result can look like an act of the policy."""

    before: str = ""
    """What a result begins with."""
    after: str = ""
    """What a result ends with."""
    problem: str = ""
    """What is said about a reply that is no action; empty: what is wrong with it."""

    def read(self, text: str) -> Action:
        action = super().read(text)
        return action._replace(problem=self.problem) if action.problem and self.problem else action

    def show(self, result: str) -> str:
        names = "|".join(map(re.escape, ("think", self.answer, self.result, *self.tools)))
        quiet = re.sub(rf"<(/?(?:{names}))>", r"< \1>", result)
        return f"{self.before}{quiet}{self.after}"


@dataclass(frozen=True)
class Contract:
    """How a policy and the environment speak to each other."""

    instructions: str
    """The system message."""
    tags: Tags | None
    """None for function calls."""
    first: str = "{question}"
    """The first observation."""
    reward: str = "em"
    """Which reward is paid unless another is asked for."""
    whole: bool = False
    """Whether all replies with their thoughts, and all results, are judged in the end; code starts from nothing."""
    lone: bool = False
    """Whether a reply without a call is the last one."""
    prints: bool = False
    """Whether only what code prints is shown."""
    topk: int | None = None
    """Passages that a search returns; None: the level's."""
    passage_chars: int | None = None
    """Most characters of a passage."""
    max_output: int = 2000
    """Most characters that code shows."""
    timeout_s: float = 5.0
    """Seconds that code may take."""
    max_calls: int | None = None
    """Calls that are carried out; None: as many as there are turns."""
    max_turns: int | None = None
    """Turn limit; None: the level's."""

    def results(self, hits: Sequence[Hit], chars: int | None) -> str:
        """What a search found, each text cut to ``chars`` characters."""
        if self.prints:
            found = SEARCH_CONTRACTS["search-r1"].results(hits, chars).strip()
            return found[:RESULT_CHARS] or NOTHING_FOUND
        return SEARCH_CONTRACTS["plain"].results(hits, chars)

    def ran(self, result: ExecResult, chars: int) -> str:
        """What is shown of a run."""
        silent = self.prints and result.status == "ok" and not result.stdout.strip() and not result.stderr.strip()
        return NOTHING_PRINTED if silent else result.to_observation(chars)

    def content(self, answer: str) -> str:
        """What an answer says: with a box, what stands in it."""
        inside = boxed(answer) if self.lone else None
        return answer if inside is None else inside

    def adapted(self, task: Task) -> Task:
        """The task with code as this contract wants it."""
        if not self.prints or task.computing is None:
            return task
        one = task.computing
        slips = tuple(map(printed, one.slips))
        computing = replace(one, code=printed(one.code), look=printed(one.look), slips=slips)
        return task._replace(computing=computing)

    def write(self, move: Move) -> str:
        """A move as a policy writes it."""
        text = printed(move.text) if self.prints and move.tool == "python" else move.text
        if self.tags is None:
            argument = {"search": "query", "python": "code"}.get(move.tool, "")
            return encode_calls([ToolCall(move.tool, {argument: text})]) if argument else text
        name = next((tag for tag, tool in self.tags.tools.items() if tool == move.tool), self.tags.answer)
        if self.lone and not move.tool:
            text = f"\\boxed{{{text}}}"
        thought = f"<think>{THOUGHTS[move.tool]}</think>" if self.whole else ""
        return f"{thought}<{name}>{text}</{name}>"


THOUGHTS = {"search": "I have to look this up.", "python": "I have to compute this.", "": "Now I know the answer."}
"""What a demonstrator thinks, by the tool that it uses."""
_BOTH = {"search": "search", "python": "python"}

CONTRACTS: dict[str, Contract] = {
    "plain": Contract(
        "Answer the question. Look up: <search>words</search>. Compute: <python>code</python>. "
        "Then answer: <answer>words</answer>.",
        Tags(_BOTH, result="result"),
    ),
    "functions": Contract(
        "Answer the question. Look facts up with the tool search, compute with the tool python; its names stay for the "
        "next call. Then write the answer alone: a number or a few words.",
        None,
    ),
    "arpo": Contract(
        ARPO_INSTRUCTIONS.replace("\n", " "),
        WholeTags(_BOTH, result="result", before=" <result>\n", after="\n</result>"),
        reward="arpo",
        whole=True,
        lone=True,
        topk=10,
        passage_chars=1000,
        max_calls=6,
        max_turns=7,
    ),
    "tapo": Contract(
        "",
        WholeTags(
            {"search": "search", "code": "python"},
            result="response",
            before="\n\n<response>",
            after="</response>\n\n",
            problem=INVALID,
        ),
        first=TAPO_TEMPLATE,
        reward="tapo",
        whole=True,
        prints=True,
        topk=1,
        max_output=RESULT_CHARS,
        timeout_s=30.0,
        max_calls=4,
        max_turns=5,
    ),
}
"""By the setting ``prompt``."""


def printed(code: str) -> str:
    """Code whose last value is printed.

    >>> printed("a = 6\\na * 7"), printed("print(42)")
    ('a = 6\\nprint(a * 7)', 'print(42)')
    """
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code
    last = body[-1].value if body and isinstance(body[-1], ast.Expr) else None
    if last is None or (isinstance(last, ast.Call) and isinstance(last.func, ast.Name) and last.func.id == "print"):
        return code
    lines = code.splitlines()
    before = lines[last.lineno - 1].encode()[: last.col_offset].decode()
    return "\n".join([*lines[: last.lineno - 1], f"{before}print({ast.unparse(last)})"])
