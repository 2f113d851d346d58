"""The page, served from this machine: steps are read when somebody asks for them.

Bound to 127.0.0.1. Requests for any other host name are refused, so that no page of the web can read a run through
the browser of whoever runs this.
"""

from __future__ import annotations

import gzip
import re
import threading
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agentrl.errors import AgentRLError, ConfigError
from agentrl.inspector.page import as_json, columns, head, index_of, vocabulary
from agentrl.inspector.past import Past, decoder
from agentrl.inspector.records import StepRecord, record_of

KEPT = 8
"""Steps in memory."""
STEP = re.compile(r"^/step/(\d+)$")
GROUP = re.compile(r"^/group/(\d+)/(\d+)$")


class Library:
    """Records of steps, read once and kept while they are in use."""

    def __init__(self, past: Past, learner: str, device: str | None) -> None:
        self.past, self.learner, self.device = past, learner, device
        self.tokenizer = decoder(past)
        self._kept: OrderedDict[int, StepRecord] = OrderedDict()
        self._lock = threading.Lock()

    def page(self) -> bytes:
        """The page without any step."""
        index = index_of(self.past, [], {}, {}, serve=True)
        return (head(self.past, index) + "</body></html>\n").encode()

    def step(self, step: int) -> Any:
        """A step's lines for the list."""
        record = self.record(step)
        vocab = vocabulary(self.tokenizer, record.ids)
        return {"episodes": columns(record.episodes), "notes": {step: record.notes}, "vocab": vocab}

    def group(self, step: int, group: int) -> Any:
        """All of a group; None if there is none."""
        groups = self.record(step).groups
        return groups[group] if group < len(groups) else None

    def record(self, step: int) -> StepRecord:
        """A step."""
        with self._lock:
            if step not in self._kept:
                self._kept[step] = record_of(self.past, step, learner=self.learner, device=self.device)
            self._kept.move_to_end(step)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[step]


def make_server(past: Past, *, learner: str = "auto", device: str | None = None, port: int = 0) -> ThreadingHTTPServer:
    """A server that is bound but does not serve yet; port 0 is any.

    Raises:
        ConfigError: the port is taken.
    """
    library = Library(past, learner, device)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
            if host not in ("127.0.0.1", "localhost"):
                self.send_error(403, "this page is for 127.0.0.1")
                return
            try:
                found = answer(library, self.path)
            except AgentRLError as error:
                self.send_error(500, "the step cannot be read", str(error))
                return
            if found is None:
                self.send_error(404)
                return
            kind, body = found
            body = gzip.compress(body, 3)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the page tells what it loads."""

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise ConfigError(f"Port {port} cannot be used: {error.strerror}. Choose another --port.") from None


def answer(library: Library, path: str) -> tuple[str, bytes] | None:
    """Content type and body for a path; None where there is nothing."""
    if path == "/":
        return "text/html; charset=utf-8", library.page()
    if match := STEP.match(path):
        return "application/json", as_json(library.step(int(match[1])))
    if match := GROUP.match(path):
        found = library.group(int(match[1]), int(match[2]))
        return ("application/json", as_json(found)) if found is not None else None
    return None


def serve(past: Past, *, learner: str, device: str | None, port: int) -> None:
    """Serve until interrupted."""
    server = make_server(past, learner=learner, device=device, port=port)
    print(f"http://127.0.0.1:{server.server_address[1]}/ shows {past.path}; Ctrl-C ends it", flush=True)
    try:
        server.serve_forever()
    finally:
        server.server_close()
