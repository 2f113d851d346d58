"""Against a real vLLM server, see conftest.py: log-probabilities, updates, cache, entropies, pauses, a death."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from vllm_models import policy_model
from vllm_serving import Served, start_server, stop_server

from agentrl.engines.base import Completion, Sampling
from agentrl.engines.vllm_checks import reference
from agentrl.engines.vllm_http import Refused, Unreachable
from agentrl.engines.vllm_meeting import check_vocabulary
from agentrl.engines.vllm_servers import VllmServers
from agentrl.engines.weight_source import WeightSource
from agentrl.engines.weight_sync import FilesSync
from agentrl.errors import ConfigError, EngineError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

PROMPT = [(i * 37) % 500 + 3 for i in range(150)]


def connect(served: Served, model: Any, folder: Path, **settings: Any) -> VllmServers:
    """An engine on the server, with ``model`` as the learner's."""
    urls = settings.pop("urls", [served.url])
    size = int(model.get_input_embeddings().weight.shape[0])
    engine = VllmServers(urls, max_context=1024, vocabulary=size, tokenizer=served.tokenizer, deadline_s=60, **settings)
    engine.sync = FilesSync(WeightSource(model), folder, engine.call)
    return engine


@pytest.fixture
def engine(served: Served, tmp_path: Path) -> Iterator[VllmServers]:
    made = connect(served, served.model, tmp_path)
    made.load(served.model, 0)
    yield made
    asyncio.run(made.close())


def far(model: Any, prompt: list[int], found: Completion) -> tuple[float, float]:
    """Largest differences of log-probabilities and entropies from a plain forward pass."""
    logp, entropy = reference(model, prompt, found.ids)
    assert found.entropies is not None
    return (
        float((logp - torch.tensor(found.logprobs)).abs().max()),
        float((entropy - torch.tensor(found.entropies)).abs().max()),
    )


def test_numbers_are_the_learners(engine: VllmServers, served: Served) -> None:
    assert engine.exact_entropy and engine.entropy.name == "exact"

    async def several() -> list[Completion]:
        return await asyncio.gather(*(engine.sample(PROMPT, Sampling(40, seed=i, session=1)) for i in range(4)))

    found = asyncio.run(several())
    for one in found:
        logp, entropy = far(served.model, PROMPT, one)
        assert logp < 1e-4 and entropy < 1e-4, (logp, entropy)
        assert one.version == 0 and one.versions is None and one.finish == "length" and len(one.ids) == 40
    assert len({tuple(one.ids) for one in found}) == 4
    again = asyncio.run(engine.sample(PROMPT, Sampling(40, seed=2, session=1)))
    assert again.ids == found[2].ids  # the seed decides
    assert again.cached_tokens >= 96
    print("largest differences of log-probability and entropy:", far(served.model, PROMPT, again))


