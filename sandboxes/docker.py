"""The backend ``docker``: each sandbox a container whose PID 1 is the guest agent, spoken to over the attach socket.

Nothing of ours has to be in the image, only a ``python3`` (3.9 or newer) and ``sh``: the agent's source travels in the
command. ``exec`` is not used: what it starts cannot be killed through the API. Containers have no network, no
capability, a read-only root, and limits of the kernel on memory and processes; inside, the same filter of system
calls as everywhere holds for the model's code.

When the trainer dies the engine closes the container's standard input, the agent ends, the engine removes it.
The engine is trusted, and whoever reaches its socket owns the machine. DOCKER_HOST is honoured.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib
import zlib
from pathlib import Path
from typing import Any

from agentrl.errors import MissingExtra
from agentrl.sandboxes.session import Channel, Session
from agentrl.sandboxes.spec import Capabilities, SandboxSpec, SandboxUnavailable
from agentrl.sandboxes.sweep import orphaned, owner

IMAGE = "agentrl/sandbox"
LABEL, HOST_LABEL = "agentrl.sandbox", "agentrl.boot"
START_S = 60.0
USER = "10001:10001"
WORK = "/sandbox"
CAPABILITIES = Capabilities(
    tier="docker", pids="hard", memory="hard", disk="hard", network="none", files="own root", processes="own"
)
BOOT = """
import base64, sys, types, zlib
def load(name, text):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(zlib.decompress(base64.b64decode(text)), name, "exec"), module.__dict__)
    return module
