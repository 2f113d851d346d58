"""Meeting a vLLM server: what it is, and whether it will do for this run.

Nothing is sampled before it has weights of this run: an earlier one may have left it paused, or with half an update,
and the model must not be run then.
"""

from __future__ import annotations

import logging
from typing import Any

from agentrl.engines import vllm_wire as wire
from agentrl.engines.base import Sampling
from agentrl.engines.vllm_checks import check_folder, check_settings, check_version
from agentrl.engines.vllm_http import Refused, Server
from agentrl.errors import ConfigError

log = logging.getLogger("agentrl")


async def meet(server: Server, tokenizer: Any, vocabulary: int) -> ConfigError | None:
    """Fill in what is known of a server; errors of the user's making are returned.

    Args:
        server: A new one.
        tokenizer: The policy's; None: is not compared.
        vocabulary: Rows of the policy's embedding.

    Raises:
        EngineError: it cannot be reached, or gives no answer.
    """
    try:
        version = (await server.get("/version"))["version"]
        check_version(str(version), f"The server {server}")
        served = (await server.get("/v1/models"))["data"][0]
        server.model = served["id"]
        server.max_context = int(served.get("max_model_len") or 0)
        server.info = (await _info(server))["vllm_config"]
        check_settings(server.info, f"The server {server}")
        check_folder(server.info, str(served.get("root")), f"The server {server}", vocabulary=vocabulary)
        await _check_tokenizer(server, tokenizer)
        await _find_route(server)
    except ConfigError as error:
        return error
    except (KeyError, IndexError, TypeError) as error:
        return ConfigError(f"{server} does not answer like a vLLM server (no {error}).")
    return None


async def _info(server: Server) -> Any:
    try:
        return await server.get("/server_info", config_format="json")
    except Refused as error:
        if error.status != 404:
            raise
        raise ConfigError(
            f"The server {server} does not take weights: start it with agentrl serve-vllm, or with "
            "VLLM_SERVER_DEV_MODE=1."
        ) from error


async def _check_tokenizer(server: Server, tokenizer: Any) -> None:
    if tokenizer is None:
        return
    text = "The 3rd red shirt, size XL: click[buy now]?\n"
    own = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    try:
        body = {"model": server.model, "prompt": text, "add_special_tokens": False}
        theirs = (await server.post("/tokenize", body))["tokens"]
    except Refused:
        return  # started without a tokenizer, which is fine: only ids are exchanged
    if theirs != own:
        raise ConfigError(
            f"The server {server} has another tokenizer than the policy (for the same text {theirs[:6]}... and "
            f"{own[:6]}...). Start it with the folder or the name that is given as --model."
        )


async def _find_route(server: Server) -> None:
    """Whether ``/inference/v1/generate`` is there: an empty prompt is refused either way."""
    try:
        await server.post("/inference/v1/generate", {"token_ids": [], "sampling_params": {}})
    except Refused as error:
        server.generates = error.status not in (403, 404, 405, 501)
        if not server.generates:
            log.warning("%s was started without --enable-scale-out; /v1/completions is used instead.", server)


async def check_vocabulary(server: Server, vocabulary: int) -> None:
    """The policy's last token must be known, and the one after it must not. The server must have whole weights.

    Raises:
        ConfigError: that is not so.
        EngineError: no answer.
    """
    body = wire.generate_body if server.generates else wire.completions_body
    path = "/inference/v1/generate" if server.generates else "/v1/completions"

    async def knows(token: int) -> bool:
        asked = body([token], Sampling(1), 1, wire.Entropy("none"), model=server.model, salt="vocabulary")
        try:
            await server.post(path, asked)
        except Refused as error:
            if error.status != 400 or "vocabulary" not in str(error):
                raise
            return False
        return True

    if not await knows(vocabulary - 1) or await knows(vocabulary):
        raise ConfigError(
            f"The server {server} has a model with another number of tokens than the policy's {vocabulary}: another "
            "model or tokenizer. Start it with the folder or the name that is given as --model."
        )
