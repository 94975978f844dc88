"""Whether upstreams are ready: health is open, and a token was seen lately."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from trtnemo.gateway.options import GatewayOptions
from trtnemo.gateway.upstream import Pool, Upstream

_PATIENCE = 25.0  # for health: SGLang makes a token for it
_QUESTION = {"messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 1, "temperature": 0}


async def watch(pool: Pool, client: httpx.AsyncClient, options: GatewayOptions, headers: Mapping[str, str]) -> None:
    """Look at every upstream again and again, until cancelled."""
    await asyncio.gather(*(_watch_one(pool, one, client, options, headers) for one in pool.upstreams))


async def _watch_one(
    pool: Pool, upstream: Upstream, client: httpx.AsyncClient, options: GatewayOptions, headers: Mapping[str, str]
) -> None:
    while True:
        reason = await _refusal(pool, upstream, client, options, headers)
        if reason is None:
            upstream.is_ready, upstream.reason = True, ""
        else:
            upstream.eject(reason)
        await asyncio.sleep(options.health_seconds)


async def _refusal(
    pool: Pool, upstream: Upstream, client: httpx.AsyncClient, options: GatewayOptions, headers: Mapping[str, str]
) -> str | None:
    """Return why an upstream is not ready, None where it is; asks for a token where none was seen lately."""
    try:
        health = await client.get(f"{upstream.base}/health", timeout=_PATIENCE, headers=headers)
        if health.status_code != 200:
            return f"its health says {health.status_code}"
        seen = upstream.token_at
        if pool.clock() - upstream.version_at >= options.token_seconds:  # another one may stand there by now
            upstream.version, upstream.version_at = await _version(upstream, client, headers), pool.clock()
        if seen is not None and pool.clock() - seen < options.token_seconds:
            return None
        models = await client.get(f"{upstream.base}/v1/models", timeout=_PATIENCE, headers=headers)
        first = models.json()["data"][0]
        upstream.owner = str(first.get("owned_by", ""))
        body = {"model": first["id"], **_QUESTION}
        url = f"{upstream.base}/v1/chat/completions"
        answer = await client.post(url, json=body, timeout=options.token_seconds, headers=headers)
        if answer.status_code == 429:  # it is busy, and answers
            return None
        if answer.status_code != 200 or not answer.json()["choices"]:
            return f"a question got no token, but {answer.status_code}"
    except httpx.HTTPError as error:
        # a question that waits behind others is no loss while those get tokens
        seen = upstream.token_at
        is_busy = isinstance(error, httpx.ReadTimeout) and seen is not None
        if is_busy and seen is not None and pool.clock() - seen < options.token_seconds:
            return None
        return f"it does not answer ({type(error).__name__})"
    except (ValueError, LookupError, TypeError, AttributeError):
        return "what it answers is not the OpenAI API"
    pool.saw_token(upstream)
    return None


async def _version(upstream: Upstream, client: httpx.AsyncClient, headers: Mapping[str, str]) -> str:
    """Return the version that a server tells of itself, nothing where it tells none."""
    answer = await client.get(f"{upstream.base}/version", timeout=_PATIENCE, headers=headers)
    try:
        return str(answer.json()["version"]) if answer.status_code == 200 else ""
    except (ValueError, LookupError, TypeError):
        return ""
