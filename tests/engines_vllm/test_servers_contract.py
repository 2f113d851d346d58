"""The engine over recorded answers: meeting, updating, routing, losing servers."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_vllm import ANSWERS, VOCABULARY, FakeVllm, fleet
from safetensors.torch import load_file
from tiny_models import tiny_model

from agentrl.engines.base import Engine, Sampling
from agentrl.engines.vllm_servers import COUNTED, VllmServers
from agentrl.engines.weight_source import WeightSource
from agentrl.engines.weight_sync import AdapterSync, FilesSync, mend
from agentrl.errors import AgentRLError, ConfigError, EngineError

Connect = Callable[..., VllmServers]
ROUND = ["/start_weight_update", "/update_weights", "/finish_weight_update"]
MEND = ["/finish_weight_update", "/start_weight_update", "/finish_weight_update"]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    made: list[VllmServers] = []

    def connect(*fakes: FakeVllm, **settings: Any) -> VllmServers:
        names = {f"s{i}:8000": fake for i, fake in enumerate(fakes)}
        usual: dict[str, Any] = {"max_context": 900, "vocabulary": VOCABULARY, "deadline_s": 5, "mismatch_limit": None}
        engine = VllmServers([f"http://{n}" for n in names], transport=fleet(names), **{**usual, **settings})
        engine.sync = FilesSync(WeightSource(tiny_model()), tmp_path / "weights", engine.call)
        made.append(engine)
        return engine

    yield connect
    for engine in made:
        asyncio.run(engine.close())


def sample(engine: VllmServers, session: int = 0, **sampling: Any) -> Any:
    return asyncio.run(engine.sample([5, 6, 7], Sampling(3, session=session, **sampling)))


def test_it_is_an_engine_and_takes_the_smaller_context(connect: Connect) -> None:
    engine = connect(FakeVllm(), max_context=5000)
    assert isinstance(engine, Engine) and engine.max_context == 1024
    assert engine.backend() == "agentrl_files"
    with engine.working():
        engine.rest()


def test_nothing_is_sampled_before_weights_came(connect: Connect) -> None:
    fake = FakeVllm()
    fake.paused = fake.updating = True  # what a trainer that died left behind
    engine = connect(fake)
    with pytest.raises(EngineError, match="no weights of this run yet"):
        sample(engine)
    assert not fake.bodies
    engine.load(None, 0)
    found = sample(engine)
    assert found.version == 0 and found.ids == [442, 441, 350] and engine.exact_entropy
    assert found.entropies == pytest.approx([5.71137, 5.57731, 5.61575], abs=1e-4)
    assert fake.bodies[-1]["cache_salt"] == fake.label == f"{engine.labels.run}:0"
    assert engine.stats()["decoded_tokens"] == 3 and engine.stats() == {**dict.fromkeys(COUNTED, 0), "servers": 1}


def test_an_update_is_a_round_trip_between_pause_and_resume(connect: Connect) -> None:
    fake = FakeVllm()
    engine = connect(fake)
    fake.seen.clear()
    engine.load(None, 0)
    assert fake.seen == ["/pause?mode=keep", "/init_weight_transfer_engine", *MEND, *ROUND, "/resume"]
    fake.seen.clear()
    engine.load(None, 1)
    assert fake.seen == ["/pause?mode=keep", *ROUND, "/resume"]
    assert fake.label.endswith(":1") and not Path(fake.sent["path"]).exists()


def test_a_broken_update_is_told_and_the_next_one_mends(connect: Connect) -> None:
    fake = FakeVllm()
    engine = connect(fake)
    engine.load(None, 0)
    fake.broken = True
    with pytest.raises(EngineError, match=r"no vLLM server took the weights of version 1.*weight_loader"):
        engine.load(None, 1)
    assert fake.seen[-1] == "/pause?mode=abort" and fake.paused  # what it was at does not go on with half of them
    with pytest.raises(EngineError, match="no weights of this run yet"):
        sample(engine)
    fake.seen.clear()
    engine.load(None, 2)
    assert fake.seen == ["/pause?mode=keep", *MEND, *ROUND, "/resume"]
    assert sample(engine).version == 2


def test_an_interrupt_in_the_middle_leaves_servers_paused(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeVllm()
    engine = connect(fake)
    engine.load(None, 0)

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(engine.sync, "publish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.load(None, 1)
    assert fake.paused and not engine.servers[0].usable
    with pytest.raises(EngineError, match="no vLLM server is left"):
        sample(engine)


def test_servers_on_the_learners_gpu_sleep_while_it_learns(connect: Connect) -> None:
    fake = FakeVllm()
    fake.info["vllm_config"]["model_config"]["enable_sleep_mode"] = True
    for path in ("/sleep", "/wake_up"):
        fake.overrides[path] = (200, {"status": "ok"})
    engine = connect(fake)
    engine.load(None, 0)
    fake.seen.clear()
    engine.rest()
    assert fake.seen == ["/sleep?level=2&mode=abort"]
    with pytest.raises(EngineError, match="no vLLM server is left"):
        sample(engine)
    fake.seen.clear()
    engine.load(None, 1)
    wake = ["/wake_up?tags=weights", "/wake_up?tags=kv_cache"]
    assert fake.seen == ["/pause?mode=keep", wake[0], *MEND, *ROUND, wake[1], "/resume"]
    assert sample(engine).version == 1


def test_servers_without_the_plugin_reload_a_file(connect: Connect) -> None:
    fake = FakeVllm()
    fake.info["vllm_config"]["weight_transfer_config"] = None
    fake.overrides["/collective_rpc"] = (200, {"results": [None]})
    engine = connect(fake)
    assert engine.backend() == ""
    engine.sync = FilesSync(engine.sync.source, engine.sync.folder, engine.call, reload=True)  # type: ignore[union-attr]
    fake.seen.clear()
    engine.load(None, 0)
    assert fake.seen == ["/pause?mode=keep", "/collective_rpc", "/update_weight_version", "/resume"]
    assert sample(engine).version == 0


def test_the_file_holds_the_weights_under_their_names(tmp_path: Path) -> None:
    model = tiny_model()
    model.lm_head.weight = model.model.embed_tokens.weight  # type: ignore[union-attr, assignment]
    sync = FilesSync(WeightSource(model, torch.bfloat16), tmp_path, lambda work: None)
    folder = sync._write("run:3")
    found = load_file(str(folder / "model.safetensors"))
    assert set(found) == set(model.state_dict()) and "lm_head.weight" in found
    assert all(torch.equal(found[name], tensor.bfloat16()) for name, tensor in model.state_dict().items())


def test_a_folder_that_cannot_be_written(connect: Connect, tmp_path: Path) -> None:
    fake = FakeVllm()
    engine = connect(fake)
    (tmp_path / "file").write_text("")
    engine.sync = FilesSync(WeightSource(tiny_model()), tmp_path / "file", engine.call)
    with pytest.raises(EngineError, match=r"cannot be written to .*--engine.vllm.sync-dir"):
        engine.load(None, 0)


def test_sessions_stay_with_their_server(connect: Connect) -> None:
    fakes = [FakeVllm(), FakeVllm(), FakeVllm()]
    engine = connect(*fakes)
    engine.load(None, 0)
    for fake in fakes:
        fake.bodies.clear()
    for _ in range(3):
        for session in range(6):
            sample(engine, session)
    assert [len(fake.bodies) for fake in fakes] == [6, 6, 6]
    homes = [engine.router.pick(session) for session in range(6)]
    assert homes == engine.servers * 2


def test_a_lost_server_is_left_out_until_an_update_reaches_it(connect: Connect) -> None:
    fakes = [FakeVllm(), FakeVllm()]
    engine = connect(*fakes)
    engine.load(None, 0)
    sample(engine, 0), sample(engine, 1)
    fakes[1].delay = 0.3

    async def dies() -> Any:
        task = asyncio.create_task(engine.sample([5], Sampling(3, session=1)))
        await asyncio.sleep(0.1)
        fakes[1].dead = True
        return await task

    before = len(fakes[0].bodies)
    assert asyncio.run(dies()).ids == [442, 441, 350] and len(fakes[0].bodies) == before + 1
    assert [server.usable for server in engine.servers] == [True, False]
    engine.load(None, 1)
    assert sample(engine, 1).version == 1
    fakes[1].dead, fakes[1].delay, fakes[1].label = False, 0.0, "default"
    fakes[1].seen.clear()
    engine.load(None, 2)
    assert fakes[1].seen == ["/pause?mode=keep", *MEND, *ROUND, "/resume"] and engine.servers[1].usable
    for fake in fakes:
        fake.dead = True
    with pytest.raises(
        EngineError, match=r"no vLLM server is left of http://s0:8000, http://s1:8000.*cannot be reached"
    ):
        sample(engine)
    with pytest.raises(EngineError, match=r"no vLLM server took the weights of version 3.*cannot be reached"):
        engine.load(None, 3)


def test_a_server_that_was_started_again_is_noticed(connect: Connect) -> None:
    fakes = [FakeVllm(), FakeVllm()]
    engine = connect(*fakes)
    engine.load(None, 0)
    fakes[0].label = "default"
    assert sample(engine, 0).version == 0 and not engine.servers[0].usable


def test_what_a_server_refuses_is_told_and_not_asked_elsewhere(connect: Connect) -> None:
    fakes = [FakeVllm(), FakeVllm()]
    engine = connect(*fakes)
    engine.load(None, 0)
    fakes[0].overrides["/inference/v1/generate"] = tuple(ANSWERS["toolong"])
    with pytest.raises(EngineError, match="longer than the maximum model length of 1024"):
        sample(engine, 0)
    fakes[0].overrides["/inference/v1/generate"] = (500, {"error": {"message": "EngineDeadError"}})
    assert sample(engine, 0).ids


@pytest.mark.parametrize(
    ("ids", "sampling", "message"),
    [
        ([], Sampling(3), "empty prompt"),
        ([1] * 900, Sampling(3), "leaves no room in a context of 900"),
        ([1], Sampling(0), "at least 1"),
        ([VOCABULARY], Sampling(3), "ids from 542 to 542"),
        ([-1], Sampling(3), "ids from -1"),
    ],
)
def test_bad_prompts(connect: Connect, ids: list[int], sampling: Sampling, message: str) -> None:
    engine = connect(FakeVllm())
    engine.load(None, 0)
    with pytest.raises(EngineError, match=message):
        asyncio.run(engine.sample(ids, sampling))


def _set(**values: Any) -> Callable[[FakeVllm], None]:
    return lambda fake: [setattr(fake, key, value) for key, value in values.items()] and None


def _answers(path: str, status: int, body: Any) -> Callable[[FakeVllm], None]:
    return lambda fake: fake.overrides.update({path: (status, body)})


def _raw(fake: FakeVllm) -> None:
    fake.info["vllm_config"]["model_config"]["logprobs_mode"] = "raw_logprobs"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_set(version="0.29.1"), "is vLLM 0.29.1; those from 0.30 to before 0.34"),
        (_set(version="0.34.0"), "is vLLM 0.34.0"),
        (_set(dead=True), "s0:8000 cannot be reached"),
        (_answers("/server_info", 404, {"detail": "Not Found"}), "VLLM_SERVER_DEV_MODE=1"),
        (_answers("/version", 404, {"detail": "Not Found"}), "refused /version: HTTP 404"),
        (_answers("/version", 200, {"name": "nginx"}), "does not answer like a vLLM server"),
        (_answers("/v1/models", 200, {"data": []}), "does not answer like a vLLM server"),
        (_raw, "processed_logprobs"),
    ],
)
def test_servers_that_will_not_do(connect: Connect, spoil: Callable[[FakeVllm], None], message: str) -> None:
    fake = FakeVllm()
    spoil(fake)
    with pytest.raises(AgentRLError, match=message):
        connect(fake)


def test_another_tokenizer_or_vocabulary(connect: Connect, tmp_path: Path) -> None:
    def tokenizer(text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [1, 2, 3]}

    with pytest.raises(ConfigError, match="has another tokenizer than the policy"):
        connect(FakeVllm(), tokenizer=tokenizer)
    assert connect(FakeVllm(), tokenizer=lambda *_, **__: {"input_ids": ANSWERS["tokenize"][1]["tokens"]})
    for size in (VOCABULARY - 1, VOCABULARY + 1):
        engine = connect(FakeVllm(), vocabulary=size)
        with pytest.raises(ConfigError, match=f"number of tokens than the policy's {size}"):
            engine.load(tiny_model(vocab=size), 0)
    fake = FakeVllm()
    fake.overrides["/v1/models"] = (200, {"data": [{"id": "p", "max_model_len": 9, "root": str(tmp_path)}]})
    (tmp_path / "config.json").write_text('{"vocab_size": 7}')
    with pytest.raises(ConfigError, match="a model of 7 tokens, the policy has 542"):
        connect(fake)
    (tmp_path / "config.json").write_text('{"vocab_size": 542, "tie_word_embeddings": true}')
    with pytest.raises(ConfigError, match="tied to the embedding"):
        connect(fake)


def test_weights_that_are_not_the_learners_are_noticed(connect: Connect) -> None:
    engine = connect(FakeVllm(), mismatch_limit=0.2)
    with pytest.raises(EngineError, match="differ from the learner's by"):
        engine.load(tiny_model(vocab=VOCABULARY), 0)


def test_entropies_where_the_plugin_is_missing(connect: Connect) -> None:
    model = tiny_model(vocab=VOCABULARY)
    plain = FakeVllm()
    answer = copy.deepcopy(ANSWERS["topk"][1])

    async def sampled(path: str, body: dict[str, Any]) -> Any:
        answer["choices"][0]["weight_versions"][0]["version"] = plain.label
        for at in answer["choices"][0]["logprobs"]["content"]:
            at["top_logprobs"] = [top for top in at["top_logprobs"] if top["token_id"] < VOCABULARY]
        return ANSWERS["vocab"] if body["token_ids"][-1:] == [VOCABULARY] else (200, answer)

    plain._sample = sampled  # type: ignore[method-assign]
    engine = connect(plain)
    engine.load(model, 0)
    assert not engine.exact_entropy and engine.entropy.name == "a lower bound from the 20 likeliest tokens"
    wanted = connect(plain, entropy="exact")
    with pytest.raises(ConfigError, match="give no exact entropies"):
        wanted.load(model, 0)


def test_adapters_alone_travel_where_only_they_are_trained(connect: Connect, tmp_path: Path) -> None:
    from agentrl.models import add_lora

    model = add_lora(tiny_model(), 4)
    fake = FakeVllm()
    engine = connect(fake)
    engine.sync = AdapterSync(model, tmp_path, engine.call)
    with pytest.raises(EngineError, match="takes no adapters at run time"):
        engine.load(None, 0)
    taken: list[str] = []

    async def reply(path: str, query: Any, body: dict[str, Any]) -> Any:
        if path != "/v1/load_lora_adapter":
            return await FakeVllm._reply(fake, path, query, body)
        taken.extend(sorted(p.name for p in Path(body["lora_path"]).iterdir()))
        assert body["load_inplace"] and body["lora_name"] == "agentrl"
        return 200, "ok"

    fake._reply = reply  # type: ignore[method-assign]
    engine.load(None, 1)
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(taken)
    assert sample(engine).version == 1 and fake.bodies[-1]["model"] == "agentrl"


def test_a_server_without_generate_is_asked_for_completions(connect: Connect) -> None:
    fake = FakeVllm()
    fake.overrides["/inference/v1/generate"] = (403, {"error": {"message": "scale-out is off"}})
    engine = connect(fake)
    engine.load(None, 4)
    found = sample(engine)
    assert found.ids == [442, 441, 350] and found.version == 4
    assert fake.bodies[-1]["return_tokens_as_token_ids"] is True


def test_no_answer_in_time_and_cancelling(connect: Connect) -> None:
    fake = FakeVllm()
    engine = connect(fake, sample_s=0.2, deadline_s=0.5)
    engine.load(None, 0)
    fake.delay = 30

    async def cancelled() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await engine.sample([5], Sampling(3))
        await asyncio.sleep(0.1)

    asyncio.run(cancelled())
    assert engine.servers[0].running == 0
    with pytest.raises(EngineError, match="gave no answer within 1 s"):
        engine.call(engine.servers[0].ask("/inference/v1/generate", {"token_ids": [5]}, 30))
    engine.call(mend(engine.servers[0]))


def test_a_closed_engine(connect: Connect) -> None:
    engine = connect(FakeVllm())
    engine.load(None, 0)
    asyncio.run(engine.close())
    asyncio.run(engine.close())
    with pytest.raises(EngineError, match="was closed"):
        sample(engine)
