"""Web search APIs: the published shapes of their answers, keys, the cache and what was spent.

The answers below are written by hand after the providers' documentation, abridged.
"""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentrl.envs.search import fetching
from agentrl.envs.search.cache import ResultCache
from agentrl.envs.search.passages import Passage
from agentrl.envs.search.retrievers import Hit, RetrieverError, open_retriever
from agentrl.envs.search.web import PROVIDERS, Web, plain
from agentrl.errors import ConfigError, UnknownName

SERPER = {
    "searchParameters": {"q": "apple inc", "type": "search", "num": 10, "engine": "google"},
    "answerBox": {"snippet": "Apple Inc. is a company.", "title": "Apple", "link": "https://apple.test/about"},
    "organic": [
        {"title": "Apple", "link": "https://apple.test/", "snippet": "Discover the world of Apple.", "position": 1},
        {"title": "Apple Inc. - Encyclopedia", "link": "https://enc.test/apple", "position": 2},
    ],
    "credits": 1,
}
BRAVE = {
    "type": "search",
    "query": {"original": "brave search api", "more_results_available": True},
    "web": {
        "type": "search",
        "results": [
            {
                "title": "Brave Search API",
                "url": "https://brave.test/api/",
                "description": "Power your <strong>search</strong> &amp; AI apps.",
                "extra_snippets": ["Over 30 billion pages."],
            }
        ],
    },
}
TAVILY = {
    "query": "Who is Leo Messi?",
    "answer": None,
    "images": [],
    "results": [
        {"title": "Lionel Messi", "url": "https://facts.test/messi", "content": "A footballer.", "score": 0.81025},
        {
            "title": "Messi",
            "url": "https://wiki.test/messi",
            "content": "Born in 1987.",
            "score": 0.6,
            "raw_content": None,
        },
    ],
    "response_time": "1.67",
}
SEARXNG = {
    "query": "castle",
    "number_of_results": 0,
    "results": [{"url": "https://c.test", "title": "Castle", "content": "A building.", "engine": "x", "score": 4.0}],
    "answers": [],
    "suggestions": [],
    "unresponsive_engines": [],
}
ANSWERS: dict[str, Any] = {"serper": SERPER, "brave": BRAVE, "tavily": TAVILY, "searxng": SEARXNG}
Make = Callable[..., Web]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PAUSE_S", 0.001)
    for provider in PROVIDERS.values():
        if provider.key:
            monkeypatch.setenv(provider.key, "secret")


class Server:
    """Answers every request with the provider's example, and remembers the requests."""

    def __init__(self, provider: str, answer: Any = None, status: int = 200, pause: float = 0.0) -> None:
        self.answer = ANSWERS[provider] if answer is None else answer
        self.status, self.pause = status, pause
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        time.sleep(self.pause)
        return httpx.Response(self.status, json=self.answer)


def web(provider: str, server: Server, tmp_path: Path, **options: Any) -> Web:
    spec = "searxng:http://my.test:8888" if provider == "searxng" else provider
    made = open_retriever(spec, None, transport=server.transport, cache=tmp_path / "deep" / "web.sqlite", **options)
    assert isinstance(made, Web)
    assert made.name == spec
    return made


def test_serper(tmp_path: Path) -> None:
    server = Server("serper")
    hits = web("serper", server, tmp_path).search("apple inc", 3)
    assert hits == [
        Hit(Passage("https://apple.test/about", "Apple", "Apple Inc. is a company."), 1.0),
        Hit(Passage("https://apple.test/", "Apple", "Discover the world of Apple."), 1 / 2),
        Hit(Passage("https://enc.test/apple", "Apple Inc. - Encyclopedia", ""), 1 / 3),
    ]
    [request] = server.requests
    assert (request.method, str(request.url)) == ("POST", "https://google.serper.dev/search")
    assert request.headers["x-api-key"] == "secret"
    assert json.loads(request.content) == {"q": "apple inc", "num": 10}


def test_brave(tmp_path: Path) -> None:
    server = Server("brave")
    [hit] = web("brave", server, tmp_path, results=5).search("brave search api", 3)
    assert hit.passage == Passage("https://brave.test/api/", "Brave Search API", "Power your search & AI apps.")
    [request] = server.requests
    assert request.method == "GET"
    assert str(request.url) == "https://api.search.brave.com/res/v1/web/search?q=brave+search+api&count=5"
    assert request.headers["x-subscription-token"] == "secret"


