"""In the real rollout: forks in the middle, budgets, costs, tools that break, many sandboxes at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps, loads
from typing import Any

import pytest
from rollout.letters import END, play

from agentrl.algorithms import AEPO, ARPO, TAPO
from agentrl.algorithms.steps import Steps
from agentrl.engines.scripted import Say
from agentrl.envs.tools import Tools
from agentrl.rollout.loop import Limits
from agentrl.sandboxes import blocking
from agentrl.sandboxes.blocking import BlockingSession
from agentrl.trajectory import Group, Stage, StopReason

TASK_SEED = 7
"""The one that `play` resets environments with."""


def kind(**settings: Any) -> type[Tools]:
    """A class of environments with these settings, of level 0."""
    chosen = {"level": 0, "max_turns": 8, **settings}
    return type("Made", (Tools,), {"__init__": lambda self: Tools.__init__(self, **chosen)})


def gold(**settings: Any) -> str:
    """The answer of the task that is played."""
    env = kind(**settings)()
    env.reset(seed=TASK_SEED)
    return env.episode.task.answers[0]


def sure(text: str, entropy: float = 0.1) -> Say:
    """A reply, all of whose tokens have this entropy."""
    ids = [*map(ord, text), END]
    return Say(ids, [-0.5] * len(ids), [entropy] * len(ids))


def unsure(text: str) -> Say:
    return sure(text, 2.0)


def observations(group: Group) -> list[list[str]]:
    return [[turn.observation for turn in t.turns] for t in group.trajectories]


@pytest.mark.parametrize("algorithm", [ARPO(group_size=4, initial=2), AEPO(group_size=4, initial=2, monitor=False)])
def test_forks_in_the_middle_have_the_state_of_their_parent(opened: list[BlockingSession], algorithm: Any) -> None:
    settings = {"tasks": "compute"}
    right = sure(f"<answer>{gold(**settings)}</answer>")
    lines = [
        [sure("<python>x = [1]</python>"), unsure("<python>x.append(2); x</python>"), right],
        [sure("<python>x = [5]</python>"), unsure("<python>x.append(6); x</python>"), right],
        [None, sure("<python>x.append(3); x</python>"), right],
        [None, sure("<python>x.append(4); x</python>"), sure("<answer>x</answer>")],
    ]
    group, _ = play(lines, env=kind(**settings), explore=algorithm.explore())
    assert [t.forked_from for t in group.trajectories] == [None, None, (0, 1), (1, 1)]
    assert [seen[1] for seen in observations(group)] == [
        "<result>[1, 2]</result>", "<result>[5, 6]</result>", "<result>[1, 3]</result>", "<result>[5, 4]</result>",
    ]  # fmt: skip
    assert [t.won for t in group.trajectories] == [True, True, True, False]
    assert not any(t.failure or t.unforkable for t in group.trajectories)
    assert len(opened) == 4
    assert group.trajectories[0].turns[0] == group.trajectories[2].turns[0]


def test_the_whole_response_goes_along_with_a_fork(sandbox: str) -> None:
    settings = {"tasks": "both", "prompt": "arpo"}
    think, answer = "<think>So.</think>", gold(**settings)
    box = f"{think}<answer>\\boxed{{{answer}}}</answer>"
    lines = [
        [sure(f"{think}<search>a</search>"), unsure(f"{think}<python>1</python>"), sure(box)],
        [sure(box)],
        [None, sure(box)],
    ]
    explore = ARPO(group_size=3, initial=2).explore()
    group, _ = play(lines, env=kind(**settings), explore=explore)
    assert [t.forked_from for t in group.trajectories] == [None, None, (0, 1)]
    assert [t.reward for t in group.trajectories] == [1.1, 1.0, 1.0]


def test_a_fork_of_what_cannot_be_repeated_starts_at_the_prompt(opened: list[BlockingSession]) -> None:
    settings = {"tasks": "compute", "timeout_s": 0.3}
    right = sure(f"<answer>{gold(**settings)}</answer>")
    lines = [[sure("<python>while True: pass</python>"), unsure("<python>1</python>"), right], [right, right]]
    group, _ = play(lines, env=kind(**settings), explore=ARPO(group_size=2, initial=1).explore())
    assert [(t.forked_from, t.unforkable, t.won) for t in group.trajectories] == [(None, True, True)] * 2


@pytest.mark.parametrize("prompt", ["plain", "functions"])
def test_the_tool_budget_of_the_rollout(sandbox: str, prompt: str) -> None:
    answer = gold(tasks="both")
    search = {"plain": "<search>a</search>", "functions": '{"name": "search", "arguments": {"query": "a"}}'}[prompt]
    last = f"<answer>{answer}</answer>" if prompt == "plain" else answer
    lines = [[search, search, last], [search, search, search, last], [last]]
    group, _ = play(lines, env=kind(tasks="both", prompt=prompt), limits=Limits(max_tool_calls=2))
    assert [t.stop for t in group.trajectories] == [StopReason.WON, StopReason.TOOL_BUDGET, StopReason.WON]
    assert [sum(turn.tool_calls for turn in t.turns) for t in group.trajectories] == [2, 3, 0]


def test_the_price_of_tool_calls(sandbox: str) -> None:
    answer = f"<answer>{gold(tasks='both')}</answer>"
    search = "<search>a</search>"
    lines = [[answer], [search, answer], [search, search, search, answer], ["<answer>-1</answer>"]]
    group, _ = play(lines, env=kind(tasks="both"))
    steps = Steps.of([group])
    paid = [float(r[steps.traj == t].sum()) for r in [TAPO(tool_cost=0.1).rewards(steps)] for t in range(4)]
    assert paid == pytest.approx([1.0, 0.9, 0.7, 0.0])


class Mortal(BaseHTTPRequestHandler):
    """A retrieval server that dies, connection and all, when it is asked for the last thing."""

    def do_POST(self) -> None:
        query = loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"][0]
        if query == "last":
            self.server.socket.close()
            self.close_connection = True
            return
        answer = dumps({"result": [[{"document": {"title": "A", "text": "b"}, "score": 1.0}]]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    pytest.importorskip("httpx")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mortal)
    port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}/retrieve"
    server.shutdown()
    server.server_close()


def test_a_retriever_that_is_killed_fails_its_episodes_and_the_run_goes_on(url: str, sandbox: str) -> None:
    made = kind(tasks="compute", retriever=url, sandbox=sandbox)
    answer = f"<answer>{gold(tasks='compute')}</answer>"
    before = [["<search>one</search>", answer], ["<python>6 * 7</python>", answer]]
    group, _ = play(before, env=made)
    assert [t.stop for t in group.trajectories] == [StopReason.WON] * 2
    assert observations(group)[0][0] == "<result>(A) b</result>"
    group, _ = play([["<python>1</python>", "<search>last</search>", answer], *before], env=made)
    dying = group.trajectories[0]
    assert dying.stop == StopReason.FAILED and not dying.counts and dying.reward == 0.0
    assert dying.failure and dying.failure.stage == Stage.STEP and "RetrieverError" in dying.failure.error
    group, _ = play(before, env=made)
    without, computing = group.trajectories
    assert without.failure and "RetrieverError" in without.failure.error and not without.counts
    assert computing.won and computing.counts


def test_a_sandbox_that_is_killed_is_a_failure(opened: list[BlockingSession], monkeypatch: pytest.MonkeyPatch) -> None:
    real = BlockingSession.run_python

    def run(self: BlockingSession, code: str, **limits: Any) -> Any:
        if "die" in code:
            self.close()
        return real(self, code, **limits)

    monkeypatch.setattr(BlockingSession, "run_python", run)
    answer = f"<answer>{gold(tasks='compute')}</answer>"
    lines = [["<python>x = 1</python>", "<python>die</python>", answer], ["<python>1</python>", answer]]
    group, _ = play(lines, env=kind(tasks="compute"))
    broken, whole = group.trajectories
    assert broken.failure and "SandboxDied" in broken.failure.error and broken.failure.stage == Stage.STEP
    assert whole.won


def test_threads_that_ask_first_together_share_one_loop() -> None:
    found, start = set(), threading.Barrier(32)

    def ask() -> None:
        start.wait()
        found.add(id(blocking._loop(-1)))  # of no process

    threads = [threading.Thread(target=ask) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_many_episodes_with_a_sandbox_each(opened: list[BlockingSession]) -> None:
    answer = f"<answer>{gold(tasks='compute')}</answer>"
    lines = [[f"<python>x = {n}</python>", "<python>x + 1</python>", answer] for n in range(64)]
    started = time.monotonic()
    group, _ = play(lines, env=kind(tasks="compute"), concurrency=64)
    seconds = time.monotonic() - started
    assert all(t.won for t in group.trajectories), {t.failure for t in group.trajectories}
    assert [seen[1] for seen in observations(group)] == [f"<result>{n + 1}</result>" for n in range(64)]
    assert len(opened) == 64
    assert seconds < 120, f"{seconds:.0f} s"