def test_a_tempered_turn_ends_at_its_stop_id_which_stays(engine: VllmServers, served: Served) -> None:
    free = asyncio.run(engine.sample(PROMPT, Sampling(40, temperature=0.7, seed=5)))
    stop = free.ids[10]
    found = asyncio.run(engine.sample(PROMPT, Sampling(40, temperature=0.7, seed=5, stop_ids=frozenset({stop}))))
    end = free.ids.index(stop) + 1
    assert found.ids == free.ids[:end] and found.finish == "stop"
    with torch.no_grad():
        logits = served.model(torch.tensor([PROMPT + found.ids])).logits[0, len(PROMPT) - 1 : -1] / 0.7
    ref = logits.log_softmax(-1).gather(-1, torch.tensor(found.ids)[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(found.logprobs), ref, atol=1e-4, rtol=0)
    greedy = asyncio.run(engine.sample(PROMPT, Sampling(5, temperature=0)))
    assert greedy.ids[0] == int(served.model(torch.tensor([PROMPT])).logits[0, -1].argmax())
    assert far(served.model, PROMPT, greedy)[0] < 1e-4  # of the untempered distribution


def test_new_weights_are_sampled_from_and_nothing_old_is_reused(engine: VllmServers, served: Served) -> None:
    asyncio.run(engine.sample(PROMPT, Sampling(4)))
    new = policy_model(engine.vocabulary, seed=7)
    engine.sync = FilesSync(WeightSource(new), engine.sync.folder, engine.call)  # type: ignore[union-attr]
    started = time.perf_counter()
    engine.load(new, 1)
    print(f"update took {time.perf_counter() - started:.2f} s")
    found = asyncio.run(engine.sample(PROMPT, Sampling(20, seed=3)))
    logp, entropy = far(new, PROMPT, found)
    assert logp < 1e-4 and entropy < 1e-4
    assert found.version == 1 and found.cached_tokens == 0
    assert asyncio.run(engine.sample(PROMPT, Sampling(4))).cached_tokens >= 96
    assert not list(engine.sync.folder.iterdir())


def test_a_turn_across_an_update_names_the_version_of_each_token(engine: VllmServers, served: Served) -> None:
    new = policy_model(engine.vocabulary, seed=8)
    engine.sync = FilesSync(WeightSource(new), engine.sync.folder, engine.call)  # type: ignore[union-attr]
    engine.mismatch_limit = None

    async def both() -> Completion:
        under_way = asyncio.create_task(engine.sample(PROMPT, Sampling(600, seed=1)))
        await asyncio.sleep(1.0)
        await asyncio.to_thread(engine.load, new, 1)
        return await under_way

    found = asyncio.run(both())
    assert found.versions is not None, "the turn was over before the update"
    assert found.version == 0 and found.versions[0] == 0 and found.versions[-1] == 1
    assert found.versions == sorted(found.versions) and len(found.versions) == len(found.ids) == 600
    print("tokens of the old version:", found.versions.count(0), "of the new:", found.versions.count(1))


def test_nothing_is_sampled_during_a_pause_and_it_goes_on_after(engine: VllmServers) -> None:
    server = engine.servers[0]

    async def run() -> tuple[bool, Completion]:
        under_way = asyncio.create_task(engine.sample(PROMPT, Sampling(500, seed=1)))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(engine.call, server.post("/pause", mode="keep", clear_cache="false"))
        await asyncio.sleep(4)
        still = not under_way.done()
        await asyncio.to_thread(engine.call, server.post("/resume"))
        return still, await under_way

    still, found = asyncio.run(run())
    assert still and len(found.ids) == 500


def test_a_cancelled_request_leaves_the_server(engine: VllmServers) -> None:
    async def run() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await engine.sample(PROMPT, Sampling(800, seed=1))
        await asyncio.sleep(1)

    asyncio.run(run())
    text = engine.call(engine.servers[0].get("/metrics"))
    running = [line for line in text.splitlines() if line.startswith("vllm:num_requests_running")]
    assert running and all(float(line.rsplit(" ", 1)[1]) == 0 for line in running), running
    assert engine.servers[0].running == 0


def test_an_update_that_breaks_in_the_middle_is_told_and_mended(
    engine: VllmServers, served: Served, tmp_path: Path
) -> None:
    class Half(WeightSource):
        """Weights of which one has a wrong shape."""

        def __iter__(self) -> Any:
            for name, tensor in super().__iter__():
                yield name, tensor[:-1] if name == "model.layers.1.mlp.down_proj.weight" else tensor

    whole, engine.sync = engine.sync, FilesSync(Half(served.model), tmp_path / "half", engine.call)
    with pytest.raises(EngineError, match="no vLLM server took the weights of version 1"):
        engine.load(served.model, 1)
    with pytest.raises(EngineError, match="no weights of this run"):
        asyncio.run(engine.sample(PROMPT, Sampling(4)))
    engine.sync = whole
    engine.load(served.model, 2)
    found = asyncio.run(engine.sample(PROMPT, Sampling(10)))
    assert found.version == 2 and far(served.model, PROMPT, found)[0] < 1e-4


def test_a_trainer_that_died_between_start_and_finish_is_followed_by_another(
    engine: VllmServers, served: Served, tmp_path: Path
) -> None:
    server = engine.servers[0]
    engine.call(server.post("/pause", mode="keep", clear_cache="false"))
    engine.call(server.post("/start_weight_update"))
    asyncio.run(engine.close())
    second = connect(served, served.model, tmp_path / "second")
    second.load(served.model, 0)
    assert far(served.model, PROMPT, asyncio.run(second.sample(PROMPT, Sampling(10))))[0] < 1e-4
    asyncio.run(second.close())


def test_another_run_on_the_same_server_is_noticed(engine: VllmServers, served: Served, tmp_path: Path) -> None:
    other = connect(served, served.model, tmp_path / "other")
    other.load(served.model, 0)
    with pytest.raises(EngineError, match="which this run has not sent"):
        asyncio.run(engine.sample(PROMPT, Sampling(4)))
    asyncio.run(other.close())


def test_the_wrong_model_is_refused(engine: VllmServers, served: Served) -> None:
    for size in (engine.vocabulary - 1, engine.vocabulary + 1):  # as if the folder could not be read
        with pytest.raises(ConfigError, match="another number of tokens"):
            engine.call(check_vocabulary(engine.servers[0], size))
    with pytest.raises(ConfigError, match="a model of 542 tokens, the policy has 500"):
        VllmServers([served.url], max_context=512, vocabulary=500, deadline_s=60)
    from agentrl.tiny import train_tokenizer

    other = train_tokenizer(["The red shirt, size XL"], vocab_size=600)
    with pytest.raises(ConfigError, match="another tokenizer"):
        VllmServers([served.url], max_context=512, vocabulary=len(served.tokenizer), tokenizer=other, deadline_s=60)


def test_a_lower_bound_where_exact_entropies_are_not_wanted(served: Served, tmp_path: Path) -> None:
    engine = connect(served, served.model, tmp_path, entropy="topk", topk=20)
    engine.load(served.model, 0)
    found = asyncio.run(engine.sample(PROMPT, Sampling(20)))
    _, exact = reference(served.model, PROMPT, found.ids)
    assert found.entropies is not None and not engine.exact_entropy
    assert all(0 < low <= high + 1e-4 for low, high in zip(found.entropies, exact.tolist(), strict=True))
    assert engine.entropy.name == "a lower bound from the 20 likeliest tokens"
    asyncio.run(engine.close())


def test_completions_do_where_generate_is_missing(engine: VllmServers, served: Served) -> None:
    engine.servers[0].generates = False
    found = asyncio.run(engine.sample(PROMPT, Sampling(20, seed=4)))
    assert max(far(served.model, PROMPT, found)) < 1e-4
    assert found.cached_tokens >= 0 and found.version == 0


def test_unknown_routes_and_ports(engine: VllmServers) -> None:
    with pytest.raises(Refused, match="HTTP 404"):
        engine.call(engine.servers[0].get("/nowhere"))
    with pytest.raises(Unreachable, match="cannot be reached"):
        VllmServers(["http://127.0.0.1:9"], max_context=512, vocabulary=10, deadline_s=10)


def test_a_server_killed_in_the_middle(served: Served, policy_folder: Path, tmp_path: Path) -> None:
    url, process = start_server(policy_folder, tmp_path / "second.log", "--sync", "files")
    try:
        engine = connect(served, served.model, tmp_path, urls=[served.url, url])
        engine.load(served.model, 0)
        engine.router.pick(1)  # session 1 lives on the first server, session 2 on the second
        assert str(engine.router.pick(2)) == url

        async def run() -> list[Completion]:
            tasks = [asyncio.create_task(engine.sample(PROMPT, Sampling(400, seed=s, session=s))) for s in (1, 2)]
            await asyncio.sleep(1)
            threading.Thread(target=os.killpg, args=(process.pid, signal.SIGKILL)).start()
            return await asyncio.gather(*tasks)

        found = asyncio.run(run())
        assert [len(one.ids) for one in found] == [400, 400]  # the second was asked again elsewhere
        assert [server.usable for server in engine.servers] == [True, False]
        engine.load(served.model, 1)  # without the dead one
        assert asyncio.run(engine.sample(PROMPT, Sampling(4, session=2))).version == 1
        asyncio.run(engine.close())

        alone = connect(served, served.model, tmp_path)
        alone.load(served.model, 0)
        alone.servers[0].url = url  # as if the only server had died
        with pytest.raises(EngineError, match="no vLLM server is left"):
            asyncio.run(alone.sample(PROMPT, Sampling(4)))
        with pytest.raises(EngineError, match="no vLLM server took the weights"):
            alone.load(served.model, 1)
        asyncio.run(alone.close())
    finally:
        stop_server(process)


def test_many_seeded_requests_with_long_prompts_at_once(engine: VllmServers, served: Served) -> None:
    """vLLM's CPU build dies of seeded requests whose prompts it computes in parts; it must not be let to."""
    prompts = [[(i * k) % 500 + 3 for i in range(900)] for k in range(1, 13)]

    async def all_at_once() -> list[Completion]:
        return await asyncio.gather(*(engine.sample(p, Sampling(8, seed=k, session=k)) for k, p in enumerate(prompts)))

    found = asyncio.run(all_at_once())
    assert max(far(served.model, p, one)[0] for p, one in zip(prompts, found, strict=True)) < 1e-4
