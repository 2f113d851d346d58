"""NCCL and CUDA IPC without a GPU: vLLM's sender is a fake of the same signatures, the servers are recorded.

The signatures are compared with the real package in test_inprocess_real.py.
"""

from __future__ import annotations

import asyncio
import base64
import pickle
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from fake_vllm import VOCABULARY, FakeVllm, fleet
from tiny_models import tiny_model

from agentrl.engines.base import Sampling
from agentrl.engines.vllm_servers import VllmServers
from agentrl.engines.weight_source import WeightSource
from agentrl.engines.weight_sync import TransferSync
from agentrl.errors import EngineError, MissingExtra

SENDERS: list[FakeSender] = []


@dataclass
class NCCLTrainerInitInfo:
    master_address: str
    master_port: int
    world_size: int
    packed: bool = True
    packed_buffer_size_bytes: int = 1 << 20
    packed_num_buffers: int = 2
    rank: int = 0


@dataclass
class IPCTrainerInitInfo:
    packed: bool = False
    packed_buffer_size_bytes: int = 1 << 20
    rank: int = 0


class FakeSender:
    """Drives the client as vLLM's trainer engines do."""

    def __init__(self, info: Any, client: Any, source: Any) -> None:
        self.info, self.client, self.source = info, client, source
        self.sent: list[tuple[str, torch.Tensor]] = []
        self.down = False
        self.error: Exception | None = None
        SENDERS.append(self)

    def send_weights(self) -> None:
        if self.error is not None:
            raise self.error
        meta = self.source.metadata()
        self.client.start_weight_update()
        info: dict[str, Any] = {
            "names": [m.name for m in meta],
            "dtype_names": [str(m.dtype).split(".")[-1] for m in meta],
            "shapes": [list(m.shape) for m in meta],
        }
        if isinstance(self.info, IPCTrainerInitInfo):
            info |= {"ipc_handles": {"GPU-1": (1, 2)}, "ipc_handles_pickled": None, "tensor_sizes": [4]}
        self.client.update_weights(info)
        self.sent = list(self.source)
        self.client.finish_weight_update()

    def shutdown(self) -> None:
        self.down = True


class Factory:
    """Of senders."""

    @classmethod
    def trainer_init(cls, init_info: Any, *, client: Any, source: Any = None) -> FakeSender:
        client.init_weight_transfer_engine({"packed": init_info.packed})
        return FakeSender(init_info, client, source)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``vllm`` that has the sender only."""
    SENDERS.clear()
    parts = {
        "vllm": {},
        "vllm.distributed": {},
        "vllm.distributed.weight_transfer": {},
        "vllm.distributed.weight_transfer.factory": {"WeightTransferTrainerFactory": Factory},
        "vllm.distributed.weight_transfer.nccl_engine": {"NCCLTrainerInitInfo": NCCLTrainerInitInfo},
        "vllm.distributed.weight_transfer.ipc_engine": {"IPCTrainerInitInfo": IPCTrainerInitInfo},
    }
    for name, content in parts.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def two() -> Iterator[tuple[VllmServers, list[FakeVllm]]]:
    fakes = [FakeVllm(), FakeVllm()]
    engine = VllmServers(
        ["a:1", "b:2"],
        max_context=900,
        vocabulary=VOCABULARY,
        mismatch_limit=None,
        transport=fleet({"a:1": fakes[0], "b:2": fakes[1]}),
    )
    yield engine, fakes
    asyncio.run(engine.close())


@pytest.mark.parametrize("backend", ["nccl", "ipc"])
def test_every_server_has_a_sender_and_gets_all_weights(
    package: None, two: tuple[VllmServers, list[FakeVllm]], backend: str
) -> None:
    engine, fakes = two
    model = tiny_model()
    engine.sync = TransferSync(backend, WeightSource(model, torch.bfloat16), engine.call, host="10.0.0.1")
    engine.load(None, 0)
    engine.load(None, 1)
    assert len(SENDERS) == 2 and all(fake.label == f"{engine.labels.run}:1" for fake in fakes)
    assert fakes[0].sent["names"] == list(model.state_dict())
    assert set(fakes[0].sent["dtype_names"]) == {"bfloat16"}
    assert [list(t.shape) for _, t in SENDERS[0].sent] == fakes[0].sent["shapes"]
    if backend == "nccl":
        infos = [sender.info for sender in SENDERS]
        assert [(i.master_address, i.world_size) for i in infos] == [("10.0.0.1", 2)] * 2
        assert infos[0].master_port != infos[1].master_port
        assert "ipc_handles" not in fakes[0].sent
    else:
        assert "ipc_handles" not in fakes[0].sent
        assert pickle.loads(base64.b64decode(fakes[0].sent["ipc_handles_pickled"])) == {"GPU-1": (1, 2)}
    assert asyncio.run(engine.sample([5], Sampling(3))).version == 1


def test_a_group_that_broke_is_left_and_made_anew(package: None, two: tuple[VllmServers, list[FakeVllm]]) -> None:
    engine, fakes = two
    engine.sync = TransferSync("nccl", WeightSource(tiny_model()), engine.call, host="10.0.0.1")
    engine.load(None, 0)
    SENDERS[1].error = RuntimeError("NCCL error: unhandled system error")
    engine.load(None, 1)  # goes on with the first server
    assert [server.usable for server in engine.servers] == [True, False] and SENDERS[1].down
    assert fakes[1].paused
    engine.load(None, 2)
    assert len(SENDERS) == 3 and all(server.usable for server in engine.servers)
    SENDERS[0].error = SENDERS[2].error = RuntimeError("NCCL error")
    with pytest.raises(EngineError, match=r"no vLLM server took the weights of version 3.*nccl to http://a:1 broke"):
        engine.load(None, 3)


def test_the_sender_needs_vllm_beside_the_trainer(
    two: tuple[VllmServers, list[FakeVllm]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingExtra, match=r"pip install -e '\.\[vllm\]'"):
        TransferSync("nccl", WeightSource(tiny_model()), two[0].call, host="x")
