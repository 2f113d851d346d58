"""Retrieval servers: the published shape and its variants; down, slow and lying ones."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from agentrl.envs.search import fetching
from agentrl.envs.search.passages import Passage
from agentrl.envs.search.remote import Remote
from agentrl.envs.search.retrievers import Hit, RetrieverError, open_retriever
from agentrl.errors import ConfigError

URL = "http://retriever.test:8000/retrieve"
DOCUMENT = {"id": "42", "contents": '"Half-Way Girl"\nA film of 1925.\nBy two directors.'}
PASSAGE = Passage("42", "Half-Way Girl", "A film of 1925.\nBy two directors.")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PAUSE_S", 0.001)


def answering(answer: Any, status: int = 200) -> httpx.MockTransport:
    """A server that says one thing."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return httpx.MockTransport(lambda request: httpx.Response(status, content=body))


def test_the_published_shape() -> None:
    seen: list[httpx.Request] = []

    def server(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        assert json.loads(request.content) == {"queries": ["Who made it?"], "topk": 3, "return_scores": True}
        return httpx.Response(200, json={"result": [[{"document": DOCUMENT, "score": 0.9}]]})

    remote = open_retriever(URL, None, transport=httpx.MockTransport(server), headers={"Authorization": "Bearer x"})
    assert remote.name == URL
    assert remote.search("Who made it?", 3) == [Hit(PASSAGE, 0.9)]
    assert (seen[0].method, str(seen[0].url), seen[0].headers["authorization"]) == ("POST", URL, "Bearer x")


@pytest.mark.parametrize(
    ("result", "hits"),
    [
        ([DOCUMENT, DOCUMENT], [Hit(PASSAGE, 1.0), Hit(PASSAGE, 0.5)]),
        ([{"document": DOCUMENT}], [Hit(PASSAGE, 1.0)]),
        ([{"document": DOCUMENT, "score": None}], [Hit(PASSAGE, 1.0)]),
        ([{"document": {"title": "t", "text": "x", "id": 7}, "score": 2}], [Hit(Passage("7", "t", "x"), 2.0)]),
        ([{"document": DOCUMENT, "score": -1.5}] * 9, [Hit(PASSAGE, -1.5)] * 4),  # more than k
        ([], []),
    ],
)
def test_variants_without_scores_with_titles_and_with_too_much(result: list[Any], hits: list[Hit]) -> None:
    assert Remote(URL, transport=answering({"result": [result]})).search("q", 4) == hits


def test_documents_without_an_id_are_known_by_what_they_say() -> None:
    answer = {"result": [[{"contents": "t\nx"}, {"contents": "t\ny"}, "t\nx"]]}
    a, b, c = (h.passage for h in Remote(URL, transport=answering(answer)).search("q", 3))
    assert a.id == c.id != b.id
    assert (a.title, a.text) == ("t", "x")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<html>Bad gateway</html>", "not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ([], "was expected, not"),
        ({"results": []}, r"not an object with \['results'\]"),
        ({"result": None}, "was expected"),
        ({"result": []}, "not 0 lists"),
        ({"result": [[], []]}, "not 2 lists"),
        ({"result": [None]}, "things that are no list"),
        ({"result": ["text"]}, "things that are no list"),
        ({"result": [[None]]}, "result 1 is no passage: it is null"),
        ({"result": [[{"document": {"contents": 3}}]]}, "result 1 is no passage"),
        ({"result": [[{"document": {"text": ["x"]}}]]}, "its text is a list"),
        ({"result": [[{"document": DOCUMENT, "score": "high"}]]}, "score of result 1 is 'high'"),
        ({"result": [[{"document": DOCUMENT, "score": True}]]}, "score of result 1"),
        (b'{"result": [[{"document": {"contents": "x"}, "score": NaN}]]}', "not a finite number"),
    ],
)
def test_an_answer_of_another_shape_is_a_failure_of_the_retriever(answer: Any, said: str) -> None:
    with pytest.raises(RetrieverError, match=said) as caught:
        Remote(URL, transport=answering(answer)).search("q", 3)
    assert URL in str(caught.value)
    assert "Is the server up" in str(caught.value)


def flaky(failures: int, fail: Callable[[], httpx.Response]) -> tuple[httpx.MockTransport, list[float]]:
    """A server that fails at first; and when it was asked."""
    asked: list[float] = []

    def server(request: httpx.Request) -> httpx.Response:
        asked.append(time.monotonic())
        return fail() if len(asked) <= failures else httpx.Response(200, json={"result": [[DOCUMENT]]})

    return httpx.MockTransport(server), asked


def refuse() -> httpx.Response:
    raise httpx.ConnectError("connection refused")


