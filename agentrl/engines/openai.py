"""A client of OpenAI-compatible endpoints (vLLM, SGLang, llama.cpp, OpenAI, OpenRouter, ...), for evaluation.

What may pass is tried again: no connection, a reply that is late, cut off, not JSON, without choices or from another
model, and the statuses 408, 409, 425, 429 and 5xx; after the time that ``Retry-After`` asks for, else after 0.5, 1, 2,
... seconds with jitter. A 429 holds back all other requests too. What can never pass (a wrong key, an unknown model,
no quota) is a `ConfigError`, kept in `ChatClient.fatal`. A prompt that is too long is a `ContextOverflow`. Everything
else is an `EngineError`: an episode that it hits broke outside the policy and is not scored.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from agentrl.engines.base import Sampling
from agentrl.engines.pace import Pace, retry_after
from agentrl.errors import AgentRLError, ConfigError, ContextOverflow, EngineError, MissingExtra
from agentrl.sections import Section

RETRIED = frozenset({408, 409, 425, 429})
LONGEST_PAUSE = 60.0
"""Seconds between two tries where the endpoint does not ask for more."""
DATED = re.compile(r"[-@:](\d{4}-?\d{2}-?\d{2}|\d{4}|latest)$")


class EndpointSettings(Section):
    """An OpenAI-compatible endpoint, where the model is a URL (http://127.0.0.1:8000/v1)."""

    served: str | None = None
    """The model to ask for; none: the only one that the endpoint lists."""
    accept: tuple[str, ...] = ()
    """Other names that replies may carry; a reply from a model of another name is refused."""
    key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; without it none is sent."""
    tools: Literal["native", "text"] = "native"
    """Whether the endpoint takes tools itself, or they are described in the prompt and calls read from the text."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further fields of each request, as JSON; null takes a field away."""
    rpm: float | None = Field(None, gt=0)
    """Most requests a minute."""
    tpm: float | None = Field(None, gt=0)
    """Most tokens a minute, prompts and replies together."""
    tries: int = Field(8, ge=1)
    """Most tries of a request."""
    request_deadline: float = Field(300.0, gt=0)
    """Seconds that one try may take."""
    price_in: float = Field(0.0, ge=0)
    """US dollars for a million tokens of prompts."""
    price_out: float = Field(0.0, ge=0)
    """US dollars for a million tokens of replies."""


@dataclass(frozen=True)
class Reply:
    """What the endpoint answered."""

    text: str
    reasoning: str
    calls: tuple[dict[str, str], ...]
    """``id``, ``name`` and ``arguments`` (as text, which may not be JSON) of each call."""
    finish: Literal["stop", "length"]
    read: int
    """Tokens of the prompt; estimated where the endpoint does not say."""
    said: int
    """Tokens of the reply."""
    cost: float
    """US dollars."""


class _Again(Exception):
    """Worth another try."""

    def __init__(self, why: str, *, after: float | None = None, everyone: bool = False) -> None:
        super().__init__(why)
        self.after, self.everyone = after, everyone


class ChatClient:
    """See the module docstring.

    Args:
        url: The base, which ``/chat/completions`` follows.
        settings: See `EndpointSettings`.
        connections: Most requests at once.

    Raises:
        MissingExtra: httpx is not installed.
    """

    def __init__(self, url: str, settings: EndpointSettings, *, connections: int = 128) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtra("httpx", "eval") from None
        key = os.environ.get(settings.key_env)
        self.url, self.settings, self.model = url.rstrip("/"), settings, settings.served or ""
        self.fatal: AgentRLError | None = None
        self.retries = 0
        """Tries that were not the first."""
        self.pace = Pace(settings.rpm, settings.tpm)
        self._broken: type[Exception] = httpx.HTTPError
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=settings.request_deadline,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def models(self) -> list[str]:
        """The models that the endpoint lists.

        Raises:
            ConfigError: it cannot be reached, or does not list any.
        """
        try:
            answer = await self._client.get(f"{self.url}/models")
            return [str(one["id"]) for one in answer.raise_for_status().json()["data"]]
        except (self._broken, ValueError, KeyError, TypeError) as error:
            told = str(error) or type(error).__name__
            raise ConfigError(
                f"'{self.url}' does not list its models ({told}). Check the address (it usually ends in /v1) and the "
                f"key in ${self.settings.key_env}, or name the model with --endpoint.served."
            ) from None

    async def start(self) -> None:
        """Find out which model to ask for.

        Raises:
            ConfigError: the endpoint lists none or several, and none was named.
        """
        if self.model:
            return
        listed = await self.models()
        if len(listed) != 1:
            raise ConfigError(f"'{self.url}' serves {', '.join(listed) or 'nothing'}: name one with --endpoint.served.")
        (self.model,) = listed

    async def complete(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]], sampling: Sampling
    ) -> Reply:
        """Ask for the next message.

        Raises:
            EngineError, ConfigError, ContextOverflow: see the module docstring.
        """
        body = self._body(messages, tools, sampling)
        why = ""
        for attempt in range(self.settings.tries):
            self.retries += attempt > 0
            await self.pace.wait()
            if self.fatal:
                raise self.fatal
            try:
                return await self._once(body)
            except _Again as again:
                why = str(again)
                pause = min(LONGEST_PAUSE, 0.5 * 2**attempt) * random.uniform(0.5, 1.0)
                pause = pause if again.after is None else again.after
                if again.everyone:
                    self.pace.hold(pause)
                if attempt + 1 < self.settings.tries:
                    await asyncio.sleep(pause)
            except ConfigError as error:
                self.fatal = error
                raise
        raise EngineError(f"{self.url} gave no usable reply in {self.settings.tries} tries; the last time: {why}")

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def _body(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]], sampling: Sampling
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(messages),
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed % 2**31,
        }
        if tools:
            body["tools"] = list(tools)
        return {key: value for key, value in (body | self.settings.extra).items() if value is not None}

    async def _once(self, body: dict[str, Any]) -> Reply:
        try:
            async with asyncio.timeout(self.settings.request_deadline):
                answer = await self._client.post(f"{self.url}/chat/completions", json=body)
        except TimeoutError:
            raise _Again(f"no reply within {self.settings.request_deadline:g} s") from None
        except self._broken as error:
            raise _Again(f"{type(error).__name__}: {error}") from error
        if answer.status_code != 200:
            raise self._refusal(answer.status_code, answer.text, answer.headers)
        try:
            reply = self._read(answer.json())
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise _Again(f"a malformed reply ({type(error).__name__}: {error})") from error
        self.pace.spend(reply.read + reply.said)
        return reply

    def _refusal(self, status: int, text: str, headers: Any) -> Exception:
        """The exception for a status that is not 200."""
        told = f"status {status}: {' '.join(text.split())[:300]}"
        low = text.lower()
        if status == 429 and "insufficient_quota" in low:
            return ConfigError(f"{self.url}: no quota is left ({told}).")
        if status in RETRIED or status >= 500:
            return _Again(told, after=retry_after(headers), everyone=status in (429, 503))
        if status in (401, 403):
            return ConfigError(f"{self.url} does not take the key in ${self.settings.key_env} ({told}).")
        if status == 404:
            return ConfigError(f"{self.url} has no model '{self.model}', or is no such endpoint ({told}).")
        if status in (400, 413, 422) and ("context_length" in low or "context length" in low or "too long" in low):
            return ContextOverflow(f"the prompt is too long for '{self.model}' ({told}).")
        return EngineError(f"{self.url} refuses the request ({told}).")

    def _read(self, answer: dict[str, Any]) -> Reply:
        """Take a reply apart; whatever is not as it should be raises."""
        if error := answer.get("error"):
            raise _Again(f"an error with status 200: {json.dumps(error)[:300]}")
        if not self._is_asked(str(answer.get("model") or self.model)):
            raise _Again(
                f"'{answer['model']}' answered, not '{self.model}' (accept it with --endpoint.accept {answer['model']})"
            )
        if not answer["choices"]:
            raise _Again("a reply without choices")
        choice = answer["choices"][0]
        if choice.get("finish_reason") == "content_filter":
            raise EngineError(f"{self.url} withheld the reply (content_filter).")
        message = choice["message"]
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part["text"] for part in content if part.get("type") == "text")
        text = content or message.get("refusal") or ""
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        if not isinstance(text, str) or not isinstance(reasoning, str):
            raise TypeError("the content is no text")
        calls = tuple(_call(call, n) for n, call in enumerate(message.get("tool_calls") or ()))
        usage = answer.get("usage") or {}
        written = len(text) + len(reasoning) + sum(len(c["name"]) + len(c["arguments"]) for c in calls)
        read, said = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or -(-written // 4))
        cost = usage.get("cost")
        if cost is None:
            cost = (read * self.settings.price_in + said * self.settings.price_out) / 1e6
        finish: Literal["stop", "length"] = "length" if choice.get("finish_reason") == "length" else "stop"
        return Reply(text, reasoning, calls, finish, read, max(1, said), float(cost))

    def _is_asked(self, name: str) -> bool:
        """Whether a reply's model is the one asked for; dates and owners' names may be added or left out.

        ``gpt-x`` is answered by ``gpt-x-2026-08-06`` and ``owner/gpt-x``.
        """

        def plain(one: str) -> str:
            return DATED.sub("", one.rstrip("/").rpartition("/")[2]).lower()

        return name in self.settings.accept or plain(name) == plain(self.model)


def _call(call: dict[str, Any], number: int) -> dict[str, str]:
    function = call["function"]
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments or {})
    if not isinstance(function["name"], str):
        raise TypeError("a call without a name")
    return {"id": str(call.get("id") or f"call_{number}"), "name": function["name"], "arguments": arguments}
