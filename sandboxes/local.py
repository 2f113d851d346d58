"""The backend ``local``: sandboxes on this machine, without a daemon.

Tiers, best first: ``namespace`` (bubblewrap), ``landlock`` (inside ordinary containers, where namespaces are
refused). ``auto`` takes the best that works and never one that isolates nothing: ``none`` needs ``allow_unsafe``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any, Literal, NamedTuple

from agentrl.errors import UnknownName
from agentrl.sandboxes import interpreter, landlock
from agentrl.sandboxes.launcher import remove_folder
from agentrl.sandboxes.session import Channel, Session
from agentrl.sandboxes.spec import Capabilities, SandboxSpec, SandboxUnavailable
from agentrl.sandboxes.sweep import owner, sweep

START_S = 30.0
"""Seconds within which a sandbox must be ready."""
STARTING = 8
"""How many sandboxes of a backend may be starting at the same time."""
BOOT = """
import sys, types
for name, path in (("agentrl", sys.argv[1] + "/.."), ("agentrl.sandboxes", sys.argv[1])):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = [path]
from agentrl.sandboxes.launcher import main
main()
"""
TIERS = {
    "namespace": Capabilities(
        tier="namespace", pids="hard", memory="sampled", disk="hard", network="none", files="own root", processes="own"
    ),
    "landlock": Capabilities(
        tier="landlock", pids="hard", memory="sampled", disk="sampled", network="none", files="rules", processes="seen"
    ),
    "none": Capabilities(
        tier="none", pids="no", memory="sampled", disk="sampled", network="host", files="host", processes="host"
    ),
}
INSTALL = {
    "namespace": "Install bubblewrap (Debian, Ubuntu, Fedora: the package 'bubblewrap') and allow user namespaces; in "
    "a container start it with --security-opt seccomp=unconfined --security-opt systempaths=unconfined.",
    "landlock": "It needs Linux 5.13 or newer with 'landlock' in the boot parameter lsm=, and as root a Python that "
    "other users can run (the package 'python3').",
}


class TierReport(NamedTuple):
    """Whether a tier works here."""

    tier: str
    works: bool
    detail: str
    """What runs it, or why it does not work and what to change."""


class Launcher:
    """The process that starts this backend's sandboxes; started with the first, and again if it dies."""

    def __init__(self, tier: str) -> None:
        self.tier = tier
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None
        self.python: interpreter.Interpreter | None = None
        self.folder = ""

    def send(self, request: bytes, fds: list[int]) -> None:
        """Ask for a sandbox. Raises SandboxUnavailable."""
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                self.start()
            assert self.control is not None
            try:
                socket.send_fds(self.control, [request], fds)
            except OSError as error:
                raise SandboxUnavailable(f"The launcher of sandboxes is gone: {error}.") from error

    def start(self) -> None:
        """Start the process and wait until it serves."""
        self.python = interpreter.choose(self.tier, os.geteuid() == 0)
        if self.python is None:
            raise SandboxUnavailable(f"No Python that another user than root can run. {INSTALL['landlock']}")
        if self.folder:
            remove_folder(self.folder)  # of a launcher that was killed
        sweep()
        folder = self.folder = tempfile.mkdtemp(prefix=f"agentrl-sandbox-{owner()}-")
        Path(folder).chmod(0o711)
        setup = {
            "tier": self.tier, "bwrap": shutil.which("bwrap") or "", "python": self.python.executable,
            "folder": folder, "paths": self.python.folders,
        }  # fmt: skip
        raise_open_files()
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [self.python.executable, "-I", "-S", "-c", BOOT, str(Path(__file__).resolve().parent)]
        environment = {"PATH": os.defpath, "AGENTRL_SANDBOX": owner(), "LANG": "C.UTF-8"}
        with there:
            self.process = subprocess.Popen(
                words, stdin=there.fileno(), env=environment, cwd="/", start_new_session=True
            )
        here.settimeout(START_S)
        try:
            here.send(json.dumps(setup).encode())
            answer = json.loads(here.recv(1 << 16) or b"{}")
        except (OSError, ValueError) as error:
            answer = {"error": str(error)}
        if "ready" not in answer:
            self.process.kill()
            self.process.wait()
            here.close()
            remove_folder(folder)
            raise SandboxUnavailable(f"The launcher of sandboxes did not start: {answer.get('error', 'it ended')}.")
        self.control = here

    def close(self) -> None:
        """End it, and with it every sandbox it started."""
        with self.lock:
            if self.control:
                self.control.close()
                self.control = None
            if self.process:
                try:
                    self.process.wait(10)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
                self.process = None


