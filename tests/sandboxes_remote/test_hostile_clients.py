"""Clients that are slow, wrong or malicious: each is answered or cut off, and nobody else waits for it."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from conftest import TOKEN, Running, World

from agentrl.sandboxes.wire import Deadlines

AUTH = f"Authorization: Bearer {TOKEN}\r\n"
SPEC = {"memory_mb": 256, "pids": 32, "disk_mb": 32, "inodes": 1000, "max_file_mb": 16, "output_mb": 16}


@pytest.fixture(scope="module")
def strict(world: World) -> Iterator[Running]:
    """A server that waits for nobody."""
    deadlines = Deadlines(idle_s=0.8, head_s=0.4, body_s=0.4)
    with world.serve(deadlines=deadlines, body_bytes=1 << 20, connections=12) as running:
        yield running


@pytest.fixture(autouse=True)
def others_are_served(strict: Running) -> Iterator[None]:
    """After each test an honest client gets its answer at once, and soon no connection is left."""
    yield
    start = time.monotonic()
    assert httpx.get(f"{strict.url}/healthz", trust_env=False).json() == {"ok": True}
    assert time.monotonic() - start < 1
    deadline = time.monotonic() + 3
    while strict.server.connections.open and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not strict.server.connections.open


def connect(running: Running) -> socket.socket:
    return socket.create_connection(running.address, timeout=8)


def rest(line: socket.socket) -> bytes:
    """Everything until the server closes."""
    data = bytearray()
    try:
        while piece := line.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return bytes(data)


def said(running: Running, data: bytes) -> bytes:
    """What the server answers to bytes."""
    with connect(running) as line:
        line.sendall(data)
        return rest(line)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\r\n\r\nhello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET //[ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9" + b"9" * 30 + b"\r\n\r\n", 400),
        (b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 100_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 100_000, 431),
        (b"GET /v1/info HTTP/1.1\r\nHost: x\r\n\r\n", 401),
        (b"GET /v1/info HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n\r\n", 401),
        (f"GET /v1/info HTTP/1.1\r\nHost: x\r\n{AUTH}{AUTH}\r\n".encode(), 401),
        (f"GET /v1/info HTTP/1.1\r\nHost: x\r\n{AUTH}Origin: http://evil\r\n\r\n".encode(), 403),
        (f"PUT /v1/info HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Length: 99999999\r\n\r\n".encode(), 413),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
        (b"GET http://x/healthz HTTP/1.0\r\n\r\n", 200),
        (b"HEAD /healthz HTTP/1.0\r\n\r\n", 200),
    ],
)
def test_what_is_not_right_is_answered_and_cut_off(strict: Running, data: bytes, code: int) -> None:
    start = time.monotonic()
    answer = said(strict, data)
    assert status(answer) == code
    assert time.monotonic() - start < 6
    if data.startswith(b"HEAD"):
        assert answer.endswith(b"\r\n\r\n")
    elif code != 200:
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["message"]


def test_random_bytes_never_break_it(strict: Running) -> None:
    rng = random.Random(0)
    good = f"POST /v1/sessions HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode()
    for _ in range(150):
        data = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with connect(strict) as line:
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
            answer = rest(line)
        assert status(answer) in (0, *range(400, 500), 501)


def test_slow_heads_and_silent_connections_are_cut_off(strict: Running) -> None:
    with connect(strict) as silent, connect(strict) as slow:
        start = time.monotonic()
        slow.settimeout(0.05)
        answer = b""
        for byte in b"GET /healthz HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":
            try:
                slow.sendall(bytes([byte]))
                answer += slow.recv(4096)
            except TimeoutError:
                continue
            if answer:
                break
        assert status(answer) == 408 and time.monotonic() - start < 2
        assert rest(silent) == b""
        assert time.monotonic() - start < 2


def test_a_slow_body_is_cut_off(strict: Running) -> None:
    with connect(strict) as line:
        line.sendall(f"POST /v1/sessions HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Length: 1000\r\n\r\n{{".encode())
        start = time.monotonic()
        assert status(rest(line)) == 408
        assert time.monotonic() - start < 7


def test_a_second_request_may_wait_but_not_for_ever(strict: Running) -> None:
    with connect(strict) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(4096).endswith(b'{"ok":true}')
        time.sleep(0.5)  # longer than a head may take
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.1)
        assert line.recv(4096).count(b'{"ok":true}') == 2
        assert rest(line) == b""


def test_half_closed_connections(strict: Running) -> None:
    with connect(strict) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        line.shutdown(socket.SHUT_WR)
        assert rest(line).endswith(b'{"ok":true}')
    with connect(strict) as line:
        line.sendall(f"POST /v1/sessions HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Length: 1000\r\n\r\n{{".encode())
        line.shutdown(socket.SHUT_WR)
        assert status(rest(line)) == 400


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long_is_refused_and_the_sender_sees_it(strict: Running, chunked: bool) -> None:
    body = iter([bytes(1 << 20)] * 8) if chunked else bytes(8 << 20)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.put(f"{strict.url}/v1/info", content=body, headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_body_is_not_read_without_a_token(strict: Running) -> None:
    with connect(strict) as line:
        line.sendall(b"PUT /v1/info HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
        assert status(line.recv(4096)) == 401
    with connect(strict) as line:
        head = f"PUT /v1/info HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        line.sendall(head.encode())
        assert status(line.recv(4096)) == 100
        line.sendall(b"hello")
        assert status(line.recv(4096)) == 404


def test_more_connections_than_allowed_push_out_those_that_wait(strict: Running) -> None:
    lines = [connect(strict) for _ in range(30)]
    try:
        assert httpx.get(f"{strict.url}/healthz", trust_env=False).status_code == 200
        assert rest(lines[0]) == b""
    finally:
        for line in lines:
            line.close()


def made(http: httpx.Client) -> str:
    """A session's path."""
    key = f"key-{random.random()}"
    return "/v1/sessions/" + http.post("/v1/sessions", json={"spec": SPEC, "idempotency_key": key}).json()["id"]


