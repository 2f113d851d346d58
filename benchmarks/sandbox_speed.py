"""Sandboxes: cold start, warm runs, closing, many at once, memory, and a soak that behaves like rollouts.

    python benchmarks/sandbox_speed.py                     the table, for the tiers that work here
    python benchmarks/sandbox_speed.py --soak 600          64 sessions for ten minutes: cells, pauses, hangs, deaths
    docker/with_engine.sh .venv/bin/python benchmarks/sandbox_speed.py --backends namespace docker

Memory is the proportional set size of all processes of a session, read from the host; with the launcher's share it is
what one session more costs. Times in ms are medians, with the least in brackets.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from agentrl.sandboxes import Backend, LocalBackend, SandboxDied, SandboxPool, SandboxSpec, Session, open_backend
from agentrl.sandboxes.docker import DockerBackend
from agentrl.sandboxes.guest import processes
from agentrl.sandboxes.local import TIERS, report
from agentrl.sandboxes.sweep import owner

CELL = "x = globals().get('x', 0) + 1\nx"


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds that an await takes."""
    start = time.perf_counter()
    await work()
    return 1000 * (time.perf_counter() - start)


def show(times: Sequence[float]) -> str:
    """Median and least."""
    return f"{statistics.median(times):.1f} ({min(times):.1f})"


def below(backend: Backend) -> set[int]:
    """Processes of a backend's sandboxes on this machine."""
    table, found, more = dict(processes()), set[int](), set[int]()
    if isinstance(backend, DockerBackend):
        found = more = {container.attrs["State"]["Pid"] for container in backend.ours(owner())}
    elif isinstance(backend, LocalBackend) and backend.launcher.process:
        more = {backend.launcher.process.pid}
    while more:
        more = {pid for pid, parent in table.items() if parent in more}
        found |= more
    return found


def pss_mib(pids: set[int]) -> float:
    """Proportional set size of processes, in MiB."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total / 1024


async def one_by_one(backend: Backend, count: int) -> dict[str, str]:
    """Sessions after one another: start to the end of the first cell, warm cells, close."""
    cold, warm, close = [], [], []
    for _ in range(count):
        start = time.perf_counter()
        session = await backend.create()
        await session.run_python("1")
        cold.append(1000 * (time.perf_counter() - start))
        warm += [await timed(lambda s=session: s.run_python(CELL)) for _ in range(50)]  # type: ignore[misc]
        close.append(await timed(session.close))
    return {"cold start + first cell": show(cold), "warm cell": f"{statistics.median(warm):.2f} ({min(warm):.2f})",
            "close": show(close)}  # fmt: skip


async def from_the_pool(backend: Backend, count: int) -> dict[str, str]:
    """Start to the end of the first cell, of sessions that waited ready."""
    times = []
    async with SandboxPool(backend, ready=4) as pool:
        for _ in range(count):
            await pool.warm()
            start = time.perf_counter()
            async with pool.session() as session:
                await session.run_python("1")
                times.append(1000 * (time.perf_counter() - start))
    return {"from the pool + first cell": show(times)}


async def together(backend: Backend, count: int) -> dict[str, str]:
    """Many sessions open at the same time: how long until all run, memory of each, cells a second over all."""
    gate = asyncio.Semaphore(8)

    async def begin() -> Session:
        async with gate:
            session = await backend.create()
            await session.run_python("1")
            return session

    start = time.perf_counter()
    sessions = await asyncio.gather(*(begin() for _ in range(count)))
    opened = time.perf_counter() - start
    memory = pss_mib(below(backend)) / count

    async def work(session: Session) -> None:
        for _ in range(20):
            await session.run_python(CELL)

    start = time.perf_counter()
    await asyncio.gather(*(work(session) for session in sessions))
    rate = 20 * count / (time.perf_counter() - start)
    await asyncio.gather(*(session.close() for session in sessions))
    return {f"{count} opened in": f"{opened:.2f} s", f"{count}: memory each": f"{memory:.1f} MiB",
            f"{count}: cells a second": f"{rate:.0f}"}  # fmt: skip


async def measure(name: str, count: int) -> dict[str, str]:
    """All numbers of a backend."""
    backend = open_backend("unsafe-subprocess" if name == "none" else name)
    try:
        await (await backend.create()).close()
        rows = await one_by_one(backend, count) | await from_the_pool(backend, count)
        return rows | await together(backend, 16) | await together(backend, 64)
    finally:
        await backend.close()


async def episode(pool: SandboxPool, chance: random.Random, tally: Counter[str]) -> float:
    """One rollout: some cells with pauses, now and then one that hangs, dies or is killed; the longest wait, in s."""
    longest = 0.0
    async with pool.session() as session:
        for _ in range(chance.randint(3, 12)):
            code = chance.choices([CELL, "while True: pass", "import os; os._exit(1)", "1 / 0", "b'1' * (1 << 30)"],
                                  [90, 4, 2, 2, 2])[0]  # fmt: skip
            start = time.perf_counter()
            try:
                tally[(await session.run_python(code, timeout=1.0)).status] += 1
            except SandboxDied:
                tally["SandboxDied"] += 1
                break
            longest = max(longest, time.perf_counter() - start)
            if chance.random() < 0.003:  # from outside, as the kernel might
                await session.channel.end()
            await asyncio.sleep(chance.random())
    return longest


async def soak(name: str, seconds: float, sessions: int) -> str:
    """Keep ``sessions`` rollouts going; what came of their cells, and the longest that one waited."""
    backend = open_backend(name)
    tally: Counter[str] = Counter()
    longest = 0.0
    end = time.monotonic() + seconds
    async with SandboxPool(backend, SandboxSpec(), size=sessions, ready=2) as pool:

        async def keep_going(seed: int) -> None:
            nonlocal longest
            chance = random.Random(seed)
            while time.monotonic() < end:
                longest = max(longest, await episode(pool, chance, tally))
                tally["episodes"] += 1

        await asyncio.gather(*(keep_going(seed) for seed in range(sessions)))
    left = len(below(backend))
    await backend.close()
    return f"{name}: {dict(tally.most_common())}; longest wait for a cell of 1 s at most: {longest:.1f} s; left: {left}"


def main() -> None:
    """Print a table in Markdown, or the soak's tally."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", default=list(TIERS), help="tiers, docker, addresses of servers")
    parser.add_argument("--count", type=int, default=20, help="sessions one by one")
    parser.add_argument("--soak", type=float, default=0, help="seconds")
    parser.add_argument("--sessions", type=int, default=64, help="of the soak")
    options = parser.parse_args()
    names = [n for n in options.backends if n not in TIERS or n == "none" or report(n).works]
    if options.soak:
        for name in names:
            if name != "none":
                print(asyncio.run(soak(name, options.soak, options.sessions)), flush=True)
        return
    columns = {name: asyncio.run(measure(name, options.count)) for name in names}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {'root' if os.geteuid() == 0 else 'user'}\n")
    print(f"| ms | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for row in next(iter(columns.values())):
        print(f"| {row} | {' | '.join(column[row] for column in columns.values())} |")


if __name__ == "__main__":
    main()
