"""Sandboxes for model-written code. Imported as ``agentrl.sandboxes``."""

if __name__ == "sandboxes":
    raise ImportError("Import `agentrl.sandboxes`, not `sandboxes`.")

from agentrl.sandboxes.backends import Backend, open_backend
from agentrl.sandboxes.local import LocalBackend
from agentrl.sandboxes.pool import SandboxPool
from agentrl.sandboxes.session import Session
from agentrl.sandboxes.spec import (
    Capabilities,
    ExecResult,
    FileRefused,
    SandboxBusy,
    SandboxDied,
    SandboxError,
    SandboxSpec,
    SandboxUnavailable,
)

__all__ = [
    "Backend",
    "Capabilities",
    "ExecResult",
    "FileRefused",
    "LocalBackend",
    "SandboxBusy",
    "SandboxDied",
    "SandboxError",
    "SandboxPool",
    "SandboxSpec",
    "SandboxUnavailable",
    "Session",
    "open_backend",
]
