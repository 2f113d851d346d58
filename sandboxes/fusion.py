"""SandboxFusion's ``POST /run_code``: its messages, and how a request is served.

github.com/bytedance/SandboxFusion, ``sandbox/server/sandbox_api.py``: one program, a fresh sandbox, its output. The
names and values are that server's, so that what was written for it works here, and ``fusion_client.py`` there. What
this server does differently: only ``python`` and ``bash``; paths of files stay inside the sandbox; a run that was
stopped by a limit (``oom``, ``disk_limit``, ``output_limit``) is ``Failed`` with the limit in ``message``; output
keeps its first and last bytes.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import shlex
from typing import Literal

from pydantic import BaseModel, Field

from agentrl.sandboxes.messages import BadRequest, Data, Limits, SpecBody, Text
from agentrl.sandboxes.session import Session
from agentrl.sandboxes.spec import ExecResult, FileRefused, SandboxSpec

LANGUAGES = ("python", "bash")
OUTPUT_BYTES = 1 << 20
FETCH_BYTES = 16 << 20
PATHS = "import os, sys; print(sys.executable); print(os.pathsep.join(sys.path[1:]))"
"""Says which Python runs a program, and with which packages: those of the sandbox's own cells."""


class RunCodeRequest(BaseModel):
    """What is asked. Unknown keys are passed over, as there."""

    code: Text
    language: Text
    compile_timeout: float = Field(default=10.0, allow_inf_nan=False)
    run_timeout: float = Field(default=10.0, allow_inf_nan=False)
    memory_limit_MB: int = -1
    stdin: Text | None = None
    files: dict[Text, Data | None] = {}
    """Path -> content in base64."""
    fetch_files: list[Text] = []


class CommandRunResult(BaseModel):
    """How a command ended; ``Finished`` whatever its ``return_code``."""

    status: Literal["Finished", "Error", "TimeLimitExceeded"]
    execution_time: float | None = None
    return_code: int | None = None
    stdout: Text | None = None
    stderr: Text | None = None


class RunCodeResponse(BaseModel):
    """What is answered: ``Success`` is a ``return_code`` of 0, ``SandboxError`` a fault of the server."""

    status: Literal["Success", "Failed", "SandboxError"]
    message: Text | None = ""
    compile_result: CommandRunResult | None = None
    run_result: CommandRunResult | None = None
    executor_pod_name: str | None = None
    files: dict[Text, Text] = {}


def spec_of(request: RunCodeRequest, limits: Limits) -> SandboxSpec:
    """The sandbox that a request needs. Raises BadRequest."""
    if request.language not in LANGUAGES:
        raise BadRequest(f"language {request.language!r} is not supported; known: {', '.join(LANGUAGES)}")
    if not 0 < request.run_timeout <= limits.timeout_s:
        raise BadRequest(f"run_timeout={request.run_timeout:g}: more than 0 and at most {limits.timeout_s:g}")
    spec = SandboxSpec()
    if request.memory_limit_MB > 0:
        spec = SandboxSpec(memory_mb=request.memory_limit_MB)
    return SpecBody(**SpecBody.of(spec)).spec(limits)


async def run(request: RunCodeRequest, session: Session) -> RunCodeResponse:
    """Run the program in a session that nobody used. Raises SandboxDied."""
    name = f"tmp{secrets.token_hex(4)}.{'py' if request.language == 'python' else 'sh'}"
    try:
        for path, data in request.files.items():
            if data is not None:
                await session.write_file(path, data)
        await session.write_file(name, request.code.encode("utf-8", "surrogatepass"))
    except FileRefused as error:
        return RunCodeResponse(status="SandboxError", message=str(error))
    command = f"exec bash {name}"
    if request.language == "python":
        python, _, paths = (await session.run_python(PATHS)).stdout.partition("\n")
        command = f"PYTHONPATH={shlex.quote(paths.strip())} exec {shlex.quote(python)} -B {name}"
    result = await session.run_shell(
        command,
        timeout=request.run_timeout,
        stdin=(request.stdin or "").encode("utf-8", "surrogatepass"),
        max_output=OUTPUT_BYTES,
    )
    files = {}
    for path in request.fetch_files:
        with contextlib.suppress(FileRefused):
            files[path] = base64.b64encode(await session.read_file(path, max_bytes=FETCH_BYTES)).decode()
    return answer_of(result).model_copy(update={"files": files})


def answer_of(result: ExecResult) -> RunCodeResponse:
    """A result in SandboxFusion's words."""
    timeout = result.status == "timeout"
    code = result.exit_code
    if code is None and not timeout:
        code = 0 if result.status == "ok" else -(result.signal or 9)
    ran = CommandRunResult(
        status="TimeLimitExceeded" if timeout else "Finished",
        execution_time=result.wall_s,
        return_code=code,
        stdout=result.stdout,
        stderr=result.stderr,
    )
    limit = result.status if result.status in ("oom", "disk_limit", "output_limit", "protocol_error") else ""
    return RunCodeResponse(status="Success" if code == 0 else "Failed", message=limit, run_result=ran)