guest, seccomp = load("guest", "{guest}"), load("seccomp", "{seccomp}")
code = seccomp.program()
guest.main(0, lambda: seccomp.install(code), 1)
"""


def program() -> str:
    """The Python program that becomes the agent."""
    file = Path(__file__)
    texts = {
        name: base64.b64encode(zlib.compress(file.with_name(f"{name}.py").read_bytes())).decode()
        for name in ("guest", "seccomp")
    }
    return BOOT.format(**texts)


def boot_id() -> str:
    """Which machine, and which run of it, a container's owner lives on."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class DockerBackend:
    """Sandboxes in containers.

    Args:
        image: an image of the engine with ``python3`` and ``sh``; none is pulled.
        runtime: the engine's runtime, for example ``runsc`` (gVisor) or ``kata``; the default one is what was tested.
        cpus: processors that each sandbox may use.

    Raises:
        MissingExtra: the package ``docker`` is not installed.
        SandboxUnavailable: no engine answers, or it has no such image.
    """

    name = "docker"

    def __init__(self, image: str = IMAGE, *, runtime: str | None = None, cpus: float = 1.0) -> None:
        self.image = image
        self.runtime = runtime
        self.cpus = cpus
        self.tier = "docker"
        self.capabilities = CAPABILITIES
        self.sdk, self.client = connect()
        self.podman = any("podman" in part["Name"].lower() for part in self.client.version().get("Components") or ())
        """Whether the engine is podman, whose tmpfs takes neither an owner nor a number of files."""
        self.program = program()
        try:
            self.client.images.get(image)
        except self.sdk.errors.DockerException as error:
            self.client.close()
            raise SandboxUnavailable(
                f"The engine has no image '{image}' ({error}). Build one from this machine's own files with "
                "python docker/host_image.py, or name one that has python3 with image=."
            ) from error
        sweep_containers(self.sdk, self.client)

    def ours(self, name: str | None = None) -> list[Any]:
        """Containers with our label, or only those of one owner."""
        return labelled(self.client, name)

    def settings(self, spec: SandboxSpec) -> dict[str, Any]:
        """What the container is created with. ``detach`` off makes the engine close its input when we are gone."""
        ulimit = self.sdk.types.Ulimit
        memory = f"{spec.memory_mb + 2 * spec.disk_mb + 64}m"  # the agent's samples come first, then the kernel
        size = f"size={spec.disk_mb}m" + ("" if self.podman else f",nr_inodes={spec.inodes}")
        users = 4096 if self.podman else 65536  # shared by all containers; ``pids_limit`` is each one's own
        mine = "mode=1777" if self.podman else "uid=10001,gid=10001,mode=0700"
        return {
            "image": self.image, "user": USER,
            "command": ["python3", "-I", "-B", *([] if spec.packages else ["-S"]), "-c", self.program],
            "network_mode": "none", "mem_limit": memory, "memswap_limit": memory, "pids_limit": spec.pids + 4,
            "nano_cpus": int(self.cpus * 1e9), "read_only": True, "cap_drop": ["ALL"], "ipc_mode": "private",
            "security_opt": ["no-new-privileges"], "shm_size": f"{spec.disk_mb}m", "working_dir": WORK,
            "tmpfs": {WORK: f"rw,exec,nosuid,nodev,{size},{mine}", "/tmp": f"rw,nosuid,nodev,{size},mode=1777"},
            "ulimits": [ulimit(name="nofile", soft=1024, hard=4096), ulimit(name="nproc", soft=users, hard=users),
                        ulimit(name="core", soft=0, hard=0)],
            "stdin_open": True, "auto_remove": True, "detach": False, "runtime": self.runtime, "hostname": "sandbox",
            "labels": {LABEL: owner(), HOST_LABEL: boot_id()}, "log_config": {"type": "none"},
        }  # fmt: skip

    async def create(self, spec: SandboxSpec | None = None) -> Session:
        """A new sandbox, ready for its first cell.

        Raises:
            SandboxUnavailable: it did not start; says what it said.
        """
        spec = spec or SandboxSpec()
        try:
            container, raw = await asyncio.to_thread(self.start, spec)
        except (self.sdk.errors.DockerException, OSError) as error:
            raise SandboxUnavailable(f"A container did not start: {error}.") from error
        channel = await self.channel(container, raw)
        try:
            answer = await channel.ask(self.opening(spec), START_S)
            if not answer.get("ready"):
                raise ValueError(f"its agent answered {answer}")
            session = Session(spec, self.tier, channel, lambda: self.create(spec))
            for path, data in spec.files.items():
                await session.write_file(path, data)
        except BaseException as error:
            said = await asyncio.shield(channel.close())
            if not isinstance(error, (OSError, EOFError, ValueError)):
                raise
            raise SandboxUnavailable(f"A container did not start: {said or error!r}.") from error
        return session

    def start(self, spec: SandboxSpec) -> tuple[Any, Any]:
        """Create, attach, start: in this order, so that nothing is said before it is heard."""
        container = self.client.containers.create(**self.settings(spec))
        try:
            flags = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            raw = self.client.api.attach_socket(container.id, params=flags)
            container.start()
        except BaseException:
            with contextlib.suppress(self.sdk.errors.APIError):
                container.remove(force=True)
            raise
        return container, raw

    async def channel(self, container: Any, raw: Any) -> Channel:
        """The agent's stream without the engine's headers; what it says on stderr is kept for errors."""
        raw._sock.settimeout(0)
        mixed, writer = await asyncio.open_connection(sock=raw._sock)
        clean = asyncio.StreamReader()
        said = bytearray()

        async def sort() -> None:
            try:
                while True:
                    head = await mixed.readexactly(8)  # stream, three zeros, length
                    data = await mixed.readexactly(int.from_bytes(head[4:], "big"))
                    if head[0] == 1:
                        clean.feed_data(data)
                    else:
                        said.extend(data[: 4000 - len(said)])
            except (OSError, EOFError):
                pass
            finally:
                clean.feed_eof()

        sorting = asyncio.create_task(sort())

        def remove() -> None:
            with contextlib.suppress(self.sdk.errors.APIError):  # it may be gone, or going, by itself
                container.remove(force=True)
            with contextlib.suppress(self.sdk.errors.APIError):
                container.wait(condition="removed", timeout=20)

        async def end() -> str:
            await asyncio.to_thread(remove)
            await asyncio.wait([sorting], timeout=5)
            raw.close()
            return said.decode("utf-8", "replace").strip()

        return Channel(clean, writer, end)

    def opening(self, spec: SandboxSpec) -> dict[str, Any]:
        """The first frame."""
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": WORK, "TMPDIR": f"{WORK}/tmp", "LANG": "C.UTF-8"}
        env |= {
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "AGENTRL_SANDBOX": owner(),
        }
        # Inside its share of the processors the agent must come first, or a fork bomb starves it.
        return {
            "op": "init", "limits": spec.limits() | {"nice": 19}, "work": WORK, "env": env | spec.env,
            "nproc_base": 60000, "preload": spec.preload, "paths": (),
        }  # fmt: skip

    async def close(self) -> None:
        """Remove this process's containers."""

        def remove() -> None:
            for container in self.ours(owner()):
                with contextlib.suppress(self.sdk.errors.APIError):
                    container.remove(force=True)
            self.client.close()

        await asyncio.to_thread(remove)


def labelled(client: Any, name: str | None = None) -> list[Any]:
    """An engine's containers with our label, or only those of one owner."""
    label = f"{LABEL}={name}" if name else LABEL
    return list(client.containers.list(all=True, filters={"label": label}, ignore_removed=True))


def sweep_containers(sdk: Any, client: Any) -> int:
    """Remove containers whose owner on this machine is gone; how many."""
    removed = 0
    for container in labelled(client):
        same = container.labels.get(HOST_LABEL) == boot_id()
        if same and orphaned(container.labels[LABEL]):
            with contextlib.suppress(sdk.errors.APIError):
                container.remove(force=True)
                removed += 1
    return removed


def connect() -> tuple[Any, Any]:
    """The SDK and a client of the engine that DOCKER_HOST names. Raises MissingExtra or SandboxUnavailable."""
    try:
        sdk = importlib.import_module("docker")
    except ImportError:
        raise MissingExtra("docker", "docker") from None
    try:
        client = sdk.from_env(timeout=60, max_pool_size=64)
        client.ping()
    except (sdk.errors.DockerException, OSError) as error:
        raise SandboxUnavailable(
            f"No container engine answers: {error}. Start one, or set DOCKER_HOST (podman's socket works too)."
        ) from error
    return sdk, client
