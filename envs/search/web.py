"""Searching the web through an API: Serper, Brave, Tavily, or a SearXNG server of one's own.

A result's title, address and excerpt make a `Passage` (the address is its id). Keys come from the environment.
Results are kept (`agentrl.envs.search.cache`), so that a run can be repeated; `Web.usage` counts what was spent.
"""

from __future__ import annotations

import html
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from agentrl.envs.search.cache import ResultCache
from agentrl.envs.search.fetching import Fetcher
from agentrl.envs.search.folders import cache_root
from agentrl.envs.search.passages import Passage
from agentrl.envs.search.retrievers import Hit, RetrieverError
from agentrl.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    import httpx

MODES = ("read_write", "offline", "off")

Request = dict[str, Any]


@dataclass(frozen=True)
class Provider:
    """How an API is asked and what it answers."""

    url: str
    """Where to; empty where the user gives it."""
    key: str | None
    """Environment variable of its key."""
    method: str
    """``GET`` or ``POST``."""
    request: Callable[[str, int, str], Request]
    """Query, number of results and key -> ``headers``, ``json`` and ``params``."""
    results: Callable[[Mapping[str, Any]], list[Any]]
    """Its answer -> its results; KeyError and TypeError where they are missing."""
    fields: tuple[str, str, str]
    """Where a result has its title, address and excerpt."""
    most: int
    """Most results of a request."""
    chars: int
    """Longest query that it takes."""
    words: int = 10_000
    """Most words of a query."""
    cure: str = "See the provider's page for the state of the service, and of your plan."
    """What to do about an error."""


def _serper_results(answer: Mapping[str, Any]) -> list[Any]:
    """The answer box, where there is one, and the pages."""
    box = answer.get("answerBox")
    found = list(answer["organic"]) if "organic" in answer else _none(answer, "searchParameters")
    if isinstance(box, Mapping) and (text := box.get("snippet") or box.get("answer")):
        found.insert(0, {"title": box.get("title", ""), "link": box.get("link", "answer box"), "snippet": text})
    return found


PROVIDERS: dict[str, Provider] = {
    "serper": Provider(
        url="https://google.serper.dev/search",
        key="SERPER_API_KEY",
        method="POST",
        request=lambda q, n, key: {"json": {"q": q, "num": n}, "headers": {"X-API-KEY": key}},
        results=_serper_results,
        fields=("title", "link", "snippet"),
        most=100,
        chars=2048,
    ),
    "brave": Provider(
        url="https://api.search.brave.com/res/v1/web/search",
        key="BRAVE_API_KEY",
        method="GET",
        request=lambda q, n, key: {
            "params": {"q": q, "count": n},
            "headers": {"X-Subscription-Token": key, "Accept": "application/json"},
        },
        results=lambda answer: list(answer["web"]["results"]) if "web" in answer else _none(answer, "query"),
        fields=("title", "url", "description"),
        most=20,
        chars=400,
        words=50,
    ),
    "tavily": Provider(
        url="https://api.tavily.com/search",
        key="TAVILY_API_KEY",
        method="POST",
        request=lambda q, n, key: {
            "json": {"query": q, "max_results": n},
            "headers": {"Authorization": f"Bearer {key}"},
        },
        results=lambda answer: list(answer["results"]),
        fields=("title", "url", "content"),
        most=20,
        chars=400,
    ),
    "searxng": Provider(
        url="",
        key=None,
        method="GET",
        request=lambda q, n, key: {"params": {"q": q, "format": "json"}},
        results=lambda answer: list(answer["results"]),
        fields=("title", "url", "content"),
        most=20,
        chars=2048,
        cure="Status 403 means that its settings.yml does not list 'json' under search.formats.",
    ),
}


def _none(answer: Mapping[str, Any], sign: str) -> list[Any]:
    """No results, if the answer has the key that tells it from nonsense."""
    answer[sign]
    return []


