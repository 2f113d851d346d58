"""What agentrl adds to vLLM where both are installed: an entry point of the group ``vllm.general_plugins``.

vLLM calls `load` in each of its processes. The backend for weights by files is always offered; the entropies, which
change what others see of log-probabilities, only with the environment variable `ENTROPY` (``agentrl serve-vllm``
sets it).
"""

from __future__ import annotations

import os

from agentrl.engines.weight_sync import FILES

ENTROPY = "AGENTRL_VLLM_ENTROPY"


def load() -> None:
    """Register and, where asked for, install. May be called several times."""
    from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory as Factory

    if FILES not in Factory._registry:
        Factory.register_engine(FILES, "agentrl.engines.vllm_files", "FilesEngine")
    if os.environ.get(ENTROPY) == "1":
        from agentrl.engines import vllm_entropy

        vllm_entropy.install()
