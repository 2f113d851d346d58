"""New weights for vLLM servers: through files, NCCL or CUDA IPC; adapters alone; plain servers by reloading.

All but the last two are vLLM's own round trip, start -> update -> finish with a label, between pause and resume (see
`agentrl.engines.vllm_servers`). A round trip that does not end leaves a server with weights of two versions, and with
layers that cannot take more: `mend` ends the old one first, so that a whole update can follow. That holds too for
what another trainer left.

    files    written once, read by each server; for all machines that share a folder
    nccl     the trainer's GPU to the servers' GPUs; never on the same GPU
    ipc      a server on the trainer's GPU reads the trainer's memory
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from agentrl.engines.vllm_http import Refused, Server, all_of
from agentrl.engines.weight_source import WeightSource, save_adapters
from agentrl.errors import EngineError, MissingExtra

FILES = "agentrl_files"
"""Name of the weight-transfer backend that `agentrl.engines.vllm_plugin` adds to vLLM."""
ADAPTER = "agentrl"
"""What servers call the adapters."""
Failures = dict[Server, EngineError]


class Sync(Protocol):
    """A way for weights."""

    def publish(self, servers: Sequence[Server], label: str) -> Failures:
        """Give the current weights to paused servers; returns those it did not work for."""
        ...

    def follow(self) -> None:
        """What the other training processes do meanwhile: their part in putting weights together."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


async def mend(server: Server) -> None:
    """End an update that somebody left open, and one that broke in the middle; both may be absent.

    Raises:
        EngineError: the server does not take part in weight updates.
    """
    with contextlib.suppress(Refused):  # there was none
        await server.post("/finish_weight_update", {})
    await server.post("/start_weight_update")
    await server.post("/finish_weight_update", {})


class FilesSync:
    """The weights in one file per version, removed when the next one is there.

    Args:
        source: The weights, in the servers' precision.
        folder: Seen by trainer and servers.
        reload: For servers without agentrl's plugin: they are told to load the file in place of the checkpoint they
            were started with. Should that break in the middle, the server must be started again.
    """

    def __init__(self, source: WeightSource, folder: Path, call: Callable[..., Any], *, reload: bool = False) -> None:
        self.source, self.folder, self.call, self.reload = source, folder, call, reload
        self._ready: set[Server] = set()

    def publish(self, servers: Sequence[Server], label: str) -> Failures:
        """See `Sync.publish`.

        Raises:
            EngineError: the file cannot be written.
        """
        path = self._write(label)
        try:
            done = self.call(all_of(servers, lambda server: self._one(server, path, label)))
        finally:
            shutil.rmtree(path, ignore_errors=True)
        return {server: error for server, error in zip(servers, done, strict=True) if error is not None}

    async def _one(self, server: Server, path: Path, label: str) -> None:
        if self.reload:
            body = {"method": "reload_weights", "kwargs": {"weights_path": str(path)}}
            await server.post("/collective_rpc", body)
            await server.post("/update_weight_version", {"new_version": label})
            return
        if server not in self._ready:
            await server.post("/init_weight_transfer_engine", {"init_info": {}})
            self._ready.add(server)
        if not server.usable:
            await mend(server)
        await server.post("/start_weight_update")
        await server.post("/update_weights", {"update_info": {"path": str(path / "model.safetensors")}})
        await server.post("/finish_weight_update", {"weight_version": label})

    def follow(self) -> None:
        """See `Sync.follow`."""
        self.source.gather()

    def _write(self, label: str) -> Path:
        from safetensors.torch import save_file

        path = self.folder / f"weights-{label.replace(':', '-')}"
        needed = sum(p.dtype.itemsize * torch.Size(p.shape).numel() for p in self.source.metadata())
        try:
            path.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(path).free
            if free < needed:
                raise OSError(f"{needed / 2**30:.1f} GiB are needed, {free / 2**30:.1f} are free")
            # a tied head shares its memory with the embedding, which the format does not allow
            whole = {name: tensor.contiguous().cpu() for name, tensor in self.source}
            seen: set[int] = set()
            for name, tensor in whole.items():
                if tensor.data_ptr() in seen:
                    whole[name] = tensor.clone()
                seen.add(tensor.data_ptr())
            save_file(whole, str(path / "model.safetensors"), metadata={"format": "pt"})
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)
            raise EngineError(
                f"the weights cannot be written to '{self.folder}': {error}. Name another folder: "
                "--engine.vllm.sync-dir"
            ) from error
        return path

    def close(self) -> None:
        """Nothing is left behind."""