class Web:
    """Searches the web. Safe to share by threads; the cache also by processes.

    Args:
        provider: A key of `PROVIDERS`.
        url: Of one's own SearXNG server; empty for the others.
        results: Results asked for; a search for fewer reads the same kept result.
        cache: File of the kept results; None is ``~/.cache/agentrl/search/web.sqlite``.
        cache_mode: ``read_write``; ``offline``: what is not kept is a `RetrieverError`, and no key is needed; ``off``.
        price: Cost of a query that is answered, in any currency.
        timeout: Seconds to wait for a connection, and for each piece of an answer.
        deadline: Seconds for a search, further tries included.
        retries: Tries after the first, when the connection fails or the server says "later".
        transport: How requests are sent; None is the network.

    Raises:
        ConfigError: the key is not in the environment, or a setting is wrong.
        MissingExtra: httpx is not installed.
    """

    def __init__(
        self,
        provider: str,
        url: str = "",
        *,
        results: int = 10,
        cache: str | Path | None = None,
        cache_mode: str = "read_write",
        price: float = 0.0,
        timeout: float = 10.0,
        deadline: float = 30.0,
        retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if cache_mode not in MODES:
            raise UnknownName("mode of the cache", cache_mode, MODES)
        if provider not in PROVIDERS:
            raise UnknownName("search API", provider, PROVIDERS)
        self._api = PROVIDERS[provider]
        if not 1 <= results <= self._api.most:
            raise ConfigError(f"results={results}: {provider} gives 1 to {self._api.most} results.")
        self.name = f"{provider}:{url}" if url else provider
        self._url = self._api.url or _searxng(url)
        self._key = "" if cache_mode == "offline" else _key(self._api.key, provider)
        self._results, self._price, self._mode = results, price, cache_mode
        self._cache = ResultCache(Path(cache).expanduser() if cache else cache_root(None) / "web.sqlite")
        self._fetcher = Fetcher(
            provider, self._api.cure, timeout=timeout, deadline=deadline, retries=retries, transport=transport
        )
        self._lock = threading.Lock()
        self._asking: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._usage = {"queries": 0, "cached": 0, "requests": 0, "cost": 0.0}

    @property
    def usage(self) -> dict[str, float]:
        """Totals of this object: ``queries`` searched for, those that were ``cached``, ``requests`` that were
        answered, and their ``cost``."""
        with self._lock:
            return dict(self._usage)

    def search(self, query: str, k: int) -> list[Hit]:
        """The best results, best first, at most ``k`` and at most `results`; the score is 1 over the rank.

        Raises:
            RetrieverError: the service is down, slow, refuses, or answers nonsense; offline: the query is not kept.
        """
        query = self._cut(query)
        if not query or k < 1:
            return []
        request = {"url": self._url, "query": query, "results": self._results}
        with self._lock:
            alone = self._asking.setdefault(query, threading.Lock())
        with alone:  # an equal query of another thread waits, and finds the result kept
            rows = self._kept(request) if self._mode != "off" else None
            if rows is None:
                rows = self._ask(query)
                if self._mode == "read_write":
                    self._cache.put(request, rows)
        return [Hit(Passage(link, title, text), 1 / rank) for rank, (title, link, text) in enumerate(rows[:k], 1)]

    def _cut(self, query: str) -> str:
        """What the API takes of a query: printable, on one line, not too long."""
        clean = "".join(c if c.isprintable() else " " for c in query[: 4 * self._api.chars])
        words = clean.encode("utf-8", "replace").decode().split()[: self._api.words]
        return " ".join(words)[: self._api.chars].strip()

    def _kept(self, request: dict[str, Any]) -> list[tuple[str, str, str]] | None:
        kept = self._cache.get(request)
        if kept is None and self._mode == "offline":
            raise RetrieverError(
                f"The query '{request['query'][:80]}' is not in the cache {self._cache.file}, and cache_mode=offline "
                f"asks nobody. Record it first with cache_mode=read_write (retriever {self.name}, "
                f"results={self._results})."
            )
        self._count(queries=1, cached=int(kept is not None))
        return kept

    def _ask(self, query: str) -> list[tuple[str, str, str]]:
        if self._mode == "off":
            self._count(queries=1)
        request = self._api.request(query, self._results, self._key)
        answer = self._fetcher.fetch(self._api.method, self._url, **request)
        self._count(requests=1, cost=self._price)
        try:
            return [self._row(item) for item in self._api.results(answer)[: self._results]]
        except (KeyError, TypeError, AttributeError) as error:
            shown = str(answer)[:200]
            fault = f"its answer is of another shape ({type(error).__name__}: {error}): {shown}"
            raise self._fetcher.error(self._url, fault) from error

    def _row(self, item: Mapping[str, Any]) -> tuple[str, str, str]:
        """Title, address and excerpt of a result, without markup; a result need not have an excerpt."""
        title, link, text = (item.get(field) or "" for field in self._api.fields)
        if not (isinstance(title, str) and isinstance(link, str) and isinstance(text, str) and link):
            raise TypeError(f"a result without {' and '.join(self._api.fields)} as text")
        return plain(title), link, plain(text)

    def _count(self, **more: float) -> None:
        with self._lock:
            for name, number in more.items():
                self._usage[name] += number

    def close(self) -> None:
        """Close connections and the cache."""
        self._fetcher.close()
        self._cache.close()


def plain(text: str) -> str:
    """Text without the tags and entities that some APIs mark the words of the query with.

    >>> plain("The <strong>Half-Way</strong> Girl &amp; others, 3 < 4")
    'The Half-Way Girl & others, 3 < 4'
    """
    without = html.unescape(re.sub(r"</?[a-zA-Z][^<>]*>", "", text))
    return " ".join(without.encode("utf-8", "replace").decode().split())


def _key(variable: str | None, provider: str) -> str:
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not key:
        raise ConfigError(
            f"The retriever '{provider}' needs a key: set the environment variable {variable}. A run whose searches "
            "were kept before needs none with cache_mode=offline."
        )
    if not key.isascii() or not key.isprintable():
        raise ConfigError(f"The environment variable {variable} holds characters that no key has.")
    return key


def _searxng(url: str) -> str:
    if not re.match(r"https?://[^/]", url):
        raise ConfigError(f"Write the retriever as 'searxng:http://HOST:PORT', not 'searxng:{url}'.")
    return url.rstrip("/").removesuffix("/search") + "/search"
