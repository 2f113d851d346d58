"""A server that answers as vLLM 0.32 was recorded to (recorded.json), with a state: paused, updating, label, tokens.

It is an ``httpx`` transport: `fleet` gives one for several addresses. No model: what it samples are the recorded ids.
"""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import httpx

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())
ANSWERS: dict[str, Any] = RECORDED["answers"]
VOCABULARY = 542


class FakeVllm:
    """One server. Attributes are set by tests to make it another kind of server, or break it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        """Paths in order of arrival, with what matters of query and body."""
        self.info = copy.deepcopy({"vllm_config": {k: RECORDED[k] for k in ("vllm_config",)}["vllm_config"]})
        self.version = "0.32.0"
        self.overrides: dict[str, tuple[int, Any]] = {}
        """Answers by path in place of the usual ones."""
        self.label = "default"
        self.paused = self.updating = self.broken = False
        """``broken``: an update broke in the middle; layers are not whole until start and finish."""
        self.dead = False
        self.delay = 0.0
        self.bodies: list[dict[str, Any]] = []
        """Requests to sample."""
        self.sent: dict[str, Any] = {}
        """What the last update named."""

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """The transport's function."""
        if self.dead:
            raise httpx.ConnectError("All connection attempts failed")
        path, query = request.url.path, dict(request.url.params)
        body = json.loads(request.content) if request.content else {}
        if path in self.overrides:
            self.seen.append(path + ("?" + request.url.query.decode() if path in ("/sleep", "/wake_up") else ""))
            return httpx.Response(self.overrides[path][0], json=self.overrides[path][1])
        status, found = await self._reply(path, query, body)
        return httpx.Response(status, json=found)

    async def _reply(self, path: str, query: dict[str, str], body: dict[str, Any]) -> Any:
        if path in ("/inference/v1/generate", "/v1/completions"):
            return await self._sample(path, body)
        self.seen.append(path + (f"?mode={query['mode']}" if "mode" in query else ""))
        if path == "/version":
            return 200, {"version": self.version}
        if path == "/server_info":
            return 200, self.info
        if path == "/pause":
            self.paused = True
            return ANSWERS["pause"]
        if path == "/resume":
            self.paused = False
            return ANSWERS["resume"]
        if path in ("/start_weight_update", "/update_weights", "/finish_weight_update"):
            return self._update(path, body)
        if path == "/update_weight_version":
            self.label = body["new_version"]
            return 200, {"success": True, "new_version": self.label}
        usual = {
            "/v1/models": "models",
            "/tokenize": "tokenize",
            "/init_weight_transfer_engine": "init",
            "/get_world_size": "world",
        }
        return ANSWERS[usual[path]] if path in usual else ANSWERS["lora404"]

    def _update(self, path: str, body: dict[str, Any]) -> Any:
        if path == "/start_weight_update":
            if self.updating:
                return ANSWERS["start_twice"]
            self.updating = True
            return ANSWERS["start"]
        if path == "/update_weights":
            self.sent = body["update_info"]
            if self.broken:
                self.updating = False
                return 500, {"error": {"message": "'Parameter' object has no attribute 'weight_loader'"}}
            return 200, {"message": "Weights updated"}
        if not self.updating:
            return ANSWERS["finish_without"]
        self.updating = self.broken = False
        self.label = body.get("weight_version") or self.label
        return ANSWERS["finish"]

    async def _sample(self, path: str, body: dict[str, Any]) -> Any:
        ids = body.get("token_ids", body.get("prompt"))
        if not ids:
            return ANSWERS["empty"]
        if max(ids) >= VOCABULARY:
            return ANSWERS["vocab"]
        assert not self.paused, "sampled while paused"
        self.bodies.append(body)
        await asyncio.sleep(self.delay)
        if self.dead:
            raise httpx.ReadError("")
        if path == "/v1/completions":
            return ANSWERS["completions"]
        status, found = copy.deepcopy(ANSWERS["exact"])
        found["choices"][0]["weight_versions"][0]["version"] = self.label
        return status, found


def fleet(servers: dict[str, FakeVllm]) -> httpx.MockTransport:
    """A transport for servers by ``host:port``."""

    async def answer(request: httpx.Request) -> httpx.Response:
        return await servers[f"{request.url.host}:{request.url.port}"].answer(request)

    return httpx.MockTransport(answer)