@pytest.fixture
def http(strict: Running) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=strict.url, headers=headers, trust_env=False) as client:
        yield client


def test_a_client_that_leaves_does_not_cancel_its_run(strict: Running, http: httpx.Client) -> None:
    place = made(http)
    code = "import time; time.sleep(0.5); open('n', 'a').write('x')"
    body = json.dumps({"request_id": "request-1", "language": "python", "code": code}).encode()
    with connect(strict) as line:
        head = f"POST {place}/exec HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n"
        line.sendall(head.encode() + body)
        time.sleep(0.1)
    again = http.post(f"{place}/exec", content=body, headers={"Content-Type": "application/json"})
    assert again.json()["status"] == "ok"
    assert http.get(f"{place}/files", params={"path": "n"}).content == b"x"
    http.delete(place)


def test_a_client_that_does_not_read_is_cut_off(strict: Running, http: httpx.Client) -> None:
    place = made(http)
    for number in range(12):
        http.put(f"{place}/files", params={"path": "f", "request_id": f"put-{number:06}"}, content=bytes(1 << 20))
    with connect(strict) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET {place}/files?path=f HTTP/1.1\r\nHost: x\r\n{AUTH}\r\n".encode()
        line.sendall(request * 12)  # more than the kernel's buffers take
        deadline = time.monotonic() + 10
        assert http.get("/healthz").status_code == 200
        while len(strict.server.connections.open) > 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(strict.server.connections.open) <= 1
    assert http.delete(place).status_code == 200


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"spec": {}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (json.dumps({"spec": SPEC}).encode(), "idempotency_key"),
        (json.dumps({"spec": SPEC, "idempotency_key": "short"}).encode(), "idempotency_key"),
        (json.dumps({"spec": SPEC, "idempotency_key": "k" * 9, "ttl_s": float("nan")}).encode(), "ttl_s"),
        (json.dumps({"spec": SPEC, "idempotency_key": "k" * 9, "ttl_s": 10**400}).encode(), "ttl_s"),
        (json.dumps({"spec": SPEC | {"pids": True}, "idempotency_key": "k" * 9}).encode(), "spec.pids"),
        (json.dumps({"spec": SPEC | {"more": 1}, "idempotency_key": "k" * 9}).encode(), "spec.more"),
        (json.dumps({"spec": SPEC | {"files": {"a": "?"}}, "idempotency_key": "k" * 9}).encode(), "base64"),
        (json.dumps({"spec": SPEC | {"env": {"\ud800": "1"}}, "idempotency_key": "k" * 9}).encode(), "spec.env"),
    ],
)
def test_bodies_out_of_form_are_explained(http: httpx.Client, body: bytes, where: str) -> None:
    answer = http.post("/v1/sessions", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert where in answer.json()["message"]


def test_requests_out_of_form_of_a_session(strict: Running, http: httpx.Client) -> None:
    place = made(http)
    cell = {"request_id": "request-1", "language": "python", "code": "1"}
    bad = [cell | change for change in ({"language": "perl"}, {"timeout_s": 0}, {"timeout_s": 1e9}, {"code": 1})]
    bad += [cell | change for change in ({"max_output_bytes": -1}, {"max_output_bytes": 1 << 50}, {"stdin": "?"})]
    assert [http.post(f"{place}/exec", json=body).status_code for body in bad] == [400] * len(bad)
    plain = {"Content-Type": "text/plain"}
    assert http.post(f"{place}/exec", content=json.dumps(cell), headers=plain).status_code == 400
    assert http.put(f"{place}/files", params={"path": "a"}, content=b"x").status_code == 400  # no id
    assert http.get(f"{place}/files", params={"path": "a", "max_bytes": "1e3"}).status_code == 400
    assert http.get(f"{place}/files?path=%ED%A0%80").status_code == 422  # a lone surrogate
    assert http.post(f"{place}/fork", json={"request_id": "request-2", "n": 0}).status_code == 400
    assert http.post(f"{place}/dance", json={}).status_code == 404
    assert http.patch(place).status_code == 404
    assert http.post(f"{place}/exec", json=cell).json()["status"] == "ok"
    http.delete(place)
