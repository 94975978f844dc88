"""Completions over HTTP, several at a time, streamed: tokens a second and the time to the first."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

import httpx

from trtnemo.endpoint import served_models

_COUNT = re.compile(rb'"completion_tokens": ?(\d+)')


@dataclass(frozen=True)
class Streamed:
    """One completion: tokens, seconds to the first and to the last."""

    tokens: int
    first: float
    last: float


async def complete(client: httpx.AsyncClient, url: str, model: str, prompt: list[int] | str, tokens: int) -> Streamed:
    """Stream one greedy completion that ends by length alone."""
    body = {
        "model": model,
        "prompt": prompt,
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }
    started, first, tail = time.perf_counter(), 0.0, b""
    async with client.stream("POST", f"{url}/v1/completions", json=body) as response:
        response.raise_for_status()
        # nothing is read but the end, with the count: the client shares the machine's cores with what it measures
        async for part in response.aiter_raw():
            tail = (tail + part)[-8192:]
            first = first or time.perf_counter() - started
    last = time.perf_counter() - started
    return Streamed(int(_COUNT.findall(tail)[-1]), first, last)


def stream_all(url: str, prompts: list[list[int]], tokens: int) -> list[Streamed]:
    """Stream one completion a prompt, all at once, of the first model that the server lists."""
    model = served_models(url)[0]

    async def run() -> list[Streamed]:
        async with httpx.AsyncClient(timeout=600) as client:
            return list(await asyncio.gather(*(complete(client, url, model, prompt, tokens) for prompt in prompts)))

    return asyncio.run(run())


def total_rate(url: str, prompts: list[list[int]], tokens: int) -> float:
    """Return tokens a second of all streams together, from the first token that any of them gave to the last."""
    found = stream_all(url, prompts, tokens)
    seconds = max(item.last for item in found) - min(item.first for item in found)
    return (sum(item.tokens for item in found) - 1) / seconds


def rate_in_all(url: str, prompts: list[list[int]], tokens: int) -> float:
    """Return tokens a second of all streams together, their prompts and connections counted."""
    found = stream_all(url, prompts, tokens)
    return sum(item.tokens for item in found) / max(item.last for item in found)
