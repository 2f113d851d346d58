"""What has an id is carried out once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agentrl.sandboxes.once import Conflict, Once


def counting(log: list[str], name: str, seconds: float = 0.0) -> Callable[[], Awaitable[str]]:
    async def work() -> str:
        log.append(name)
        await asyncio.sleep(seconds)
        return name * 10

    return work


def test_all_who_ask_get_the_one_answer() -> None:
    async def scene() -> None:
        log: list[str] = []
        once: Once[str] = Once(len)
        asked = [once.run("a", b"", counting(log, "a", 0.05)) for _ in range(5)]
        assert await asyncio.gather(*asked) == ["a" * 10] * 5
        assert await once.run("a", b"", counting(log, "again")) == "a" * 10
        assert log == ["a"] and "a" in once and "b" not in once

    asyncio.run(scene())


def test_who_leaves_does_not_stop_it() -> None:
    async def scene() -> None:
        log: list[str] = []
        once: Once[str] = Once(len)
        first = asyncio.create_task(once.run("a", b"", counting(log, "a", 0.05)))
        await asyncio.sleep(0.01)
        first.cancel()
        assert await once.run("a", b"", counting(log, "again")) == "a" * 10
        assert log == ["a"]

    asyncio.run(scene())


def test_an_id_stands_for_one_content() -> None:
    async def scene() -> None:
        once: Once[str] = Once(len)
        slow = asyncio.create_task(once.run("a", b"x", counting([], "a", 0.05)))
        await asyncio.sleep(0)
        for _ in range(2):  # while it runs, and afterwards
            with pytest.raises(Conflict, match="another request"):
                await once.run("a", b"y", counting([], "a"))
            await slow

    asyncio.run(scene())


def test_what_failed_may_be_tried_again() -> None:
    async def scene() -> None:
        log: list[str] = []
        once: Once[str] = Once(len)

        async def fail() -> str:
            log.append("failed")
            raise OSError("no")

        for _ in range(2):
            with pytest.raises(OSError, match="no"):
                await once.run("a", b"", fail)
        assert await once.run("a", b"", counting(log, "a")) == "a" * 10
        assert log == ["failed", "failed", "a"] and not once.running

    asyncio.run(scene())


@pytest.mark.parametrize(("answers", "volume", "kept"), [(3, 10**6, 3), (100, 45, 4), (100, 5, 1)])
def test_old_answers_are_given_up_but_never_executed_again(answers: int, volume: int, kept: int) -> None:
    async def scene() -> None:
        log: list[str] = []
        once: Once[str] = Once(len, answers=answers, volume=volume)
        for i in range(8):
            await once.run(f"{i}", b"", counting(log, f"{i}"))
        for i in range(8):
            if i < 8 - kept:
                with pytest.raises(Conflict, match="no longer kept"):
                    await once.run(f"{i}", b"", counting(log, "again"))
            else:
                assert await once.run(f"{i}", b"", counting(log, "again")) == f"{i}" * 10
        assert log == [f"{i}" for i in range(8)]
        assert once.kept_volume == 10 * kept

    asyncio.run(scene())


def test_ids_are_bounded() -> None:
    async def scene() -> None:
        once: Once[str] = Once(len, answers=2, ids=5)
        for i in range(50):
            await once.run(f"{i}", b"", counting([], "x"))
        assert list(once.done) == ["45", "46", "47", "48", "49"] and len(once.kept) == 2

    asyncio.run(scene())
