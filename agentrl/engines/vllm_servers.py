"""Sampling by vLLM servers.

    engine = VllmServers(["http://gpu1:8000"], max_context=4096, vocabulary=151936)
    engine.sync = FilesSync(WeightSource(model), Path("/dev/shm/x"), engine.call)
    engine.load(model, version=0)           # weights go out; the first times the servers are compared with the learner
    completion = await engine.sample(ids, Sampling(max_tokens=64, stop_ids=frozenset({2}), session=7))

Requests of a session go to one server, so that its prefix cache hits; when a server is lost they go to another one.
New weights: every server is paused, keeping what it is at, gets them, is told their label, and goes on; what is
sampled across that moment says so token by token (`Completion.versions`). Until an update has ended on a server
nothing is sampled there.

Of several training processes each samples, and the first one gives the weights out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import torch

from agentrl.engines import vllm_wire as wire
from agentrl.engines.base import ALONE, Completion, Sampling, Together, nothing
from agentrl.engines.vllm_checks import compare
from agentrl.engines.vllm_http import Line, Refused, Server, Unreachable, all_of
from agentrl.engines.vllm_meeting import check_vocabulary, meet
from agentrl.engines.vllm_routing import Router
from agentrl.engines.weight_sync import AdapterSync, Sync
from agentrl.errors import AgentRLError, ConfigError, EngineError

T = TypeVar("T")
log = logging.getLogger("agentrl")


class VllmServers:
    """See the module docstring.

    Args:
        urls: Addresses.
        max_context: Most tokens of prompt and completion together; a server's own limit is kept too.
        vocabulary: Rows of the policy's embedding.
        tokenizer: The policy's, to be compared with the servers'; None: is not.
        entropy: ``auto``, ``exact``, ``topk`` or ``none``, see `agentrl.engines.settings.VllmSettings`.
        topk: Tokens of the lower bound.
        deadline_s: Seconds for a control call.
        sample_s: Seconds for one completion.
        mismatch_limit: See `compare`; None: any mismatch will do.
        transport: In place of the network, for tests.
        world: How several training processes agree.

    Raises:
        ConfigError: no address, or a server that cannot be used; says how to start it.
        EngineError: a server is not reachable.
        MissingExtra: httpx is not installed.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        max_context: int,
        vocabulary: int,
        tokenizer: Any = None,
        entropy: str = "auto",
        topk: int = 20,
        deadline_s: float = 300.0,
        sample_s: float = 600.0,
        mismatch_limit: float | None = 0.2,
        transport: Any = None,
        world: Together = ALONE,
    ) -> None:
        if not urls:
            raise ConfigError("engine.vllm.servers: give the address of a server at least.")
        self.max_context, self.vocabulary = max_context, vocabulary
        self.deadline_s, self.sample_s, self.mismatch_limit = deadline_s, sample_s, mismatch_limit
        self.version = -1
        self.world = world
        self.labels = wire.Labels(world.agree(lambda: secrets.token_hex(4)))
        self.entropy = wire.Entropy("topk", topk)
        self.sync: Sync | None = None
        """How weights get there; set before the first `load`."""
        self.counters: dict[str, float] = dict.fromkeys(COUNTED, 0.0)
        self.line = Line(transport=transport)
        self.servers = [Server(self.line, url, deadline_s=deadline_s) for url in dict.fromkeys(urls)]
        self.router = Router(self.servers)
        self._wanted_entropy = entropy
        self._loads = 0
        try:
            self._raise_first(self.call(all_of(self.servers, lambda s: meet(s, tokenizer, vocabulary))))
        except BaseException:
            self.line.close()
            raise
        self.max_context = min([max_context, *(s.max_context for s in self.servers if s.max_context)])

    @property
    def exact_entropy(self) -> bool:
        """Whether entropies are exact; `entropy` tells what they are else."""
        return self.entropy.kind == "exact"

    def backend(self) -> str:
        """The weight-transfer backend that the servers were started with; empty for none, or for different ones."""
        found = {str((s.info.get("weight_transfer_config") or {}).get("backend") or "") for s in self.servers}
        return found.pop() if len(found) == 1 else ""

    # ---- sampling -------------------------------------------------------------------------------

    async def sample(self, ids: Sequence[int], sampling: Sampling) -> Completion:
        """Continue ``ids``; see `agentrl.engines.base.Engine.sample`.

        Raises:
            EngineError: no weights yet, a bad prompt, no server left, a server's refusal, no answer in time.
        """
        if self.version < 0:
            raise EngineError("the vLLM servers have no weights of this run yet: load them first.")
        limit = wire.room(ids, sampling, max_context=self.max_context, vocabulary=self.vocabulary)
        return await self.line.ask(self._sample(list(ids), sampling, limit))

    async def _sample(self, ids: list[int], sampling: Sampling, limit: int) -> Completion:
        """Ask one server after another until one answers; runs in the line's loop."""
        tried: dict[Server, str] = {}
        while True:
            try:
                server = self.router.pick(sampling.session, tried)
            except EngineError as error:
                said = " ".join(dict.fromkeys(tried.values()))
                raise EngineError(f"{error} {said}".strip()) from None
            server.running += 1
            try:
                completion = await self._ask(server, ids, sampling, limit, self.entropy)
            except (Unreachable, wire.ForeignWeights) as error:
                tried[server] = str(error)
                if server.usable:  # it was another request's to notice
                    server.usable = False
                    self.counters["servers_lost"] += 1
                    log.warning("%s Nothing is asked of it until it takes new weights.", error)
                continue
            except Refused as error:
                if error.status < 500:
                    raise
                tried[server] = str(error)
                continue
            finally:
                server.running -= 1
            self.counters["requests"] += 1
            self.counters["prompt_tokens"] += len(ids)
            self.counters["cached_tokens"] += completion.cached_tokens
            self.counters["decoded_tokens"] += len(completion.ids)
            return completion

    async def _ask(
        self, server: Server, ids: list[int], sampling: Sampling, limit: int, entropy: wire.Entropy
    ) -> Completion:
        version = self.version
        salt = self.labels.of(version)
        if server.generates:
            body = wire.generate_body(ids, sampling, limit, entropy, model=server.model, salt=salt)
            answer = await server.ask("/inference/v1/generate", body, self.sample_s)
            return wire.read_generate(answer, version, self.labels, entropy)
        body = wire.completions_body(ids, sampling, limit, entropy, model=server.model, salt=salt)
        answer = await server.ask("/v1/completions", body, self.sample_s)
        return wire.read_completions(answer, version, entropy)

    # ---- weights --------------------------------------------------------------------------------

    def load(self, weights: Any, version: int) -> None:
        """Send the learner's weights, as they are now, to all servers that can be reached; by all processes at once.

        Servers that cannot be reached are left out, with a warning, as long as one can; they take part again once
        an update reaches them.

        Args:
            weights: The learner's model, to compare with; what is sent was fixed when `sync` was made.
            version: What `Completion.version` will say.

        Raises:
            EngineError: no server took them; nothing is sampled until a later `load` ends.
        """
        assert self.sync is not None, "set engine.sync first"
        if not self.world.leads:
            self.version = -1
            self.sync.follow()
        told = self.world.agree(lambda: self._publish(self.labels.of(version), version))
        for server in self.servers:
            server.usable = server.url not in told
        self.version = version
        if self._loads < COMPARED:
            try:
                self.entropy = self.world.agree(lambda: self._look(weights))
            except BaseException:
                self.version = -1  # they are not to be sampled from
                raise
        self._loads += 1

    def _publish(self, label: str, version: int) -> dict[str, str]:
        """What `load` does in the first process; returns the addresses that did not take the weights, and why."""
        assert self.sync is not None
        errors = self._each(self.servers, lambda s: self._still(s))
        here = [server for server in self.servers if server not in errors]
        try:
            errors |= self.sync.publish(here, label) if here else {}
        except BaseException:
            for server in here:
                server.usable = False
            self._abort(here)
            raise
        took = [server for server in here if server not in errors]
        self._abort([server for server in here if server in errors])
        self.version = version  # before going on: what is sampled from here on is of this version
        errors |= self._each(took, lambda s: self._go_on(s))
        for server in self.servers:
            server.usable = server not in errors
            if not server.usable:
                log.warning("%s has not taken the weights of version %d: %s", server, version, errors[server])
        if len(errors) == len(self.servers):
            self.version = -1
            told = " ".join(dict.fromkeys(str(error) for error in errors.values()))
            raise EngineError(
                f"no vLLM server took the weights of version {version}; is it serving the model of --model? {told}"
            )
        return {server.url: str(error) for server, error in errors.items()}

    def _look(self, model: Any) -> wire.Entropy:
        """Try servers that have weights now; returns how entropies are had."""
        if not self._loads:
            usable = [s for s in self.servers if s.usable]
            self._raise_first(self.call(all_of(usable, lambda s: check_vocabulary(s, self.vocabulary))))
            self._find_entropy()
        if isinstance(model, torch.nn.Module) and not self.world.sharded:  # in parts one process cannot run it
            self.check(model)
        return self.entropy

    def check(self, model: Any) -> tuple[float, float | None]:
        """Compare every server with the learner, whose weights they have.

        Returns:
            The largest mean differences (nats) of log-probabilities and entropies.

        Raises:
            EngineError: a server is too far from the learner.
        """
        found = []
        for server in [s for s in self.servers if s.usable]:

            async def one(ids: list[int], sampling: Sampling, server: Server = server) -> Completion:
                return await self._ask(server, ids, sampling, sampling.max_tokens, self.entropy)

            exact = self.exact_entropy
            work = compare(one, model, where=str(server), limit=self.mismatch_limit, entropy_exact=exact)
            found.append(self.call(work))
        apart = [entropy for _, entropy in found if entropy is not None]
        return max(gap for gap, _ in found), max(apart) if apart else None

    def _find_entropy(self) -> None:
        """Use exact entropies where all servers give them and they are wanted."""
        if self._wanted_entropy in ("topk", "none"):
            self.entropy = wire.Entropy("none" if self._wanted_entropy == "none" else "topk", self.entropy.topk)
            return
        exact = wire.Entropy("exact")

        async def has(server: Server) -> bool:
            with contextlib.suppress(wire.NoEntropy):
                await self._ask(server, [0], Sampling(1), 1, exact)
                return True
            return False

        found = self.call(all_of([s for s in self.servers if s.usable], has))
        self._raise_first(found)
        if all(found):
            self.entropy = exact
        elif self._wanted_entropy == "exact":
            raise ConfigError(
                "engine.vllm.entropy: the vLLM servers give no exact entropies. Start them with agentrl serve-vllm, in "
                "an environment where agentrl is installed beside vLLM; or use topk."
            )

    # ---- around ---------------------------------------------------------------------------------

    def rest(self) -> None:
        """Servers with a sleep mode, which share the learner's GPU, drop weights and cache (adapters: keep the base).

        Raises:
            EngineError: one of them cannot.
        """
        if not self.world.leads:
            return
        level = 1 if isinstance(self.sync, AdapterSync) else 2
        sleepers = [server for server in self.servers if server.sleeps and server.usable]
        self._raise_first(self.call(all_of(sleepers, lambda s: s.post("/sleep", level=level, mode="abort"))))
        for server in sleepers:
            server.asleep, server.usable = True, False

    def working(self) -> Any:
        """Nothing waits for anybody."""
        return nothing()

    def stats(self) -> dict[str, float]:
        """Counts since the last call, which starts them anew."""
        counted, self.counters = self.counters, dict.fromkeys(COUNTED, 0.0)
        return {**counted, "servers": float(sum(server.usable for server in self.servers))}

    async def close(self) -> None:
        """End the connections; the servers run on. May be called twice."""
        if self.sync is not None:
            self.sync.close()
        await asyncio.to_thread(self.line.close)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run in the line's loop and wait, at most two deadlines long."""
        return self.line.call(work, 2 * self.deadline_s)

    def _each(
        self, servers: Sequence[Server], work: Callable[[Server], Coroutine[Any, Any, Any]]
    ) -> dict[Server, EngineError]:
        """The same call to several servers; those that failed, and why."""
        done = self.call(all_of(servers, work))
        return {s: e for s, e in zip(servers, done, strict=True) if isinstance(e, EngineError)}

    async def _still(self, server: Server) -> None:
        """Ready for weights: paused, and with memory for them."""
        await server.post("/pause", mode="keep", clear_cache="false")
        if server.asleep:
            await server.post("/wake_up", tags="weights")

    async def _go_on(self, server: Server) -> None:
        if server.asleep:
            await server.post("/wake_up", tags="kv_cache")
            server.asleep = False
        await server.post("/resume")

    def _abort(self, servers: Sequence[Server]) -> None:
        """What servers with half an update are at must not go on."""
        with contextlib.suppress(Exception):
            self._each(servers, lambda s: s.post("/pause", mode="abort"))

    def _raise_first(self, results: Sequence[Any]) -> None:
        for result in results:
            if isinstance(result, AgentRLError):
                raise result


COMPARED = 2
"""Versions after which a server is compared with the learner: what it was started with may be the first."""
COUNTED = ("requests", "prompt_tokens", "cached_tokens", "decoded_tokens", "servers_lost")
