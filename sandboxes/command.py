"""``agentrl sandbox doctor|run|serve|gc``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from agentrl.errors import AgentRLError, DataError, MissingExtra
from agentrl.sandboxes.backends import Backend
from agentrl.sandboxes.local import TIERS, LocalBackend, best_tier, report
from agentrl.sandboxes.spec import Capabilities, ExecResult, SandboxSpec, SandboxUnavailable
from agentrl.sandboxes.sweep import sweep


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(prog="agentrl sandbox", description="Run model-written code in a sandbox.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="doctor|run|serve|gc")
    doctor = verbs.add_parser("doctor", help="say which tiers work here, what each bounds, and what to change")
    doctor.add_argument("--url", help="look at a sandbox server too; its token in AGENTRL_SANDBOX_TOKEN")
    doctor.add_argument("--protocol", default="agentrl", help="of that server: agentrl or sandboxfusion")
    run = verbs.add_parser("run", help="run a Python file, or - for standard input, and show how it ended")
    run.add_argument("file", help="a Python file, or -")
    run.add_argument("--tier", default="auto", help=f"auto, {', '.join(TIERS)} (default: auto, the best that works)")
    run.add_argument("--timeout", type=float, default=10.0, help="seconds (default: 10)")
    run.add_argument("--memory-mb", type=int, default=256, help="memory in MiB (default: 256)")
    run.add_argument("--unsafe", action="store_true", help="allow the tier 'none', which isolates nothing")
    verbs.add_parser("serve", help="lend this machine's sandboxes over HTTP (--help tells more)", add_help=False)
    verbs.add_parser("gc", help="end and remove what trainers that were killed left behind")
    return top


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    if argv and argv[0] == "serve":
        from agentrl.sandboxes.serve import parser as serve_parser
        from agentrl.sandboxes.serve import serve

        return serve(serve_parser().parse_args(argv[1:]))
    options = parser().parse_args(argv)
    if options.verb == "doctor":
        return doctor(options.url, options.protocol)
    if options.verb == "gc":
        return collect()
    return run(options)


def collect() -> int:
    """End and remove leftovers of this machine and, where an engine answers, its containers."""
    swept = sweep()
    print(f"ended {len(swept.processes)} processes, removed {len(swept.folders)} folders")
    with contextlib.suppress(MissingExtra, SandboxUnavailable):
        from agentrl.sandboxes.docker import connect, sweep_containers

        print(f"removed {sweep_containers(*connect())} containers")
    return 0


def doctor(url: str | None = None, protocol: str = "agentrl") -> int:
    """Print what works; 1 where no tier does, or where the server that was asked for does not."""
    working = []
    for tier in ("namespace", "landlock"):
        found = report(tier)
        show(tier, TIERS[tier] if found.works else None, found.detail)
        if found.works:
            working.append(tier)
    show("docker", *containers())
    there = server(url, protocol) if url else None
    if there:
        show("remote", *there)
    print(f"\nauto takes: {working[0]}" if working else "\nNo tier works here; see docs/sandboxes.md.")
    return 0 if (working or (there and there[0])) and (there is None or there[0]) else 1


def show(name: str, bounds: Capabilities | None, detail: str) -> None:
    """Print one backend; without bounds it does not work."""
    print(f"{name:<10} {'works' if bounds else 'does not work'}: {detail}")
    if bounds:
        print(f"{'':<10} pids {bounds.pids}, memory {bounds.memory}, disk {bounds.disk}, network {bounds.network},")
        print(f"{'':<10} host files: {bounds.files}, host processes: {bounds.processes}")


def containers() -> tuple[Capabilities | None, str]:
    """What a container engine offers, or None, and why."""
    from agentrl.sandboxes.docker import IMAGE, DockerBackend

    try:
        backend = DockerBackend()
        asyncio.run(backend.close())
    except AgentRLError as error:
        return None, str(error)
    return backend.capabilities, f"the image {IMAGE}"


def server(url: str, protocol: str) -> tuple[Capabilities | None, str]:
    """What a sandbox server offers, or None, and why. One that answers is asked to compute 1 + 1."""
    try:
        from agentrl.sandboxes.remote import RemoteBackend

        backend = RemoteBackend(url, protocol=protocol)
        said = asyncio.run(add(backend))
    except AgentRLError as error:
        return None, str(error)
    if said != "2":
        return None, f"{url}: 1 + 1 gave {said!r}"
    tier = f", tier {backend.tier}, {backend.info['sessions']} sessions" if backend.info else ""
    return backend.capabilities, f"{url}{tier}"


async def add(backend: Backend) -> str:
    """Have a sandbox of a backend compute 1 + 1."""
    try:
        async with await backend.create() as session:
            return (await session.run_python("print(1 + 1)")).to_observation()
    finally:
        await backend.close()


def run(options: argparse.Namespace) -> int:
    """Run one file; the exit status is its own, or 1 when it did not end by itself."""
    try:
        code = sys.stdin.read() if options.file == "-" else Path(options.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read '{options.file}': {error}.") from error
    result = asyncio.run(execute(code, options))
    sys.stdout.write(result.stdout)
    sys.stderr.write(result.stderr + (result.error[2] if result.error else ""))
    if result.status not in ("ok", "error"):
        print(f"[{result.status} after {result.wall_s:.1f} s, tier {result.tier}]", file=sys.stderr)
    return 0 if result.status == "ok" else result.exit_code or (0 if result.status == "exit" else 1)


async def execute(code: str, options: argparse.Namespace) -> ExecResult:
    """Run code in a sandbox of its own."""
    tier = best_tier() if options.tier == "auto" else options.tier
    backend = LocalBackend(tier, allow_unsafe=options.unsafe)
    try:
        async with await backend.create(SandboxSpec(memory_mb=options.memory_mb)) as session:
            return await session.run_python(code, timeout=options.timeout)
    finally:
        await backend.close()
