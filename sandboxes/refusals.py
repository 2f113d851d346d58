"""What a sandbox server answers when it does not do what it was asked: ``{code, message}`` with a status."""

from __future__ import annotations

from agentrl.errors import NotForkable
from agentrl.sandboxes.lease import Gone
from agentrl.sandboxes.leases import Draining
from agentrl.sandboxes.messages import BadRequest, dump
from agentrl.sandboxes.once import Conflict
from agentrl.sandboxes.spec import FileRefused, SandboxBusy, SandboxUnavailable
from agentrl.sandboxes.wire import Answer

CODES = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "not_found", 408: "too_slow",
    409: "conflict", 413: "too_large", 429: "busy", 431: "too_large", 500: "internal", 503: "unavailable",
}  # fmt: skip
BUSY_S = 1
"""What ``Retry-After`` says when there is no room."""


def refusal(status: int, message: str, code: str = "", retry_s: int | None = None) -> Answer:
    """An error as an answer."""
    headers = [("Content-Type", "application/json")]
    if retry_s is not None:
        headers.append(("Retry-After", str(retry_s)))
    if status == 401:
        headers.append(("WWW-Authenticate", "Bearer"))
    return Answer(status, dump({"code": code or CODES.get(status, "error"), "message": message}), tuple(headers))


def explain(error: Exception) -> Answer:
    """The answer to a request that failed in a way that is known. Raises what is not."""
    message = str(error) or type(error).__name__
    match error:
        case BadRequest():
            return refusal(400, message)
        case Gone():
            return refusal(404, message, "session_gone")
        case Conflict():
            return refusal(409, message)
        case FileRefused():
            return refusal(422, message, "file_refused")
        case NotForkable():
            return refusal(422, message, "not_forkable")
        case SandboxBusy():
            return refusal(429, message, retry_s=BUSY_S)
        case Draining():
            return refusal(503, "the server is shutting down", "shutting_down", BUSY_S)
        case SandboxUnavailable():
            return refusal(503, message)
    raise error
