"""Completions over HTTP, several at a time, streamed: tokens a second and the time to the first."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class Streamed:
    """One completion: tokens, seconds to the first and to the last."""

    tokens: int
    first: float
    last: float


async def complete(client: httpx.AsyncClient, url: str, prompt: list[int] | str, tokens: int) -> Streamed:
    """Stream one greedy completion that ends by length alone."""
    body = {
        "model": "tiny",
        "prompt": prompt,
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "ignore_eos": True,
    }
    started, first, count = time.perf_counter(), 0.0, 0
    async with client.stream("POST", f"{url}/v1/completions", json=body) as response:
        response.raise_for_status()
        # events are counted and not read: the client shares the machine's cores with what it measures
        async for part in response.aiter_raw():
            count += part.count(b"data: {")
            first = first or time.perf_counter() - started
    return Streamed(count, first, time.perf_counter() - started)


def stream_all(url: str, prompts: list[list[int]], tokens: int) -> list[Streamed]:
    """Stream one completion a prompt, all at once."""

    async def run() -> list[Streamed]:
        async with httpx.AsyncClient(timeout=600) as client:
            return list(await asyncio.gather(*(complete(client, url, prompt, tokens) for prompt in prompts)))

    return asyncio.run(run())


def total_rate(url: str, prompts: list[list[int]], tokens: int) -> float:
    """Return tokens a second of all streams together, from the first token that any of them gave to the last."""
    found = stream_all(url, prompts, tokens)
    return sum(item.tokens for item in found) / (max(item.last for item in found) - min(item.first for item in found))