@pytest.mark.parametrize("fail", [refuse, lambda: httpx.Response(503), lambda: httpx.Response(429, text="slow down")])
def test_passing_trouble_is_tried_again_a_bounded_number_of_times(fail: Callable[[], httpx.Response]) -> None:
    transport, asked = flaky(2, fail)
    assert len(Remote(URL, transport=transport).search("q", 1)) == 1
    assert len(asked) == 3
    transport, asked = flaky(3, fail)
    with pytest.raises(RetrieverError, match=r"refused|status 503|status 429 Too Many Requests: slow down"):
        Remote(URL, transport=transport).search("q", 1)
    assert len(asked) == 3
    transport, asked = flaky(1, fail)
    with pytest.raises(RetrieverError):
        Remote(URL, transport=transport, retries=0).search("q", 1)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 422])
def test_other_statuses_are_not_tried_again(status: int) -> None:
    transport, asked = flaky(1, lambda: httpx.Response(status, headers={"Location": "/elsewhere"}))
    with pytest.raises(RetrieverError, match=f"status {status} .*elsewhere"):
        Remote(URL, transport=transport).search("q", 1)
    assert len(asked) == 1


def test_the_servers_wish_to_wait_is_kept_within_the_deadline() -> None:
    transport, asked = flaky(1, lambda: httpx.Response(429, headers={"Retry-After": "0.2"}))
    Remote(URL, transport=transport).search("q", 1)
    assert asked[1] - asked[0] >= 0.2
    transport, asked = flaky(1, lambda: httpx.Response(429, headers={"Retry-After": "3600"}))
    start = time.monotonic()
    with pytest.raises(RetrieverError, match="deadline of 5 s leaves no time"):
        Remote(URL, transport=transport, deadline=5).search("q", 1)
    assert time.monotonic() - start < 4
    transport, _ = flaky(1, lambda: httpx.Response(503, headers={"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}))
    assert Remote(URL, transport=transport).search("q", 1)


@pytest.mark.parametrize("query", ["", " \n", "\ud800", "\x00\x1b[2J", "x" * 5_000_000])
def test_nothing_that_a_query_says_is_an_error(query: str) -> None:
    def server(request: httpx.Request) -> httpx.Response:
        assert len(request.content) < 200_000
        return httpx.Response(200, json={"result": [[DOCUMENT]]})

    remote = Remote(URL, transport=httpx.MockTransport(server))
    assert len(remote.search(query, 1)) == bool(query.strip())
    assert remote.search("q", 0) == []


@pytest.mark.parametrize("url", ["http://", "https:///retrieve"])
def test_an_address_that_is_none_is_said(url: str) -> None:
    with pytest.raises(ConfigError, match=r"like http://127\.0\.0\.1:8000/retrieve"):
        open_retriever(url, None)
    with pytest.raises(ConfigError, match="must be above 0"):
        open_retriever(URL, None, timeout=0)


# -- over a real socket -----------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """``/retrieve`` answers, ``/hang`` does not, ``/drip`` answers byte by byte, ``/huge`` too much, ``/cut`` stops."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"result": [[{"document": DOCUMENT, "score": 1}]]}).encode()
        if self.path == "/hang":
            time.sleep(6)
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if self.path != "/huge" else 1 << 30))
        self.end_headers()
        try:
            if self.path == "/drip":
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
            elif self.path == "/huge":
                for _ in range(40):
                    self.wfile.write(b" " * (1 << 20))
            elif self.path == "/cut":
                self.wfile.write(body[:20])
                self.close_connection = True
            else:
                self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


def test_threads_share_one_client(server: str) -> None:
    remote = Remote(f"{server}/retrieve")
    found: list[list[Hit]] = []
    threads = [threading.Thread(target=lambda: found.append(remote.search("q", 1))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[Hit(PASSAGE, 1.0)]] * 16
    remote.close()


@pytest.mark.parametrize(
    ("path", "said", "limits"),
    [
        ("/hang", r"no answer within 0\.2 s \(ReadTimeout\)", {"timeout": 0.2}),
        ("/hang", r"no answer within 0\.[23]\d* s", {"timeout": 10, "deadline": 0.3}),
        ("/drip", r"no whole answer within 0\.3 s", {"deadline": 0.3}),
        ("/huge", "longer than 16 MiB", {}),
        ("/cut", "RemoteProtocolError", {"retries": 1}),
    ],
)
def test_a_slow_or_broken_server_is_a_failure_in_time(
    server: str, path: str, said: str, limits: dict[str, Any]
) -> None:
    start = time.monotonic()
    with pytest.raises(RetrieverError, match=said) as caught:
        Remote(server + path, **limits).search("q", 1)
    assert time.monotonic() - start < 4
    assert server + path in str(caught.value)


def test_a_server_that_is_down_is_said() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/retrieve"
        with pytest.raises(RetrieverError, match=r"ConnectError.*Is the server up"):
            Remote(url).search("q", 1)
