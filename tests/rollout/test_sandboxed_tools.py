"""An environment with a sandbox behind it: blocking sessions, and what the rollout makes of one that breaks."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from letters import play

from agentrl.env import StepResult, TextEnv
from agentrl.errors import AgentRLError, UnknownName
from agentrl.sandboxes import SandboxBusy, SandboxDied, SandboxSpec, SandboxUnavailable
from agentrl.sandboxes.blocking import BlockingSession, Sandboxes, shared
from agentrl.trajectory import Stage, StopReason


@pytest.fixture(scope="module")
def boxes() -> Any:
    made = Sandboxes("auto", SandboxSpec(memory_mb=128), size=4, patience=20.0)
    try:
        made.open().close()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    yield made
    made.close()


def test_a_session_keeps_its_state_and_forks_it(boxes: Sandboxes) -> None:
    with boxes.open() as session:
        assert session.run_python("x = 20").status == "ok"
        assert session.run_python("x + 1").stdout == "21\n"
        session.write_file("a.txt", b"hello")
        with session.fork() as other:
            other.run_python("x += 100")
            assert other.run_python("x").stdout == "120\n"
            assert other.run_shell("cat a.txt").stdout == "hello"
        assert session.run_python("x").stdout == "20\n"
        assert session.list_files() == {"a.txt": 5} and session.read_file("a.txt") == b"hello"
        session.reset()
        assert session.run_python("x").error[0] == "NameError"  # type: ignore[index]
    session.close()
    assert session.dead
    with pytest.raises(SandboxDied):
        session.run_python("1")


def test_many_threads_share_a_few_places(boxes: Sandboxes) -> None:
    said: list[str] = []

    def work(number: int) -> None:
        with boxes.open() as session:
            said.append(session.run_python(f"{number} * 2").stdout)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, said)) == [2 * number for number in range(20)]


def test_no_place_is_lost_when_a_fork_or_a_start_fails(boxes: Sandboxes) -> None:
    few = Sandboxes("auto", SandboxSpec(), size=1, patience=0.2)
    with few.open() as session, pytest.raises(SandboxBusy, match="All 1 sandboxes were busy"):
        session.fork()
    with few.open() as session:
        assert session.run_python("1").status == "ok"
    few.close()


def test_names_of_backends() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'landlock'"):
        Sandboxes("landlok").open()
    assert shared("auto") is shared("auto", SandboxSpec())
    assert shared("auto") is not shared("auto", SandboxSpec(memory_mb=64))


class Interpreter(TextEnv):
    """Runs what the policy says; ``!`` breaks the sandbox from outside."""

    boxes: Sandboxes
    session: BlockingSession | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.close()
        self.session = self.boxes.open()
        return "?", {}

    def step(self, text: str) -> StepResult:
        assert self.session
        if text == "!":
            self.session.close()
        shown = self.session.run_python(text, timeout=1.0).to_observation()
        return shown, float(shown == "42"), shown == "42", False, {"won": shown == "42"}

    def close(self) -> None:
        if self.session:
            self.session.close()
            self.session = None


def test_a_sandbox_that_dies_is_a_failure_and_its_code_is_not(boxes: Sandboxes) -> None:
    made = type("Made", (Interpreter,), {"boxes": boxes})
    lines = [["x = 6", "x * 7"], ["x = 6", "!"], ["import os; os._exit(0)", "6 * 7"]]
    group, _ = play(lines, env=made)
    won, broken, crashed = group.trajectories
    assert won.won and crashed.won and won.counts and crashed.counts
    assert "[crashed]" in crashed.turns[0].observation
    assert broken.stop == StopReason.FAILED and not broken.counts
    assert broken.failure and broken.failure.stage == Stage.STEP and "SandboxDied" in broken.failure.error


def test_a_sandbox_that_does_not_start_is_a_failure_of_the_reset() -> None:
    class Never(Sandboxes):
        def open(self) -> BlockingSession:
            raise SandboxUnavailable("no engine")

    group, _ = play([["1"]], env=type("Made", (Interpreter,), {"boxes": Never()}))
    (made,) = group.trajectories
    assert made.failure and made.failure.stage == Stage.RESET and "no engine" in made.failure.error
    assert issubclass(SandboxUnavailable, AgentRLError)
