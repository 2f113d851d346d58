"""The processes of a run: who plays what, who forwards what, and how they agree.

Every process plays its share of the tasks; then all of them hold **all** groups (`World.together`), so that credit,
statistics, denominators and what an algorithm remembers are computed from the whole batch, by everybody alike, in the
code that one process runs. The update is shared out again: each process forwards its share of the packs, and the
wrapped model (`World.wrap`) adds up gradients: DDP, with a copy of the model in each process, or FSDP2, with a part of
it in each. One process is the same with nothing to agree about.

Processes are started by `agentrl.training.launch`, ``torchrun`` or ``accelerate launch``; all of them say who they are
in the environment variables of torch.distributed.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from agentrl.errors import TrainingError

T = TypeVar("T")


class PeerError(TrainingError):
    """Another process of the run has failed or is gone."""

    said = False
    """Whether that process has said why."""


@dataclass(frozen=True)
class _Broken:
    """What a process sends instead of its result."""

    rank: int
    error: str


class World:
    """One process among ``size``; made by `open_world`."""

    def __init__(self, rank: int = 0, size: int = 1, local: int = 0, *, sharded: bool = False) -> None:
        self.rank, self.size, self.local, self.sharded = rank, size, local, sharded
        """Number of this process, of all processes; number on this machine; whether the weights are in parts."""
        self.stopping = False
        """Somebody pressed Ctrl-C here: all stop after this step."""
        self._talk: Any = None
        """A process group on CPUs for what is not a gradient."""

    @property
    def leads(self) -> bool:
        """Whether this process talks and writes."""
        return self.rank == 0

    def device(self, chosen: torch.device) -> torch.device:
        """The device of this process: its own GPU where a GPU is meant and several processes share a machine."""
        if chosen.type == "cuda" and chosen.index is None and self.size > 1:
            torch.cuda.set_device(self.local)
            return torch.device("cuda", self.local)
        return chosen

    # -- agreeing -----------------------------------------------------------------------------------------

    def share(self, items: Sequence[T]) -> list[T]:
        """Those of the items that are this process's; `joined` puts what came of them in order again."""
        return list(items[self.rank :: self.size])

    def joined(self, parts: Sequence[Sequence[T]]) -> list[T]:
        """The inverse of `share`: what each process made of its items, in the order of all items."""
        total = sum(len(part) for part in parts)
        return [parts[i % len(parts)][i // len(parts)] for i in range(total)]

    def together(self, make: Callable[[], T]) -> list[T]:
        """What ``make`` gives in each process, in each process.

        Raises:
            PeerError: it failed in another process (here its own error is raised), or a process is gone.
        """
        if self.size == 1:
            return [make()]
        error: Exception | None = None
        made: Any = None
        try:
            made = make()
        except Exception as caught:
            error, made = caught, _Broken(self.rank, f"{type(caught).__name__}: {caught}")
        parts: list[Any] = [None] * self.size
        with self._asking():
            torch.distributed.all_gather_object(parts, made, group=self._talk)
        if error is not None:
            raise error
        for part in parts:
            if isinstance(part, _Broken):
                failed = PeerError(f"Process {part.rank} failed: {part.error}")
                failed.said = True
                raise failed
        return parts

    def first(self, make: Callable[[], T]) -> T:
        """What ``make`` gives in the leading process, in each process. The others do not call it."""
        return self.together(lambda: make() if self.leads else None)[0]  # type: ignore[return-value]

    def led(self, make: Callable[[], T]) -> T | None:
        """What ``make`` gives in the leading process; None in the others, which do not call it but wait for it."""
        made: list[T] = []
        self.together(lambda: made.append(make()) if self.leads else None)
        return made[0] if made else None

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # gloo: "Connection closed by peer", a deadline, ...
            raise PeerError(
                f"Another process of this run is gone or silent ({str(error).splitlines()[0][:200]}). "
                f"Continue from the newest checkpoint with --resume."
            ) from error

    # -- models -------------------------------------------------------------------------------------------

    def wrap(self, module: nn.Module, blocks: Collection[str] = (), dtype: torch.dtype | None = None) -> Any:
        """``module`` as all processes train it together; call the result wherever ``module`` would be called.

        Args:
            module: Its forward is the whole computation that is differentiated.
            blocks: Names of the classes of layers that are gathered one by one, where weights are in parts.
            dtype: Of weights as they are gathered (they are kept in their own); None: their own.
        """
        if self.size == 1:
            return module
        if self.sharded:
            return self._shard(module, blocks, dtype)
        if not any(p.requires_grad for p in module.parameters()):
            return module
        from torch.nn.parallel import DistributedDataParallel

        with self._asking(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the new name of the argument does not exist in torch 2.11
            return DistributedDataParallel(module, broadcast_buffers=False)

    def _shard(self, module: nn.Module, blocks: Collection[str], dtype: torch.dtype | None) -> Any:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        kind = next(module.parameters()).device.type
        mesh = init_device_mesh(kind, (self.size,))
        policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
        for part in [m for m in module.modules() if type(m).__name__ in blocks]:
            fully_shard(part, mesh=mesh, mp_policy=policy)
        made: Any = fully_shard(module, mesh=mesh, mp_policy=policy)
        for part in (m for m in made.modules() if hasattr(m, "set_force_sum_reduction_for_comms")):
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)  # gloo cannot average
        return made

    def backward(self, loss: Tensor) -> None:
        """Add this process's part of the gradient; the sum over processes is the gradient."""
        averaged = self.size > 1 and not self.sharded  # as DDP does
        torch.autograd.backward(loss * self.size if averaged else loss)

    @contextlib.contextmanager
    def adding_up(self, module: Any, last: bool) -> Iterator[None]:
        """Around the forward and backward of a micro-batch: gradients are exchanged with the last one."""
        with module.no_sync() if hasattr(module, "no_sync") and not last else contextlib.nullcontext():
            yield

    def even(self, parts: Sequence[T]) -> list[tuple[T, bool]]:
        """This process's share of micro-batches, as many as every other has; False marks one that is there for that
        alone: it is run, since the others wait for it, and counts nothing."""
        mine = [(part, True) for part in self.share(parts)]
        if self.size > 1 and parts:
            mine += [(parts[0], False)] * (-(-len(parts) // self.size) - len(mine))
        return mine

    def broadcast(self, module: nn.Module) -> None:
        """Give everybody the leading process's weights."""
        if self.size > 1:
            with self._asking(), torch.no_grad():
                for tensor in module.state_dict().values():
                    moved = tensor.cpu()
                    torch.distributed.broadcast(moved, 0, group=self._talk)
                    tensor.copy_(moved)

    def close(self) -> None:
        """Leave, all together. (After an error nobody waits: the program ends.)"""
        if self.size > 1 and torch.distributed.is_initialized():
            self.together(lambda: None)
            torch.distributed.destroy_process_group()


def whole(tensor: Any) -> Any:
    """A tensor of which each process holds a part, put together (all must ask for it); others as they are."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def weights(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and whole tensors of a model, one after the other; what has two names comes under the first."""
    seen: set[int] = set()
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield name, whole(tensor.detach())


@torch.no_grad()
def load_weights(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy whole tensors into a model of which each process may hold a part."""
    own = module.state_dict()
    for name, tensor in state.items():
        own[name].copy_(_like(tensor, own[name]))


def _like(tensor: Tensor, own: Any) -> Tensor:
    """A whole tensor, which every process has, cut up as ``own`` is."""
    if not hasattr(own, "full_tensor"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(own.device), own.device_mesh, own.placements)


def whole_state(state: Any, *, keep: bool) -> Any:
    """An optimizer's or model's state with every tensor put together, on the CPU where it was in parts.

    All processes must ask; those that do not ``keep`` it take part and get None for such tensors.
    """
    if isinstance(state, dict):
        return {key: whole_state(value, keep=keep) for key, value in state.items()}
    if isinstance(state, list):
        return [whole_state(value, keep=keep) for value in state]
    if not hasattr(state, "full_tensor"):
        return state
    made = whole(state)
    return made.cpu() if keep else None


def split_state(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The inverse of `whole_state` for an optimizer that may hold parts."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    split: dict[Any, Any] = {}
    for number, entries in state["state"].items():
        p = parameters[number]
        split[number] = {name: _like(value, p) if value.shape == p.shape else value for name, value in entries.items()}
    return {**state, "state": split}


def open_world(*, parallel: str, deadline: float) -> World:
    """Join the other processes of the run, if it was started with several.

    Args:
        parallel: ``ddp`` or ``fsdp``.
        deadline: Seconds after which a process that says nothing is given up.

    Raises:
        PeerError: the others cannot be reached.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size <= 1:
        return World()
    world = World(int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_RANK", "0")), sharded=parallel == "fsdp")
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(world.local)
    with world._asking():
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
        world._talk = torch.distributed.new_group(backend="gloo", timeout=timedelta(seconds=deadline))
    return world
