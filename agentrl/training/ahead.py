"""Episodes that are played while the learner works on those of before.

Off by default: then a step's episodes are played, then trained on, and a run repeats to the bit. What this changes is
said in policy versions. The weights of version v are those after v updates; step n trains on a batch and makes version
n. A token that was sampled with version v and is trained in step n has the *staleness* n - 1 - v.

    rollout.ahead = a           the groups of step n are started after step n - 1 - a, not after step n - 1
    rollout.straggler_share = s step n trains as soon as a share s of its groups is complete; the others play on, under
                                newer weights (each turn is of one version, and the token tree keeps which), and belong
                                to the next step
    rollout.max_staleness = m   a group whose start would be older than that when it is trained is dropped, and counted

So groups are always whole: no trajectory is cut because it is slow, none is trained without its siblings. A step starts
as many new groups as it needs besides those that were carried over. The learner takes its own log-probabilities as the
old ones of the ratio, and the correction (``algo.correction``) weighs each token by how far the policy that sampled it
was from that.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from agentrl.rollout.loop import Task
from agentrl.trajectory import Group

T = TypeVar("T")
Play = Callable[[Sequence[Task]], list[Coroutine[Any, Any, Group]]]
"""What plays each of some tasks with the weights of now and of later."""


class Player:
    """An event loop in a thread of its own: what is submitted goes on while the caller does other things."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="episodes", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start; cancelling the result cancels the work."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Start, and wait. An interrupt (Ctrl-C) cancels the work."""
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def cancel(self) -> None:
        """End what is still going on."""

        async def cancel() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.run(cancel())

    def close(self) -> None:
        """End what is still going on, and the thread. May be called twice."""
        if self._thread.is_alive():
            self.cancel()
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()


@dataclass(frozen=True)
class Taken:
    """The groups of a step, and what it cost to wait for them."""

    groups: list[Group]
    waited_s: float
    carried: int
    """Groups that were left to the next step."""
    dropped: int
    """Groups that would have been too old for it."""


@dataclass(frozen=True)
class _Pending:
    order: tuple[int, int]
    """Step for which it was started, place among its groups."""
    version: int
    """Of the weights at its start."""
    future: concurrent.futures.Future[Group]


class Stream:
    """The groups under way.

    Args:
        player: Where they are played.
        tasks: Tasks of a step.
        play: What plays them.
        ahead: See the module docstring.
        share: `rollout.straggler_share`.
        max_staleness: Of a group's start.
    """

    def __init__(
        self,
        player: Player,
        tasks: Callable[[int], Sequence[Task]],
        play: Play,
        *,
        ahead: int,
        share: float,
        max_staleness: int,
    ) -> None:
        self.player, self.ahead, self.share, self.max_staleness = player, ahead, share, max_staleness
        self._tasks, self._play = tasks, play
        self._pending: list[_Pending] = []
        self._asked = 0
        """The last step whose groups were started."""

    def take(self, step: int, *, last: int) -> Taken:
        """The groups of ``step``, when enough of them are complete; first starts what may be started.

        Args:
            step: Which; its predecessor was trained, so the weights are of version ``step`` - 1.
            last: The last step that there will be: nothing is started beyond it.
        """
        self._asked = max(self._asked, step - 1)
        for later in range(self._asked + 1, min(step + self.ahead, last) + 1):
            self._start(later, version=step - 1)
        due = sorted((p for p in self._pending if p.order[0] <= step), key=lambda p: p.order)
        size = max(1, len(self._tasks(step)))
        started = time.perf_counter()
        done = self._wait(due, math.ceil(self.share * min(size, len(due))))[:size]
        waited = time.perf_counter() - started
        rest = [p for p in self._pending if p not in done]
        late = [p for p in rest if step < last and p.order[0] <= step and step - p.version > self.max_staleness]
        for pending in late:
            pending.future.cancel()
        self._pending = [p for p in rest if p not in late]
        carried = sum(p.order[0] <= step for p in self._pending)
        return Taken([p.future.result() for p in done], waited, carried, len(late))

    def _start(self, step: int, *, version: int) -> None:
        self._asked = step
        tasks = self._tasks(step)
        missing = len(tasks) - sum(p.order[0] < step for p in self._pending if step - p.order[0] > self.ahead)
        tasks = tasks[: max(0, missing)]
        for i, play in enumerate(self._play(tasks)):
            self._pending.append(_Pending((step, i), version, self.player.submit(play)))

    def _wait(self, due: list[_Pending], enough: int) -> list[_Pending]:
        """Those that are complete, at least ``enough``, in order."""
        while sum(p.future.done() for p in due) < enough:
            open_ = [p.future for p in due if not p.future.done()]
            concurrent.futures.wait(open_, return_when=concurrent.futures.FIRST_COMPLETED)
            for p in due:
                if p.future.done():
                    p.future.result()  # raises what went wrong
        return [p for p in due if p.future.done()]
