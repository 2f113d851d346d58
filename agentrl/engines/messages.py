"""Messages as tokens: how an endpoint that takes and gives messages stands behind the seams of engine and renderer.

Each message is a number in a `MessageBook`, followed by fillers so that it is about as long as its text (four
characters a token; what the endpoint says is as long as it counts). So episodes, contexts, limits and the token tree
work as with any engine; only learning cannot, since there are no log-probabilities. For evaluation.

    book.open([user("hello there")])    ->  [1, 0, 0]
    engine.sample([1, 0, 0])            ->  [2, 0, 0, 0]       the reply, four tokens by the endpoint's count
    book.parse([2, 0, 0, 0])            ->  Parsed("General Kenobi")
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentrl.engines.base import Completion, Sampling, nothing
from agentrl.engines.openai import ChatClient, Reply
from agentrl.errors import EngineError
from agentrl.renderers.base import Message, Parsed
from agentrl.renderers.calls import THINK, read_call, read_hermes, split_reasoning
from agentrl.tool import ToolCall

FILLER = 0
UNLIMITED = 1 << 40
TOOLS = "tools"
"""The role of the pseudo-message that holds the tools offered."""


@dataclass(frozen=True)
class Entry:
    """A message and, where the endpoint said it, how it is read and what it took."""

    message: Message
    parsed: Parsed | None = None
    reply: Reply | None = None


class MessageBook:
    """The renderer: messages by number."""

    stop_ids: frozenset[int] = frozenset()

    def __init__(self, *, native_tools: bool = True) -> None:
        self.native_tools = native_tools
        self.entries: list[Entry] = [Entry({"role": "filler"})]
        self._number: dict[str, int] = {}

    def open(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]] = ()) -> list[int]:
        offered: list[Message] = [{"role": TOOLS, "tools": list(tools)}] if tools else []
        return [i for message in [*offered, *messages] for i in self._ids(message)]

    def observe(
        self, context: Sequence[int], messages: Sequence[Message], tools: Sequence[dict[str, Any]] = ()
    ) -> list[int]:
        return [i for message in messages for i in self._ids(message)]

    def parse(self, ids: Sequence[int]) -> Parsed:
        return self.entries[ids[0]].parsed or Parsed("")

    def answer(self, message: Message) -> list[int]:
        return self._ids(message)

    def take(self, reply: Reply) -> list[int]:
        """Enter what the endpoint said."""
        message, parsed = (self._native if self.native_tools else self._textual)(reply)
        self.entries.append(Entry(message, parsed, reply))
        return [len(self.entries) - 1, *[FILLER] * (reply.said - 1)]

    def request(self, ids: Sequence[int]) -> tuple[list[Message], list[dict[str, Any]]]:
        """The messages of a prompt as the endpoint wants them, and the tools."""
        found = [self.entries[i].message for i in ids if i != FILLER]
        tools = found[0]["tools"] if found and found[0]["role"] == TOOLS else []
        messages = found[1:] if tools else found
        if self.native_tools:
            return as_native(messages), tools
        return as_text(messages, tools), []

    def _ids(self, message: Message) -> list[int]:
        key = json.dumps(message, sort_keys=True)
        if key not in self._number:
            self._number[key] = len(self.entries)
            self.entries.append(Entry(message))
        size = len(key if message["role"] == TOOLS else str(message.get("content") or ""))
        return [self._number[key], *[FILLER] * (size // 4)]

    def _native(self, reply: Reply) -> tuple[Message, Parsed]:
        reasoning, text = _thought(reply)
        read = [read_call(json.dumps({"name": c["name"], "arguments": c["arguments"]})) for c in reply.calls]
        if errors := [
            one for one in read if isinstance(one, str)
        ]:  # not sent back as calls: endpoints would refuse them
            told = "\n".join(f"{c['name']}({c['arguments']})" for c in reply.calls)
            return {"role": "assistant", "content": f"{text}\n{told}".strip()}, Parsed(text, reasoning, (), errors[0])
        message: Message = {"role": "assistant", "content": text}
        if reply.calls:
            message["tool_calls"] = [
                {
                    "id": c["id"],
                    "type": "function",
                    "function": {"name": c["name"], "arguments": c["arguments"] or "{}"},
                }
                for c in reply.calls
            ]
        return message, Parsed(text, reasoning, tuple(one for one in read if isinstance(one, ToolCall)))

    def _textual(self, reply: Reply) -> tuple[Message, Parsed]:
        reasoning, text = _thought(reply)
        rest, calls, errors = read_hermes(text)
        message: Message = {"role": "assistant", "content": text}
        return message, Parsed(rest.strip(), reasoning, () if errors else tuple(calls), errors[0] if errors else "")


class MessageEngine:
    """The engine: asks the endpoint.

    Args:
        client: The endpoint.
        book: The renderer of the same rollout.
        max_context: Most tokens of a prompt and its reply by the book's estimate; none: the endpoint's own limit.
    """

    exact_entropy = False
    working = staticmethod(nothing)

    def __init__(self, client: ChatClient, book: MessageBook, *, max_context: int | None = None) -> None:
        self.client, self.book = client, book
        self.max_context = max_context or UNLIMITED
        self.vocabulary = UNLIMITED

    async def sample(self, ids: Sequence[int], sampling: Sampling) -> Completion:
        """Ask for the next message.

        Raises:
            EngineError, ConfigError, ContextOverflow: see `agentrl.engines.openai`.
        """
        messages, tools = self.book.request(ids)
        reply = await self.client.complete(messages, tools, sampling)
        said = self.book.take(reply)
        return Completion(said, [0.0] * len(said), None, reply.finish, 0)

    def load(self, weights: Any, version: int) -> None:
        """An endpoint keeps its weights."""
        raise EngineError("An endpoint is for evaluation: its weights cannot be changed from here.")

    def rest(self) -> None:
        """Nothing is held on this machine."""

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()


def as_native(messages: Sequence[Message]) -> list[Message]:
    """Give each result the id of its call, and each call a result, as endpoints demand.

    Environments answer several calls with one text: it goes to the first call. A result without a call is the user's.
    """
    out: list[Message] = []
    open_calls: list[str] = []

    def close() -> None:
        for name in open_calls:
            out.append({"role": "tool", "tool_call_id": name, "content": "(see the result above)"})
        open_calls.clear()

    for message in messages:
        if message["role"] == "tool" and open_calls:
            out.append({"role": "tool", "tool_call_id": open_calls.pop(0), "content": message["content"]})
            continue
        close()
        if message["role"] == "tool":
            out.append({"role": "user", "content": message["content"]})
        else:
            out.append(message)
            open_calls += [call["id"] for call in message.get("tool_calls", ())]
    close()
    return out


def as_text(messages: Sequence[Message], tools: Sequence[dict[str, Any]]) -> list[Message]:
    """Describe the tools in the system message, and give results as the user's, in the form of Hermes."""
    out = [
        {"role": "user", "content": f"<tool_response>\n{m['content']}\n</tool_response>"} if m["role"] == "tool" else m
        for m in messages
    ]
    if not tools:
        return out
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    told = (
        "# Tools\n\nYou may call one or more functions. Their signatures:\n<tools>\n" + listed + "\n</tools>\n\n"
        "For each function call, write a JSON object with the function's name and arguments within tags:\n"
        '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
    )
    if out and out[0]["role"] == "system":
        return [{"role": "system", "content": f"{out[0]['content']}\n\n{told}"}, *out[1:]]
    return [{"role": "system", "content": told}, *out]


def _thought(reply: Reply) -> tuple[str, str]:
    """Reasoning and text, whether the endpoint takes them apart or not."""
    if reply.reasoning or not reply.text.lstrip().startswith(THINK):
        return reply.reasoning, reply.text
    reasoning, rest, _ = split_reasoning(reply.text, opened=False)
    return reasoning, rest
