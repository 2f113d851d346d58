"""Wrong input to the train command: one clear message that says what to do, and nothing left behind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pick import Pick
from runs import PICK, words
from test_run_directory import files, pretrained
from transformers.utils import is_peft_available

from agentrl.errors import (
    AgentRLError,
    ConfigError,
    ContextOverflow,
    EnvError,
    MissingExtra,
    RendererError,
    RunError,
    TrainingError,
    UnknownName,
)
from agentrl.training.command import main


def refused(argv: list[str], kind: type[AgentRLError], folder: Path) -> str:
    """Run, expect an error of this kind, and that the folder is as it was. Returns the message."""
    before = files(folder), sorted(folder.rglob("*"))
    with pytest.raises(kind) as caught:
        main(argv)
    assert isinstance(caught.value, AgentRLError)
    assert (files(folder), sorted(folder.rglob("*"))) == before, "something was left behind"
    return str(caught.value)


@pytest.mark.parametrize(
    ("argv", "kind", "says"),
    [
        (["--env", "webshp"], UnknownName, ["Unknown environment 'webshp'", "Did you mean 'webshop'?"]),
        (["--env", f"{PICK}:Pik"], UnknownName, ["'Pik'", "Did you mean 'Pick'?"]),
        (["--env", "./nowhere.py:Pick"], ConfigError, ["'./nowhere.py' does not exist"]),
        (["--env.nop", "1"], UnknownName, ["env.nop", "env.nap"]),
        (["--env.nap", "long"], ConfigError, ["env.nap", "'long'"]),
        (["--algo", "grop"], UnknownName, ["Unknown algorithm 'grop'", "Did you mean 'grpo'?"]),
        (["--algo.omega", "1"], UnknownName, ["algo.omega"]),
        (["--engine", "torhc"], ConfigError, ["engine.name", "torch"]),
        (["--train.lrr", "1"], UnknownName, ["train.lrr", "train.lr"]),
        (["--trane.lr", "1"], UnknownName, ["trane.lr", "train.lr"]),
        (["--train.lr", "fast"], ConfigError, ["train.lr", "'fast'"]),
        (["--train.lr", "-1"], ConfigError, ["train.lr", "greater than or equal to 0"]),
        (["--train.minibatches", "0"], ConfigError, ["train.minibatches", "greater than or equal to 1"]),
        (["--train.epochs", "0"], ConfigError, ["train.epochs"]),
        (["--train.steps", "-1"], ConfigError, ["train.steps"]),
        (["--run.save_every", "0"], ConfigError, ["run.save_every"]),
        (["--eval.every", "-1"], ConfigError, ["eval.every"]),
        (["--algo.group_size", "0"], ConfigError, ["algo.group_size"]),
        (["--rollout.groups", "0"], ConfigError, ["rollout.groups"]),
        (["--rollout.concurrency", "0"], ConfigError, ["rollout.concurrency"]),
        (["--rollout.temperature", "0"], ConfigError, ["rollout.temperature", "greedy"]),
        (["--rollout.top_p", "1.5"], ConfigError, ["rollout.top_p"]),
        (["--rollout.context", "windows"], ConfigError, ["rollout.context", "window"]),
        (["--engine.slots", "0"], ConfigError, ["engine.slots"]),
        (["--model.lora_rank", "8"], ConfigError, ["model.lora_rank", "embedded policy"]),
        (["--model.hidden", "30"], ConfigError, ["hidden=30", "multiple"]),
        (["--model.vocab_size", "10"], ConfigError, ["vocab_size=10", "too small"]),
        (["--model.device", "tpuu"], ConfigError, ["'tpuu' is no device"]),
        (["--algo.ratio", "sequence"], ConfigError, ["sequence", "seq-mean-token-mean"]),
        (["--config", "nowhere.toml"], ConfigError, ["'nowhere.toml' does not exist"]),
        (["everything"], ConfigError, ["Unexpected argument 'everything'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0].startswith("-") else None,
)
def test_wrong_settings(tmp_path: Path, argv: list[str], kind: type[AgentRLError], says: list[str]) -> None:
    message = refused([*words(tmp_path / "runs" / "run"), *argv], kind, tmp_path)
    assert all(word in message for word in says), message
    assert "Traceback" not in message and len(message) < 800


def test_a_gpu_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    message = refused(words(tmp_path / "run", "--model.device", "cuda"), ConfigError, tmp_path)
    assert "no usable GPU" in message and "--model.device cpu" in message


def test_a_library_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = pretrained(tmp_path / "base")
    is_peft_available()  # transformers remembers the first answer
    monkeypatch.setitem(sys.modules, "peft", None)
    more = ["--model", str(base), "--model.lora_rank", "2"]
    message = refused(words(tmp_path / "run", *more), MissingExtra, tmp_path)
    assert "pip install -e '.[lora]'" in message


# -- models -----------------------------------------------------------------------------------------------


def test_an_engine_that_is_not_installed_is_told_before_the_warm_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("agentrl.training.opening.embedded_policy", pytest.fail)
    with pytest.raises(MissingExtra, match=r"\[vllm\]"):
        main(words(tmp_path / "run", "--engine", "vllm"))
    assert not (tmp_path / "run").exists()


def test_a_model_folder_that_is_not_there(tmp_path: Path) -> None:
    message = refused(words(tmp_path / "run", "--model", str(tmp_path / "qwen")), ConfigError, tmp_path)
    assert f"There is no folder '{tmp_path / 'qwen'}'" in message


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    (tmp_path / "qwen").mkdir()
    (tmp_path / "qwen" / "README.md").write_text("soon")
    message = refused(words(tmp_path / "run", "--model", str(tmp_path / "qwen")), ConfigError, tmp_path)
    assert "holds no model (no config.json) and is no run directory" in message


def test_a_run_without_a_checkpoint_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.toml").write_text('[model]\nname = "tiny"\n')
    message = refused(words(tmp_path / "run", "--model", str(tmp_path / "old")), RunError, tmp_path)
    assert "has no checkpoint yet" in message


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_model_folder_with_a_broken_file(tmp_path: Path, name: str, how: str) -> None:
    file = pretrained(tmp_path / "base") / name
    half = file.read_bytes()[: file.stat().st_size // 2]
    file.unlink()
    if how == "cut":
        file.write_bytes(half)
    message = refused(words(tmp_path / "run", "--model", str(tmp_path / "base")), ConfigError, tmp_path)
    assert str(tmp_path / "base") in message and len(message.splitlines()) == 1


def test_a_model_without_a_chat_template(tmp_path: Path) -> None:
    base = pretrained(tmp_path / "base")
    (base / "chat_template.jinja").unlink()
    settings = json.loads((base / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    message = refused(words(tmp_path / "run", "--model", str(base)), RendererError, tmp_path)
    assert "chat template" in message and str(base) in message


# -- environments -----------------------------------------------------------------------------------------


def test_a_warm_up_needs_an_expert(tmp_path: Path) -> None:
    message = refused(words(tmp_path / "runs" / "run", env="Unguided"), ConfigError, tmp_path)
    assert "Unguided has no expert" in message and "--warmup.episodes 0" in message


def test_without_an_expert_and_without_a_warm_up_it_runs(tmp_path: Path) -> None:
    more = ["--warmup.episodes", "0", "--train.steps", "1"]
    assert main(words(tmp_path / "run", *more, env="Unguided")) == 0


@pytest.mark.parametrize(
    ("env", "more", "says"),
    [
        ("Pick", ["--env.broken"], "Pick broke while its expert played (seed"),
        ("Dead", [], "ConnectionError: no server"),
    ],
)
def test_an_environment_that_breaks_in_the_warm_up(tmp_path: Path, env: str, more: list[str], says: str) -> None:
    message = refused(words(tmp_path / "run", *more, env=env), EnvError, tmp_path)
    assert says in message and "agentrl envs check" in message


def test_an_environment_that_hangs_in_the_warm_up(tmp_path: Path) -> None:
    more = ["--env.nap", "2000", "--rollout.step_deadline", "0.2"]
    assert "no answer within 0.2 s" in refused(words(tmp_path / "run", *more), EnvError, tmp_path)


@pytest.mark.parametrize(
    ("env", "more", "stage", "error"),
    [
        ("Pick", ["--env.broken"], "step", "RuntimeError: the world is broken"),
        ("Dead", [], "reset", "ConnectionError: no server"),
        ("Pick", ["--env.nap", "2000", "--rollout.step_deadline", "0.1"], "step", "no answer within 0.1 s"),
    ],
)
def test_all_episodes_fail(tmp_path: Path, env: str, more: list[str], stage: str, error: str) -> None:
    base = pretrained(tmp_path / "base")
    with pytest.raises(TrainingError) as caught:
        main(words(tmp_path / "run", "--model", str(base), "--warmup.episodes", "0", *more, env=env))
    message = str(caught.value)
    assert (
        f"All 16 episodes of this step failed outside the policy; the first one in stage '{stage}': {error}" in message
    )
    assert "agentrl envs check" in message


def test_some_episodes_fail_and_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runs import metrics

    from agentrl.registry import import_file

    module = import_file(PICK)
    plain = module.Pick.step

    def flaky(self: Any, text: str) -> Any:
        if self.letter in "abc" and self.warm:
            raise RuntimeError("three letters are cursed")
        return plain(self, text)

    monkeypatch.setattr(module.Pick, "warm", False, raising=False)
    monkeypatch.setattr(module.Pick, "step", flaky)
    from agentrl.training import opening

    embedded = opening.embedded_policy

    def then_curse(*args: Any) -> Any:
        found = embedded(*args)
        module.Pick.warm = True
        return found

    monkeypatch.setattr(opening, "embedded_policy", then_curse)
    assert main(words(tmp_path / "run")) == 0
    lines = [m for m in metrics(tmp_path / "run") if m["kind"] == "train"]
    assert len(lines) == 6 and all(0 < m["failures"] < 16 for m in lines)
    assert all(m["stop/failed"] == m["failures"] / 16 for m in lines)


def test_a_prompt_longer_than_the_context(tmp_path: Path) -> None:
    base = pretrained(tmp_path / "base")
    with pytest.raises(ContextOverflow, match=r"first prompt.*has \d+ tokens, the model's context is 4"):
        main(words(tmp_path / "run", "--model", str(base), "--model.max_context", "4"))


def test_an_algorithm_of_ones_own_that_breaks(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import nothing_of_the_kind\n")
    argv = words(tmp_path / "run", "--algo", f"{tmp_path / 'mine.py'}:Mine")
    assert "nothing_of_the_kind" in refused(argv, ConfigError, tmp_path)


def test_the_help_and_the_plan_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert main(["--help"]) == 0
    assert main([*words(tmp_path / "run"), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "--train.lr" in out and "# memory" in out and sorted(tmp_path.rglob("*")) == before


def test_the_environment_of_these_tests_is_sound() -> None:
    env = Pick()
    env.reset(seed=1)
    assert env.step(env.expert())[3] is False and env.step(env.expert())[4]["won"]
