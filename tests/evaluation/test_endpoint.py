"""OpenAI-compatible endpoints: what may pass is tried again, and nothing is scored that was not played."""

from __future__ import annotations

import asyncio
import json
import re
import time
from itertools import chain, cycle, repeat
from pathlib import Path
from typing import Any

import pytest
from chat_server import FAULTS, ChatServer
from eval_toys import written

from agentrl.engines.base import Sampling
from agentrl.engines.messages import MessageBook, as_native, as_text
from agentrl.engines.openai import ChatClient, EndpointSettings, Reply
from agentrl.engines.pace import Pace, retry_after
from agentrl.errors import ConfigError, EngineError
from agentrl.evaluation.command import main
from agentrl.evaluation.record import Outcome
from agentrl.evaluation.store import read

QUICK = ["--endpoint.request_deadline", "2", "--trial.concurrency", "16"]


def numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", text)]


def even(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str:
    """Right, except for multiples of five."""
    n = numbers(messages[-1]["content"])[0]
    return "yes" if (n % 2 == 0) != (n % 5 == 0) else "no"


def one_and_two(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Adds these for ever."""
    return [("add", '{"a": 1, "b": 2}')]


def table(outcomes: list[Outcome]) -> list[tuple[Any, ...]]:
    """What must not depend on how the network behaved."""
    return [(o.task, o.seed, o.won, o.score, o.reward, o.turns, o.stop, o.failure, o.tokens) for o in outcomes]


def evaluate(tmp_path: Path, url: str, *flags: str, env: str = "Even", out: str = "out") -> list[Outcome]:
    words = ["--env", written(tmp_path, env), "--model", url, "--out", str(tmp_path / out), *QUICK, *flags]
    main(words)
    return read(tmp_path / out)


def test_every_fault_that_passes_leaves_no_trace(tmp_path: Path) -> None:
    with ChatServer(even) as server:
        good = evaluate(tmp_path, server.url, "--trial.episodes", "120", out="good")
    with ChatServer(even, cycle([one for fault in FAULTS for one in ("ok", "ok", fault)])) as server:
        bad = evaluate(tmp_path, server.url, "--trial.episodes", "120", out="bad")
        assert all(server.served[fault] >= 5 for fault in FAULTS)
        assert len(server.asked) >= 170
    assert table(bad) == table(good) and len(good) == 120
    assert 0.7 < sum(o.won for o in good) / 120 < 0.95
    assert all(o.tokens == 3 and o.tokens_read == 20 for o in good)  # as the server counted: system and task


def test_what_does_not_pass_is_a_failure_and_is_played_the_next_time(tmp_path: Path) -> None:
    def faulty(body: dict[str, Any]) -> str:
        return FAULTS[n // 3 % len(FAULTS)] if (n := numbers(body["messages"][-1]["content"])[0]) % 3 == 0 else "ok"

    flags = ("--trial.episodes", "40", "--endpoint.tries", "2", "--endpoint.served", "toy-model")
    with ChatServer(even) as server:
        good = evaluate(tmp_path, server.url, *flags, out="good")
    with ChatServer(even, faulty) as server:
        broken = evaluate(tmp_path, server.url, *flags)
    lost = {o.task for o in good if numbers(o.opening)[0] % 3 == 0}
    assert 5 < len(lost) < 25
    for o in broken:
        assert (o.failure is not None) == (o.task in lost)
        assert o.failure is None or (o.failure.stage == "sample" and "2 tries" in o.failure.error and not o.won)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["summary"]
    played = [o for o in good if o.task not in lost]
    assert summary["failures"] == len(lost) and summary["broken"] == {"sample": len(lost)}
    assert summary["success"] == pytest.approx(sum(o.won for o in played) / len(played))
    assert summary["success_of_all"] == pytest.approx(sum(o.won for o in played) / 40)
    with ChatServer(even) as server:  # at another address, where the model may be another one, unless it is named
        again = evaluate(tmp_path, server.url, *flags)
        assert len(server.asked) == len(lost)  # only what was missing
    assert table(again) == table(good)


def test_a_server_that_is_down_ends_the_evaluation_and_loses_nothing(tmp_path: Path) -> None:
    faults = chain(repeat("ok", 20), repeat("500"))
    flags = ("--trial.episodes", "100", "--endpoint.tries", "1", "--trial.give_up", "10", "--trial.concurrency", "4")
    with ChatServer(even, faults) as server, pytest.raises(EngineError, match="10 episodes in a row"):
        evaluate(tmp_path, server.url, *flags)
    kept = read(tmp_path / "out")
    assert sum(o.failure is None for o in kept) == 20 and 30 <= len(kept) <= 34


@pytest.mark.parametrize(("fault", "told"), [("401", "OPENAI_API_KEY"), ("404", "no model 'toy-model'")])
def test_what_can_never_pass_is_told_at_once(tmp_path: Path, fault: str, told: str) -> None:
    with ChatServer(even, repeat(fault)) as server, pytest.raises(ConfigError, match=told):
        evaluate(tmp_path, server.url, "--trial.episodes", "50")
    assert len(server.asked) <= 16  # those in flight


def test_a_prompt_that_is_too_long_is_no_failure(tmp_path: Path) -> None:
    def faulty(body: dict[str, Any]) -> str:
        return "too long" if len(body["messages"]) > 2 else "ok"

    with ChatServer(one_and_two, faulty) as server:
        found = evaluate(tmp_path, server.url, "--trial.episodes", "3", env="Sums")
    assert {(o.stop, o.failure, o.turns) for o in found} == {("context_full", None, 1)}
    with ChatServer(even, repeat("too long")) as server:
        first = evaluate(tmp_path, server.url, "--trial.episodes", "40", out="first")
    assert {(o.failure.stage, o.turns) for o in first if o.failure} == {("parse", 0)} and len(first) == 40


def sums(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str | list[tuple[str, str]]:
    """Calls the tool, badly at first for odd numbers, and then answers."""
    a, b = numbers(next(m["content"] for m in messages if m["role"] == "user" and "plus" in m["content"]))
    last = messages[-1]
    if last["role"] == "tool":
        return str(last["content"])
    if last["content"].startswith("<tool_response>"):
        return str(numbers(last["content"])[0])
    if not tools:
        return f'I add.\n<tool_call>\n{{"name": "add", "arguments": {{"a": {a}, "b": {b}}}}}\n</tool_call>'
    broken = a % 2 and not any("Error" in str(m["content"]) for m in messages)
    return [("add", "{oops" if broken else json.dumps({"a": a, "b": b}))]


def test_tools_natively_and_in_text(tmp_path: Path) -> None:
    with ChatServer(sums) as server:
        native = evaluate(tmp_path, server.url, "--trial.episodes", "20", env="Sums", out="native")
        assert all(body["tools"][0]["function"]["name"] == "add" for body in server.asked)
        last = max(server.asked, key=lambda body: len(body["messages"]))["messages"]
        assert last[-1]["role"] == "tool" and last[-1]["tool_call_id"] == last[-2]["tool_calls"][0]["id"]
    assert all(o.won and o.tool_calls == 1 for o in native)
    odd = [o for o in native if numbers(o.opening)[0] % 2]
    assert odd and all(o.turns == 3 and o.invalid == 1 for o in odd)  # the model's mistake: it is told
    with ChatServer(sums) as server:
        text = evaluate(
            tmp_path, server.url, "--trial.episodes", "20", "--endpoint.tools", "text", env="Sums", out="text"
        )
        assert not any("tools" in body for body in server.asked)
        assert "<tools>" in server.asked[0]["messages"][0]["content"]
    assert all(o.won and o.turns == 2 and o.tool_calls == 1 for o in text)


def test_contexts_reach_the_endpoint(tmp_path: Path) -> None:
    with ChatServer(one_and_two) as server:
        evaluate(tmp_path, server.url, "--trial.episodes", "4", "--trial.context", "window", env="Sums")
        assert len(server.asked) == 16
        assert max(len(body["messages"]) for body in server.asked) == 2  # instructions and one prompt per step


def test_a_context_that_the_policy_edits(tmp_path: Path) -> None:
    def pruning(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str | list[tuple[str, str]]:
        told = " ".join(str(m.get("content")) for m in messages)
        if "Deleted r1" in told:
            return "done"
        if "[r1]" in told:
            return [("prune_context", '{"memory": "three", "delete_ids": ["r1"]}')]
        return [("add", '{"a": 1, "b": 2}'), ("add", '{"a": 3, "b": 4}')]

    with ChatServer(pruning) as server:
        flags = ("--trial.episodes", "1", "--trial.context", "memory")
        (found,) = evaluate(tmp_path, server.url, *flags, env="Sums")
    assert [line.sent for line in found.transcript] == [
        ('[{"name": "add", "arguments": {"a": 1, "b": 2}}]', '[{"name": "add", "arguments": {"a": 3, "b": 4}}]'),
        (),
        ("done",),
    ]
    assert {t["function"]["name"] for t in server.asked[0]["tools"]} == {"add", "prune_context"}
    for body in server.asked:  # every call has its result and every result its call, also after a deletion
        made = [c["id"] for m in body["messages"] for c in m.get("tool_calls", ())]
        assert made == [m["tool_call_id"] for m in body["messages"] if m["role"] == "tool"]
    assert "[r2] 7" in str(server.asked[-1]["messages"]) and "[r1] 3" not in str(server.asked[-1]["messages"])


def test_settings_reach_the_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret-1")
    with ChatServer(even) as server:
        flags = [
            "--endpoint.key_env",
            "MY_KEY",
            "--endpoint.extra",
            '{"top_k": 5, "seed": null}',
            "--endpoint.price_in",
        ]
        flags += ["1000", "--endpoint.price_out", "2000", "--trial.temperature", "0.7", "--trial.episodes", "2"]
        found = evaluate(tmp_path, server.url, *flags)
        assert "Bearer secret-1" in server.headers[0]
        body = server.asked[0]
    assert (body["top_k"], body["temperature"], body["max_tokens"], "seed" in body) == (5, 0.7, 512, False)
    assert found[0].cost == pytest.approx(20 * 1e-3 + 3 * 2e-3)
    assert not any("secret-1" in f.read_text(errors="replace") for f in (tmp_path / "out").iterdir())


def test_attempts_differ_in_their_seeds(tmp_path: Path) -> None:
    with ChatServer(even) as server:
        evaluate(tmp_path, server.url, "--trial.episodes", "2", "--trial.attempts", "3")
        assert len({body["seed"] for body in server.asked}) == 6


def ask(url: str, **settings: Any) -> Reply:
    async def run() -> Reply:
        client = ChatClient(url, EndpointSettings(**settings))
        try:
            await client.start()
            return await client.complete([{"role": "user", "content": "is 4 even ?"}], [], Sampling(5))
        finally:
            await client.close()

    return asyncio.run(run())


def test_names_of_models() -> None:
    with ChatServer(even, repeat("other model")) as server:
        with pytest.raises(
            EngineError, match=r"'cheap-model' answered, not 'toy-model'.*--endpoint.accept cheap-model"
        ):
            ask(server.url, tries=1)
        assert ask(server.url, tries=1, accept=("cheap-model",)).text == "yes"
    client = ChatClient("http://x/v1", EndpointSettings(served="org/gpt-x"))
    assert client._is_asked("gpt-x-2026-08-06") and client._is_asked("gpt-x") and client._is_asked("org/gpt-x-latest")
    assert not client._is_asked("gpt-x-mini") and not client._is_asked("org/gpt-y")


def test_an_unreachable_endpoint_is_told() -> None:
    with pytest.raises(ConfigError, match="does not list its models"):
        ask("http://127.0.0.1:9/v1")
    with pytest.raises(EngineError, match="no usable reply in 2 tries"):
        ask("http://127.0.0.1:9/v1", served="m", tries=2)


def test_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    assert retry_after({"retry-after": "3"}) == 3.0
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    pauses = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real(0)

    with ChatServer(even, chain(["429", "500", "500", "500"], repeat("ok"))) as server:
        monkeypatch.setattr(asyncio, "sleep", sleep)
        ask(server.url, served="toy-model")
        monkeypatch.undo()
    asked, *backoff = [p for i, p in enumerate(pauses) if p > 0.06 or i == 0]
    assert asked == 0.05  # as the server asks, then twice as long each time
    assert all(0.5 * base <= p <= base for p, base in zip(backoff, (1.0, 2.0, 4.0), strict=True))


def test_pace() -> None:
    async def run(pace: Pace, requests: int, tokens: int = 0) -> float:
        async def one() -> None:
            await pace.wait()
            pace.spend(tokens)

        started = time.monotonic()
        await asyncio.gather(*(one() for _ in range(requests)))
        return time.monotonic() - started

    assert asyncio.run(run(Pace(), 50)) < 0.3
    assert 0.35 < asyncio.run(run(Pace(rpm=600), 5)) < 2  # the first at once, four more after 0.1 s each

    async def in_turn() -> float:
        pace = Pace(tpm=6000)  # 100 tokens a second
        return sum([await run(pace, 1, tokens=20) for _ in range(3)])

    assert 0.35 < asyncio.run(in_turn()) < 2


def test_messages_as_tokens() -> None:
    book = MessageBook()
    hello = {"role": "user", "content": "hello there, all of you"}
    ids = book.open([hello])
    assert ids == [1, 0, 0, 0, 0, 0] and book.open([hello]) == ids
    said = book.take(Reply("General Kenobi", "", (), "stop", 9, 4, 0.0))
    assert said == [2, 0, 0, 0] and book.parse(said).text == "General Kenobi"
    whole = [*ids, *said, *book.observe([*ids, *said], [{"role": "user", "content": "bye"}])]
    assert [m["content"] for m in book.request(whole)[0]] == [hello["content"], "General Kenobi", "bye"]


def test_calls_and_results_fit() -> None:
    calls = {"role": "assistant", "content": "", "tool_calls": [{"id": "a"}, {"id": "b"}]}
    found = as_native([calls, {"role": "tool", "content": "both"}, {"role": "user", "content": "so?"}])
    assert [(m["role"], m.get("tool_call_id")) for m in found[1:]] == [("tool", "a"), ("tool", "b"), ("user", None)]
    assert as_native([{"role": "tool", "content": "lone"}]) == [{"role": "user", "content": "lone"}]
    assert as_text([{"role": "tool", "content": "x"}], [])[0]["content"] == "<tool_response>\nx\n</tool_response>"
