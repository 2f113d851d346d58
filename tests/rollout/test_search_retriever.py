"""A retriever that is killed in the middle: a failure of the episodes that ask it, and the run goes on."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from json import dumps, loads

import pytest
from letters import play

from agentrl.envs.search import Search
from agentrl.trajectory import Stage, StopReason


class Server(BaseHTTPRequestHandler):
    """Finds one passage, whatever is asked for, until the query says "stop"."""

    def do_POST(self) -> None:
        query = loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"][0]
        answer = dumps({"result": [[{"document": {"title": "A", "text": "b"}, "score": 1.0}]]}).encode()
        self.send_response(500 if query == "stop" else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_retriever_that_is_killed_fails_its_episodes_alone() -> None:
    pytest.importorskip("httpx")
    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/retrieve#retries=0"
    made = type("Made", (Search,), {"__init__": lambda self: Search.__init__(self, retriever=url, max_turns=3)})
    lines = [
        ["<search>one</search>", "<answer>x</answer>"],
        ["<search>one</search>", "<search>stop</search>", "<answer>x</answer>"],
        ["<answer>x</answer>"],
    ]
    try:
        group, _ = play(lines, env=made)
        lost, broken, blind = group.trajectories
        assert [t.stop for t in (lost, broken, blind)] == [StopReason.LOST, StopReason.FAILED, StopReason.LOST]
        assert lost.turns[0].observation == "<information>(A) b</information>"
        assert lost.counts and blind.counts and not broken.counts
        assert broken.failure and broken.failure.stage == Stage.STEP and "RetrieverError" in broken.failure.error
    finally:
        server.shutdown()
        server.server_close()
    group, _ = play(lines, env=made)
    assert [t.failure is not None for t in group.trajectories] == [True, True, False]
