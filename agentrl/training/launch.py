"""``agentrl train --processes N``: start N processes of the same command on this machine, as torchrun does.

Several machines: ``torchrun --nnodes 2 ... -m agentrl.cli train ...`` or ``accelerate launch ... -m agentrl.cli train
...`` start the same processes; see `agentrl.training.world` for what they do.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from agentrl.errors import ConfigError, TrainingError

LAUNCHED = "AGENTRL_LAUNCHED"
"""Set in the processes that were started here."""
PR_SET_PDEATHSIG = 1


def launch(words: Sequence[str], processes: int, run_dir: Path) -> int:
    """Run ``agentrl train`` with ``words`` in each of the processes; returns the exit status.

    Ctrl-C is handed on to the processes, which end their step, save and leave. They do not outlive this one.

    Raises:
        TrainingError: a process was killed; the others are stopped.
    """
    import torch
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if torch.cuda.is_available() and processes > torch.cuda.device_count():
        raise ConfigError(
            f"--processes {processes}: each wants a GPU of its own, and there are {torch.cuda.device_count()}. "
            f"On the CPU: --model.device cpu, with no GPU visible (CUDA_VISIBLE_DEVICES='')."
        )
    for name in ("torch.distributed.elastic", "torch.distributed.launcher"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they tell stands below in one sentence
    os.environ[LAUNCHED] = "1"
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "600")  # a step may take long
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        signals_to_handle="SIGTERM,SIGHUP,SIGINT",
    )
    try:
        elastic_launch(config, sys.executable)("-m", "agentrl.cli", "train", *words)
    except SignalException as stopped:
        return 128 + stopped.sigval
    except ChildFailedError as failed:
        status = {rank: failure.exitcode for rank, failure in failed.failures.items()}
        if 130 in status.values():
            return 130
        said = [code for code in status.values() if code > 0]
        killed = {rank: code for rank, code in status.items() if code < 0}
        if said and set(killed.values()) <= {-signal.SIGTERM}:  # which the others get when one has failed
            return max(said)
        rank, code = next(iter(killed.items()))
        raise TrainingError(
            f"Process {rank} of {processes} was ended by {signal.Signals(-code).name}; the others are stopped. "
            f"Continue from the newest checkpoint: agentrl train --resume {run_dir} --processes {processes}"
        ) from None
    return 0


def end_with_parent() -> None:
    """In a process that `launch` started: be killed when the launcher is."""
    if LAUNCHED in os.environ and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:  # it was before we asked
            os._exit(1)
