"""The bodies that a sandbox server and its clients send each other, as JSON, and what the server allows.

Text may hold anything that a Python string can, lone surrogates too, since model-written code does; JSON escapes them.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from agentrl.sandboxes.spec import ExecResult, SandboxSpec, Status

PROTOCOL = 1
"""Both ends must agree on it."""
Json = dict[str, Any]
KINDS = {
    "stdout": str, "stderr": str, "tier": str, "truncated": bool, "session_reset": bool, "wall_s": int | float,
    "error": list | None, "exit_code": int | None, "signal": int | None,
}  # fmt: skip
"""Of the fields of a result."""


class BadRequest(ValueError):
    """A body that is not what was asked for; the text says where."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a string is wanted")
    return value


def _data(value: object) -> bytes:
    try:
        return base64.b64decode(_text(value), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("base64 is wanted") from None


Text = Annotated[str, PlainValidator(_text)]
Data = Annotated[bytes, PlainValidator(_data)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{8,128}$")]
"""A client's id for a request: 8 to 128 letters, digits, dots, dashes."""
Count = Annotated[int, Field(gt=0, le=1 << 40)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server allows, all of it together and each client."""

    max_sessions: int = 64
    """Sandboxes at the same time, those of ``/run_code`` included."""
    max_starting: int = 8
    """Sandboxes starting at the same time; others wait for their turn, at most ``line_s``."""
    line_s: float = 30.0
    """Seconds that a start waits before it is answered with 429."""
    ttl_s: float = 6 * 3600.0
    """Seconds that a session may live."""
    idle_s: float = 900.0
    """Seconds after which a session that was not asked anything is closed."""
    timeout_s: float = 600.0
    """Seconds that one run may take."""
    output_bytes: int = 4 << 20
    """Bytes of each stream that one run may return."""
    body_bytes: int = 48 << 20
    """The longest body of a request."""
    memory_mb: int = 4096
    """Memory of one sandbox, in MiB."""
    disk_mb: int = 1024
    """Work folder of one sandbox, in MiB."""
    pids: int = 512
    """Processes and threads of one sandbox."""
    connections: int = 1024
    """Connections at the same time."""


class Body(BaseModel):
    """A body without unknown keys and without guesses about types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SpecBody(Body):
    """A `SandboxSpec`."""

    memory_mb: Count
    pids: Count
    disk_mb: Count
    inodes: Count
    max_file_mb: Count
    output_mb: Count
    env: dict[Text, Text] = {}
    files: dict[Text, Data] = {}
    preload: list[Text] = []
    packages: bool = True

    @classmethod
    def of(cls, spec: SandboxSpec) -> Json:
        """A spec as JSON."""
        files = {path: base64.b64encode(data).decode() for path, data in spec.files.items()}
        rest = {"env": spec.env, "files": files, "preload": list(spec.preload), "packages": spec.packages}
        names = ("memory_mb", "pids", "disk_mb", "inodes", "max_file_mb", "output_mb")
        return {name: getattr(spec, name) for name in names} | rest

    def spec(self, limits: Limits) -> SandboxSpec:
        """The spec. Raises BadRequest when it asks for more than the server allows, or for what cannot be."""
        for name in ("memory_mb", "disk_mb", "pids"):
            if getattr(self, name) > getattr(limits, name):
                raise BadRequest(f"spec.{name}={getattr(self, name)}: this server allows {getattr(limits, name)}")
        for name, value in self.env.items():
            if not name or "=" in name or "\0" in name + value or not _plain(name + value):
                raise BadRequest(f"spec.env: {name!r} cannot be an environment variable")
        for module in self.preload:
            if not all(part.isidentifier() for part in module.split(".")):
                raise BadRequest(f"spec.preload: {module!r} is not a module's name")
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return SandboxSpec(**fields | {"preload": tuple(self.preload)})


class CreateBody(Body):
    """``POST /v1/sessions``."""

    spec: SpecBody
    idempotency_key: Key
    ttl_s: Seconds = 3600.0
    idle_s: Seconds = 300.0


class ExecBody(Body):
    """``POST /v1/sessions/ID/exec``."""

    request_id: Key
    language: Literal["python", "shell"]
    code: Text
    timeout_s: Seconds = 10.0
    max_output_bytes: Annotated[int, Field(ge=0)] = 65536
    stdin: Data = b""
    cwd: Text = "."

    def check(self, limits: Limits) -> Self:
        """Raises BadRequest when it asks for more than the server allows."""
        if self.timeout_s > limits.timeout_s:
            raise BadRequest(f"timeout_s={self.timeout_s:g}: this server allows {limits.timeout_s:g}")
        if self.max_output_bytes > limits.output_bytes:
            raise BadRequest(f"max_output_bytes={self.max_output_bytes}: this server allows {limits.output_bytes}")
        return self


class ResetBody(Body):
    """``POST /v1/sessions/ID/reset``."""

    request_id: Key


class ForkBody(Body):
    """``POST /v1/sessions/ID/fork``."""

    request_id: Key
    n: Annotated[int, Field(ge=1, le=256)]


def _plain(text: str) -> bool:
    """Whether a text can leave as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def dump(data: Json) -> bytes:
    """JSON in ASCII."""
    return json.dumps(data, separators=(",", ":")).encode()


def load(data: bytes) -> Json:
    """A JSON object. Raises BadRequest."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise BadRequest("not a JSON object")
    return found


def read(kind: type[BaseModel], data: bytes) -> Any:
    """A body of a kind. Raises BadRequest."""
    try:
        return kind.model_validate(load(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200]
        raise BadRequest(f"{where}: {first['msg']}") from None


def result_of(data: Json) -> ExecResult:
    """A result as `ExecResult.to_dict` wrote it. Raises BadRequest."""
    try:
        if data["status"] not in get_args(Status) or not all(
            isinstance(data[key], kind) for key, kind in KINDS.items()
        ):
            raise ValueError("a value of the wrong kind")
        error = data["error"] and tuple(map(_text, data["error"]))
        out, err = data["total_bytes"]
        if (error and len(error) != 3) or type(out) is not int or type(err) is not int:
            raise ValueError("an error of three texts and two numbers of bytes are wanted")
        return ExecResult(**data | {"error": error or None, "total_bytes": (out, err)})
    except (KeyError, TypeError, ValueError) as problem:
        raise BadRequest(f"not a result: {problem!r}") from None
