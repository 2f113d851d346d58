"""From settings to engines; names and pieces of weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_models import tiny_model

from agentrl.config import Config
from agentrl.engines.making import choose_sync, make_engine
from agentrl.engines.torch_engine import TorchEngine
from agentrl.engines.weight_source import WeightSource, plain_name
from agentrl.engines.weight_sync import AdapterSync, FilesSync
from agentrl.errors import ConfigError, EngineError
from agentrl.settings import load


def settings(*argv: str) -> Any:
    return load(Config, argv).engine


def make(*argv: str) -> Any:
    return make_engine(settings(*argv), tiny_model(), max_context=64, tokenizer=None, dtype=torch.float32)


def test_the_native_engine_is_the_default() -> None:
    assert isinstance(make(), TorchEngine)
    assert settings("--engine", "vllm", "--engine.vllm.servers", "a:1,b:2").vllm.servers == ["a:1", "b:2"]


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="'inprocess' has no servers"):
        make("--engine", "vllm", "--engine.vllm.servers", "a:1", "--engine.vllm.sync", "inprocess")
    with pytest.raises(ConfigError, match="'nccl' is for servers"):
        make("--engine", "vllm", "--engine.vllm.sync", "nccl")
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9 cannot be reached"):
        make("--engine", "vllm", "--engine.vllm.servers", "http://127.0.0.1:9", "--engine.vllm.deadline", "5")


def choose(backend: str, *argv: str, model: Any = None) -> Any:
    server = SimpleNamespace(info={"model_config": {"dtype": "torch.bfloat16"}})
    engine = SimpleNamespace(backend=lambda: backend, call=None, servers=[server])
    return choose_sync(settings("--engine", "vllm", *argv).vllm, engine, model or tiny_model())


def test_the_way_is_what_the_servers_were_started_for() -> None:
    found = choose("agentrl_files")
    assert isinstance(found, FilesSync) and not found.reload and found.source.dtype == torch.bfloat16
    assert choose("").reload and choose("nccl", "--engine.vllm.sync", "files").reload
    with pytest.raises(ConfigError, match="'nccl' is set, but the servers were started for 'files'"):
        choose("agentrl_files", "--engine.vllm.sync", "nccl")
    with pytest.raises(ConfigError, match="sends from a GPU, and the policy is not on one"):
        choose("ipc")
    with pytest.raises(ConfigError, match="'modelexpress', which is not known here"):
        choose("modelexpress")


def test_adapters_go_alone() -> None:
    from agentrl.models import add_lora

    assert isinstance(choose("nccl", model=add_lora(tiny_model(), 2)), AdapterSync)


def test_names_are_those_of_the_checkpoint() -> None:
    from agentrl.models import add_lora

    plain = tiny_model()
    wrapped = add_lora(tiny_model(), 2)
    names = [name for name, _ in WeightSource(wrapped)]
    assert names == list(plain.state_dict()) and "lm_head.weight" in names
    assert all(torch.equal(tensor, plain.state_dict()[name]) for name, tensor in WeightSource(wrapped))
    assert plain_name("module._orig_mod.model.norm.weight") == "model.norm.weight"


def test_metadata_is_what_iterating_gives() -> None:
    source = WeightSource(tiny_model(), torch.bfloat16)
    given = list(source)
    assert [(p.name, p.dtype, p.shape) for p in source.metadata()] == [(n, t.dtype, tuple(t.shape)) for n, t in given]
    source.model.lm_head.weight.data.fill_(3)
    assert dict(source)["lm_head.weight"].eq(3).all()  # as they are now
    source.gather()