def test_tavily(tmp_path: Path) -> None:
    server = Server("tavily")
    hits = web("tavily", server, tmp_path).search("Who is Leo Messi?", 2)
    assert [h.passage.id for h in hits] == ["https://facts.test/messi", "https://wiki.test/messi"]
    [request] = server.requests
    assert (request.method, str(request.url)) == ("POST", "https://api.tavily.com/search")
    assert request.headers["authorization"] == "Bearer secret"
    assert json.loads(request.content) == {"query": "Who is Leo Messi?", "max_results": 10}


def test_searxng(tmp_path: Path) -> None:
    server = Server("searxng")
    [hit] = web("searxng", server, tmp_path).search("castle", 2)
    assert hit == Hit(Passage("https://c.test", "Castle", "A building."), 1.0)
    assert str(server.requests[0].url) == "http://my.test:8888/search?q=castle&format=json"
    with pytest.raises(RetrieverError, match=r"status 403 .*search\.formats"):
        web("searxng", Server("searxng", {}, status=403), tmp_path).search("other", 1)


def test_no_results_are_no_error(tmp_path: Path) -> None:
    for provider, answer in {
        "serper": {"searchParameters": {"q": "x"}},
        "brave": {"type": "search", "query": {"original": "x"}},
        "tavily": {"query": "x", "results": []},
        "searxng": {"query": "x", "results": []},
    }.items():
        assert web(provider, Server(provider, answer), tmp_path).search("x", 3) == []


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "answer",
    [[], {}, "text", {"error": "quota"}, {"organic": [None], "web": {"results": [None]}, "results": [None]}]
    + [{"organic": x, "web": {"results": x}, "results": x} for x in (3, "text", {"a": 1}, [{"title": "no address"}])]
    + [{"organic": x, "web": {"results": x}, "results": x} for x in ([{"link": 3, "url": 3}],)],
)
def test_an_answer_of_another_shape_is_a_failure_and_is_not_kept(provider: str, answer: Any, tmp_path: Path) -> None:
    server = Server(provider, answer)
    search = web(provider, server, tmp_path)
    with pytest.raises(RetrieverError, match="its answer is of another shape"):
        search.search("x", 3)
    server.answer = ANSWERS[provider]
    assert search.search("x", 3)


@pytest.mark.parametrize("status", [401, 403, 422, 432])
def test_a_refusal_is_a_failure_that_does_not_tell_the_key(status: int, tmp_path: Path) -> None:
    server = Server("tavily", {"detail": "no credits"}, status=status)
    with pytest.raises(RetrieverError, match=f"status {status} .*no credits.*your plan") as caught:
        web("tavily", server, tmp_path).search("x", 3)
    assert "secret" not in str(caught.value)
    assert len(server.requests) == 1


def test_a_missing_key_is_named_and_not_needed_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for provider, variable in (("serper", "SERPER_API_KEY"), ("brave", "BRAVE_API_KEY"), ("tavily", "TAVILY_API_KEY")):
        web(provider, Server(provider), tmp_path).search("x", 3)
        monkeypatch.setenv(variable, " ")
        with pytest.raises(ConfigError, match=variable):
            web(provider, Server(provider), tmp_path)
        monkeypatch.delenv(variable)
        with pytest.raises(ConfigError, match=variable):
            web(provider, Server(provider), tmp_path)
        offline = web(provider, Server(provider, status=500), tmp_path, cache_mode="offline")
        assert offline.search("x", 3)
        monkeypatch.setenv(variable, "line\nbreak")
        with pytest.raises(ConfigError, match="characters"):
            web(provider, Server(provider), tmp_path)


def test_wrong_settings_are_said(tmp_path: Path) -> None:
    for options in ({"cache_mode": "readwrite"}, {"results": 0}, {"results": 500}, {"retries": -1}, {"tries": 3}):
        with pytest.raises(ConfigError):
            web("brave", Server("brave"), tmp_path, **options)
    for spec in ("searxng", "searxng:my.test", "searxng:http://", "brave:http://x", "gogle"):
        with pytest.raises(ConfigError):
            open_retriever(spec, None)
    with pytest.raises(UnknownName):
        Web("bing")


def test_a_run_is_repeated_offline_and_for_nothing(tmp_path: Path) -> None:
    server = Server("tavily")
    first = web("tavily", server, tmp_path, price=0.008)
    found = [first.search(q, k) for q, k in (("messi", 2), ("messi", 1), ("  messi\n", 5), ("ronaldo", 2))]
    assert len(server.requests) == 2
    assert first.usage == {"queries": 4, "cached": 2, "requests": 2, "cost": pytest.approx(0.016)}
    first.close()
    offline = web("tavily", server, tmp_path, price=0.008, cache_mode="offline")
    assert [offline.search(q, k) for q, k in (("messi", 2), ("messi", 1), ("messi", 5), ("ronaldo", 2))] == found
    assert offline.usage == {"queries": 4, "cached": 4, "requests": 0, "cost": 0}
    with pytest.raises(RetrieverError, match=r"'neymar' is not in the cache .*web\.sqlite.*read_write"):
        offline.search("neymar", 2)
    assert len(server.requests) == 2


