"""``agentrl sandbox serve``: reads the token, starts the server, and closes everything on SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import os
import resource
import signal
import ssl
from pathlib import Path

from agentrl.errors import ConfigError
from agentrl.sandboxes.backends import Backend
from agentrl.sandboxes.launcher import SLOTS
from agentrl.sandboxes.local import TIERS, LocalBackend
from agentrl.sandboxes.messages import Limits
from agentrl.sandboxes.remote_session import TOKEN
from agentrl.sandboxes.server import SandboxServer

PORT = 8765
TOKEN_CHARS = 16
"""The shortest token."""
MAKE_ONE = 'Make one with: python3 -c "import secrets; print(secrets.token_urlsafe())"'


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    about = "Lend this machine's sandboxes over HTTP. Stops on SIGTERM or Ctrl-C, and leaves nothing behind."
    top = argparse.ArgumentParser(prog="agentrl sandbox serve", description=about)
    add, limits = top.add_argument, Limits()
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)")
    add("--port", type=int, default=PORT, help=f"port; 0 takes a free one (default: {PORT})")
    add("--backend", default="local", choices=("local", "docker"), help="where sandboxes come from (default: local)")
    add("--tier", default="auto", help=f"of the local ones: auto, {', '.join(TIERS)} (default: auto, the best)")
    add("--unsafe", action="store_true", help="allow the tier 'none', which isolates nothing")
    add("--image", default=None, help="of the docker ones")
    add("--runtime", default=None, help="of the docker ones, for example runsc")
    add("--token-env", metavar="NAME", default=None, help=f"environment variable of the token (default: {TOKEN})")
    add("--token-file", metavar="FILE", default=None, help="file that holds the token")
    add("--no-token", action="store_true", help="let everyone in who reaches the port")
    add("--tls-cert", metavar="FILE", default=None, help="certificate chain; then the server speaks https only")
    add("--tls-key", metavar="FILE", default=None, help="its private key, if that is in a file of its own")
    add("--max-sessions", type=int, default=limits.max_sessions, help=f"sandboxes (default: {limits.max_sessions})")
    add("--max-starting", type=int, default=limits.max_starting, help=f"at once (default: {limits.max_starting})")
    add("--ttl-s", type=float, default=limits.ttl_s, help=f"longest life of a session (default: {limits.ttl_s:g})")
    add("--idle-s", type=float, default=limits.idle_s, help=f"longest idleness of one (default: {limits.idle_s:g})")
    add("--timeout-s", type=float, default=limits.timeout_s, help=f"longest run (default: {limits.timeout_s:g})")
    add("--memory-mb", type=int, default=limits.memory_mb, help=f"most of a sandbox (default: {limits.memory_mb})")
    add("--drain-s", type=float, default=10.0, help="seconds that runs get to end when the server does (default: 10)")
    return top


def token_of(options: argparse.Namespace) -> str | None:
    """The token that clients must send; None where none is wanted.

    Raises:
        ConfigError: it cannot be read, is too short, or is missing where others could reach the server.
    """
    given = [options.token_env, options.token_file, options.no_token or None]
    if sum(one is not None for one in given) > 1:
        raise ConfigError("--token-env, --token-file and --no-token exclude each other.")
    if options.no_token:
        return None
    if options.token_file is not None:
        try:
            token = Path(options.token_file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"Cannot read the token from '{options.token_file}': {error}.") from error
    else:
        token = os.environ.get(options.token_env or TOKEN, "").strip()
        if not token and options.token_env:
            raise ConfigError(f"The environment variable {options.token_env} is not set. {MAKE_ONE}")
    if not token and options.token_file is None:
        if loopback(options.host):
            return None
        raise ConfigError(
            f"Others can reach {options.host or 'every address'}: set {TOKEN}, or use --token-file or --token-env. "
            f"{MAKE_ONE} (--no-token lets everyone run code here.)"
        )
    if len(token) < TOKEN_CHARS or not (token.isascii() and token.isprintable() and " " not in token):
        raise ConfigError(f"A token is one word of at least {TOKEN_CHARS} printable ASCII characters. {MAKE_ONE}")
    return token


def loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def limits_of(options: argparse.Namespace) -> Limits:
    """What the server allows. Raises ConfigError."""
    for name in ("max_sessions", "max_starting", "ttl_s", "idle_s", "timeout_s", "memory_mb"):
        if not getattr(options, name) > 0:
            raise ConfigError(f"--{name.replace('_', '-')} {getattr(options, name)}: more than 0 is wanted.")
    if options.backend == "local" and options.max_sessions > SLOTS:
        raise ConfigError(f"--max-sessions {options.max_sessions}: the local backend takes at most {SLOTS}.")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 65536)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    connections = min(Limits.connections, soft - 4 * options.max_sessions - 64)  # each sandbox takes a few of them
    if connections < 16:
        raise ConfigError(
            f"{soft} open files are too few for {options.max_sessions} sessions: raise the limit (ulimit -n)."
        )
    return Limits(
        max_sessions=options.max_sessions,
        max_starting=options.max_starting,
        ttl_s=options.ttl_s,
        idle_s=options.idle_s,
        timeout_s=options.timeout_s,
        memory_mb=options.memory_mb,
        connections=connections,
    )


def tls_of(options: argparse.Namespace) -> ssl.SSLContext | None:
    """The certificate to show, if any. Raises ConfigError."""
    if not options.tls_cert:
        if options.tls_key:
            raise ConfigError("--tls-key without --tls-cert.")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"Cannot use the certificate '{options.tls_cert}': {error}.") from error
    return context


def backend_of(options: argparse.Namespace) -> Backend:
    """Where sandboxes come from. Raises what the backend raises."""
    if options.backend == "local":
        return LocalBackend(options.tier, allow_unsafe=options.unsafe)
    from agentrl.sandboxes.docker import IMAGE, DockerBackend

    return DockerBackend(options.image or IMAGE, runtime=options.runtime)


def serve(options: argparse.Namespace) -> int:
    """Serve until a signal comes; returns the exit status."""
    token, limits, tls = token_of(options), limits_of(options), tls_of(options)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(stay(options, token, limits, tls))
    return 0


async def stay(options: argparse.Namespace, token: str | None, limits: Limits, tls: ssl.SSLContext | None) -> None:
    """Start, wait for a signal, close. A second signal cuts short what still runs."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    server = SandboxServer(backend_of(options), token=token, limits=limits)

    def told() -> None:
        server.leases.hurried = stop.is_set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    try:
        host, port = await server.start(options.host, options.port, tls)
    except OSError as error:
        await server.close(0)
        raise ConfigError(f"Cannot listen on {options.host}:{options.port}: {error}.") from error
    place = f"[{host}]" if ":" in host else host
    promise = f"tier {server.backend.capabilities.tier}, {'with' if token else 'without'} a token"
    print(f"sandboxes on {'https' if tls else 'http'}://{place}:{port} ({promise})", flush=True)
    await stop.wait()
    print("shutting down", flush=True)
    await server.close(options.drain_s)
