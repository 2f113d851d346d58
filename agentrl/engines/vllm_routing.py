"""Which server a request goes to: that of its session, so that prefix caches hit; else the one with least to do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence

from agentrl.engines.vllm_http import Server
from agentrl.errors import EngineError

REMEMBERED = 1 << 16
"""Sessions whose server is remembered."""


class Router:
    """See the module docstring. Used from one thread."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = list(servers)
        self._home: OrderedDict[int, Server] = OrderedDict()
        self._sessions: dict[Server, int] = dict.fromkeys(servers, 0)

    def pick(self, session: int, tried: Collection[Server] = ()) -> Server:
        """The server for a request of ``session``, none of ``tried``.

        Raises:
            EngineError: none is left.
        """
        home = self._home.get(session)
        if home is not None and home.usable and home not in tried:
            self._home.move_to_end(session)
            return home
        left = [server for server in self.servers if server.usable and server not in tried]
        if not left:
            raise EngineError(f"no vLLM server is left of {', '.join(map(str, self.servers))}.")
        best = min(left, key=lambda server: (server.running, self._sessions[server]))
        if home is not None:
            self._sessions[home] -= 1
        self._home[session] = best
        self._home.move_to_end(session)
        self._sessions[best] += 1
        if len(self._home) > REMEMBERED:
            _, forgotten = self._home.popitem(last=False)
            self._sessions[forgotten] -= 1
        return best