def test_the_cache_can_be_off(tmp_path: Path) -> None:
    server = Server("tavily")
    search = web("tavily", server, tmp_path, cache_mode="off", price=1)
    search.search("messi", 1)
    search.search("messi", 1)
    assert search.usage == {"queries": 2, "cached": 0, "requests": 2, "cost": 2}
    assert not (tmp_path / "deep").exists()


def test_failures_cost_nothing(tmp_path: Path) -> None:
    search = web("tavily", Server("tavily", status=503), tmp_path, price=1)
    with pytest.raises(RetrieverError, match="status 503"):
        search.search("messi", 1)
    assert search.usage == {"queries": 1, "cached": 0, "requests": 0, "cost": 0}


def test_providers_and_numbers_of_results_are_kept_apart(tmp_path: Path) -> None:
    for provider in PROVIDERS:
        web(provider, Server(provider), tmp_path).search("x", 1)
    other = Server("tavily")
    web("tavily", other, tmp_path, results=3).search("x", 1)
    assert len(other.requests) == 1
    assert len(ResultCache(tmp_path / "deep" / "web.sqlite")) == 5


def test_equal_queries_at_the_same_time_are_asked_once(tmp_path: Path) -> None:
    server = Server("tavily", pause=0.05)
    search = web("tavily", server, tmp_path)
    found: list[list[Hit]] = []
    threads = [threading.Thread(target=lambda i=i: found.append(search.search(f"q{i % 3}", 2))) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 24
    assert len(server.requests) == 3
    assert search.usage["cached"] == 21


def _write(file: Path, start: int) -> None:
    cache = ResultCache(file)
    for i in range(start, start + 40):
        cache.put({"n": i % 60}, [i % 60])
    assert cache.get({"n": start % 60}) == [start % 60]


def test_processes_share_one_cache(tmp_path: Path) -> None:
    file = tmp_path / "web.sqlite"
    ResultCache(file).put({"n": 0}, [0])  # open in this process, too, when it forks
    context = multiprocessing.get_context("fork")
    running = [context.Process(target=_write, args=(file, 20 * i)) for i in range(4)]
    for process in running:
        process.start()
    for process in running:
        process.join(timeout=60)
    assert [process.exitcode for process in running] == [0] * 4
    cache = ResultCache(file)
    assert [cache.get({"n": i}) for i in range(60)] == [[i] for i in range(60)]
    assert cache.get({"n": 60}) is None


def test_a_damaged_cache_is_said_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "web.sqlite"
    file.parent.mkdir()
    file.write_bytes(b"no database " * 100)
    for mode in ("read_write", "offline"):
        with pytest.raises(RetrieverError, match=r"web\.sqlite cannot be used: file is not a database"):
            web("tavily", Server("tavily"), tmp_path, cache_mode=mode).search("x", 1)
    assert file.read_bytes().startswith(b"no database")
    with pytest.raises(RetrieverError, match="cannot be used"):
        ResultCache(tmp_path / "deep" / "web.sqlite" / "below").put({}, [])


def test_the_cache_is_plain_sqlite(tmp_path: Path) -> None:
    web("tavily", Server("tavily"), tmp_path).search("messi", 1)
    with sqlite3.connect(tmp_path / "deep" / "web.sqlite") as connection:
        [(request, result)] = connection.execute("SELECT request, result FROM results")
    assert json.loads(request)["query"] == "messi"
    assert json.loads(result)[0] == ["Lionel Messi", "https://facts.test/messi", "A footballer."]
    assert "secret" not in request + result


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("query", ["", "\x00\x1b", "\ud800 x", "x" * 3_000_000, "w " * 100_000, "a\nb\tc\u202ed"])
def test_queries_are_cut_to_what_the_service_takes(provider: str, query: str, tmp_path: Path) -> None:
    server = Server(provider)
    web(provider, server, tmp_path).search(query, 3)
    assert len(server.requests) == bool(query.strip("\x00\x1b"))
    for request in server.requests:
        body = json.loads(request.content) if request.content else request.url.params
        sent = body["query"] if "query" in body else body["q"]
        assert 0 < len(sent) <= PROVIDERS[provider].chars
        assert len(sent.split()) <= PROVIDERS[provider].words
        assert sent.isprintable()


def test_markup_is_taken_out() -> None:
    assert plain("<b>1</b> &lt; 2 &#39;x&#39;<br/>  and\n3 <4") == "1 < 2 'x' and 3 <4"