class AdapterSync:
    """Adapters (peft) alone; the base stays what the server was started with.

    Args:
        model: With the adapters.
        folder: Seen by trainer and servers.
    """

    def __init__(self, model: Any, folder: Path, call: Callable[..., Any]) -> None:
        self.model, self.folder, self.call = model, folder, call
        self._kept: Path | None = None
        """The newest adapters: vLLM reads them again when requests use them."""

    def publish(self, servers: Sequence[Server], label: str) -> Failures:
        """See `Sync.publish`."""
        path = self.folder / f"adapters-{label.replace(':', '-')}"
        save_adapters(self.model, path)
        done = self.call(all_of(servers, lambda server: self._one(server, path, label)))
        self.close()
        self._kept = path
        return {server: error for server, error in zip(servers, done, strict=True) if error is not None}

    async def _one(self, server: Server, path: Path, label: str) -> None:
        body = {"lora_name": ADAPTER, "lora_path": str(path), "load_inplace": True}
        try:
            await server.post("/v1/load_lora_adapter", body)
        except Refused as error:
            if error.status != 404:
                raise
            raise EngineError(
                f"the vLLM server {server} takes no adapters at run time; start it with: agentrl serve-vllm --lora-rank"
            ) from error
        await server.post("/update_weight_version", {"new_version": label})
        server.model = ADAPTER

    def follow(self) -> None:
        """Adapters are whole in every process."""

    def close(self) -> None:
        """Remove the adapters."""
        if self._kept is not None:
            shutil.rmtree(self._kept, ignore_errors=True)
            self._kept = None


class TransferSync:
    """NCCL or CUDA IPC, by vLLM's own sender; one group per server, one server after another.

    Args:
        backend: ``nccl`` or ``ipc``.
        source: The weights, on this process's GPU.
        host: This machine's address as the servers see it (nccl).

    Raises:
        MissingExtra: vLLM is not installed beside the trainer; its sender is used.
    """

    def __init__(self, backend: str, source: WeightSource, call: Callable[..., Any], *, host: str) -> None:
        try:
            from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory
        except ImportError:
            raise MissingExtra("vllm", "vllm") from None
        self.backend, self.source, self.call, self.host = backend, source, call, host
        self._factory: Any = WeightTransferTrainerFactory
        self._senders: dict[Server, Any] = {}
        self._clients: dict[Server, ControlClient] = {}

    def publish(self, servers: Sequence[Server], label: str) -> Failures:
        """See `Sync.publish`."""
        failed: Failures = {}
        for server in servers:
            try:
                if server not in self._senders:
                    self._open(server)
                if not server.usable:
                    self.call(mend(server))
                self._clients[server].label = label
                self._senders[server].send_weights()
            except EngineError as error:
                failed[server] = error
            except Exception as error:  # whatever NCCL and CUDA raise
                failed[server] = EngineError(f"{self.backend} to {server} broke: {type(error).__name__}: {error}")
            if server in failed:
                self._drop(server)  # a group in which a call broke is of no use any more
        return failed

    def follow(self) -> None:
        """See `Sync.follow`."""
        self.source.gather()

    def _open(self, server: Server) -> None:
        client = ControlClient(server, self.call)
        if self.backend == "ipc":
            from vllm.distributed.weight_transfer.ipc_engine import IPCTrainerInitInfo

            info: Any = IPCTrainerInitInfo(packed=True, rank=0)
        else:
            from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo

            found = self.call(server.get("/get_world_size"))
            workers = int(found["world_size"])
            info = NCCLTrainerInitInfo(
                master_address=self.host, master_port=free_port(), world_size=workers + 1, packed=True, rank=0
            )
        self._senders[server] = self._factory.trainer_init(info, client=client, source=self.source)
        self._clients[server] = client

    def _drop(self, server: Server) -> None:
        sender = self._senders.pop(server, None)
        self._clients.pop(server, None)
        if sender is not None:
            sender.shutdown()

    def close(self) -> None:
        """Leave the groups."""
        for server in list(self._senders):
            self._drop(server)


class ControlClient:
    """vLLM's ``VLLMWeightSyncClient`` (a structural protocol of four calls) over a `Server`, with deadlines."""

    def __init__(self, server: Server, call: Callable[..., Any]) -> None:
        self.server, self.call, self.label = server, call, ""

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Open the server's side."""
        self.call(self.server.post("/init_weight_transfer_engine", {"init_info": init_info}))

    def start_weight_update(self) -> None:
        """Begin."""
        self.call(self.server.post("/start_weight_update"))

    def update_weights(self, update_info: Any) -> None:
        """Receive: names, types and shapes; with IPC also handles, pickled as vLLM's own client does."""
        infos = update_info if isinstance(update_info, list) else [update_info]
        sent = [_picklable(info) for info in infos]
        body = {"update_info": sent if isinstance(update_info, list) else sent[0]}
        self.call(self.server.post("/update_weights", body))

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """End, with our label."""
        self.call(self.server.post("/finish_weight_update", {"weight_version": weight_version or self.label}))


def _picklable(info: dict[str, Any]) -> dict[str, Any]:
    """The values of an update that JSON can carry: handles of CUDA IPC are pickled (the server must allow it)."""
    handles = info.get("ipc_handles")
    if handles is None:
        return {key: value for key, value in info.items() if not key.startswith("ipc_handles")}
    import base64
    import pickle

    kept = {key: value for key, value in info.items() if key != "ipc_handles"}
    return {**kept, "ipc_handles_pickled": base64.b64encode(pickle.dumps(handles)).decode()}


def sync_folder(chosen: Path | None) -> Path:
    """Where weights and adapters are put down: in memory if that is possible."""
    if chosen is not None:
        return chosen
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="agentrl-", dir=memory if memory.is_dir() else None))


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])