def raise_open_files() -> None:
    """Let this process and the launcher open as many files as they may: each sandbox costs both two descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if soft != resource.RLIM_INFINITY else soft, hard))


class LocalBackend:
    """Sandboxes on this machine.

    Raises:
        UnknownName: there is no such tier.
        SandboxUnavailable: the tier does not work here, or isolates nothing and ``allow_unsafe`` is not set.
    """

    name = "local"

    def __init__(
        self, tier: Literal["auto", "namespace", "landlock", "none"] | str = "auto", *, allow_unsafe: bool = False
    ) -> None:
        if tier not in ("auto", *TIERS):
            raise UnknownName("tier", tier, ["auto", *TIERS])
        if tier == "none" and not allow_unsafe:
            raise SandboxUnavailable(
                "The tier 'none' isolates nothing: code would run with all your rights. Pass allow_unsafe=True "
                "for code that you trust, or use another tier (agentrl sandbox doctor)."
            )
        if tier == "none":
            warnings.warn("sandboxes of tier 'none' isolate nothing", stacklevel=2)
        self.tier = best_tier() if tier == "auto" else tier
        self.capabilities = TIERS[self.tier]
        self.launcher = Launcher(self.tier)

    async def create(self, spec: SandboxSpec | None = None) -> Session:
        """A new sandbox, ready for its first cell.

        Raises:
            SandboxUnavailable: it did not start; says what it said.
        """
        spec = spec or SandboxSpec()
        channel, started = await self.connect(spec)
        try:
            answer = await channel.ask(self.opening(spec, started), START_S)
            if not answer.get("ready"):
                raise ValueError(f"its agent answered {answer}")
            session = Session(spec, self.tier, channel, lambda: self.create(spec))
            for path, data in spec.files.items():
                await session.write_file(path, data)
        except BaseException as error:
            said = await asyncio.shield(channel.close())
            if not isinstance(error, (OSError, EOFError, ValueError)):
                raise
            hint = INSTALL.get(self.tier, "")
            raise SandboxUnavailable(f"A sandbox did not start: {said or error!r}. {hint}".strip()) from error
        return session

    async def connect(self, spec: SandboxSpec) -> tuple[Channel, dict[str, Any]]:
        """Have a sandbox started; the channel to its agent and what the launcher said of it."""
        ours, theirs = socket.socketpair()
        lease, lease_end = socket.socketpair()
        with theirs, lease_end:
            request = json.dumps({"limits": spec.limits()}).encode()
            try:
                await asyncio.to_thread(self.launcher.send, request, [theirs.fileno(), lease_end.fileno()])
            except BaseException:
                ours.close()
                lease.close()
                raise
        reader, writer = await asyncio.open_connection(sock=ours)
        lease_reader, lease_writer = await asyncio.open_connection(sock=lease)

        async def end() -> str:
            lease_writer.write_eof()
            try:
                async with asyncio.timeout(15):
                    lines = (await lease_reader.read()).splitlines()
                return str(json.loads(lines[-1]).get("said", "")) if lines else ""
            except (OSError, ValueError):
                return ""
            finally:
                lease_writer.close()

        channel = Channel(reader, writer, end)
        try:
            async with asyncio.timeout(START_S):
                started = json.loads(await lease_reader.readline() or b'{"error": "the launcher ended"}')
        except (OSError, ValueError) as error:
            started = {"error": repr(error)}
        if "error" in started:
            await channel.close()
            raise SandboxUnavailable(f"A sandbox did not start: {started['error']}.")
        return channel, started

    def opening(self, spec: SandboxSpec, started: dict[str, Any]) -> dict[str, Any]:
        """The first frame: limits, environment, folders."""
        assert self.launcher.python is not None
        work = started["work"]
        path = os.pathsep.join([str(Path(self.launcher.python.executable).parent), "/usr/local/bin:/usr/bin:/bin"])
        env = {"PATH": path, "HOME": work, "TMPDIR": f"{work}/tmp", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        env |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "AGENTRL_SANDBOX": owner()}
        return {
            "op": "init", "limits": spec.limits(), "work": work, "env": env | spec.env,
            "nproc_base": started["nproc_base"], "preload": spec.preload,
            "paths": self.launcher.python.packages if spec.packages else (),
        }  # fmt: skip

    async def close(self) -> None:
        """End every sandbox of this backend."""
        await asyncio.to_thread(self.launcher.close)


def best_tier() -> str:
    """The best tier that works here. Raises SandboxUnavailable with what to change."""
    reports = []
    for tier in ("namespace", "landlock"):
        reports.append(report(tier))
        if reports[-1].works:
            return tier
    reasons = " ".join(f"{r.tier}: {r.detail}" for r in reports)
    raise SandboxUnavailable(f"No tier of sandboxes works here. {reasons}")


def report(tier: str) -> TierReport:
    """Whether a tier works here: the quick checks, then a sandbox that computes 1 + 1."""
    if not sys.platform.startswith("linux"):
        return TierReport(tier, False, "Sandboxes need Linux.")
    if tier == "namespace" and not shutil.which("bwrap"):
        return TierReport(tier, False, f"bubblewrap is not installed. {INSTALL[tier]}")
    if tier == "landlock" and not landlock.abi():
        return TierReport(tier, False, f"This kernel has no Landlock. {INSTALL[tier]}")
    try:
        said = in_thread(tier)
    except SandboxUnavailable as error:
        return TierReport(tier, False, str(error))
    return TierReport(tier, True, said)


def in_thread(tier: str) -> str:
    """Try a tier in an event loop of its own, so that this can be called with or without one running."""
    outcome: list[str | BaseException] = []

    async def attempt() -> str:
        backend = LocalBackend(tier)
        try:
            async with await backend.create() as session:
                result = await session.run_python("import sys; print(1 + 1, sys.version.split()[0])")
        finally:
            await backend.close()
        if not result.stdout.startswith("2 "):
            raise SandboxUnavailable(f"1 + 1 gave {result.to_observation()}.")
        return f"Python {result.stdout.split()[1]}" + (f", Landlock {landlock.abi()}" if tier == "landlock" else "")

    def work() -> None:
        try:
            outcome.append(asyncio.run(attempt()))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
