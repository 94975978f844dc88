"""Over HTTP: eight streams beside llama-server, one stream beside the same engine in process, a chat's second turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import checkpoints
from benchmarks.peer import Peer
from benchmarks.streams import complete, rate_in_all, stream_all, total_rate
from trtnemo import LLM, SamplingParams, endpoint

STREAMS, TOKENS, PROMPT = 8, 64, 64


@contextmanager
def serving(engine: Path) -> Iterator[tuple[str, float]]:
    """Yield the base URL of our server, and the seconds until it answered."""
    started = time.perf_counter()
    with endpoint.serving(["--engine", str(engine)]) as url:
        yield url, time.perf_counter() - started


def prompts(count: int, length: int, seed: int = 0) -> list[list[int]]:
    """Return random prompts that share nothing."""
    drawn: list[list[int]] = np.random.default_rng(seed).integers(20, 16384, (count, length)).tolist()
    return drawn


def measure(work: Path, peer: Peer, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, print and return rates and ratios."""
    checkpoint = checkpoints.make(work, "mid", "nvfp4")
    engine, model = checkpoints.build(work, checkpoint), peer.convert(checkpoint)
    names = ("ours", "peer", "http", "in process", "ready", "ours in all", "peer in all", "in process in all")
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        batch = prompts(STREAMS, PROMPT, number)
        with serving(engine) as (url, ready):
            samples["ready"].append(ready)
            stream_all(url, batch[:1], 4)
            samples["ours"].append(total_rate(url, batch, TOKENS))
            samples["ours in all"].append(rate_in_all(url, prompts(STREAMS, PROMPT, 200 + number), TOKENS))
            samples["http"].append(total_rate(url, prompts(1, PROMPT, 100 + number), 2 * TOKENS))
        one, all_streams = _in_process(engine, 100 + number, 200 + number)
        samples["in process"].append(one)
        samples["in process in all"].append(all_streams)
        with peer.serving(model, STREAMS) as url:
            stream_all(url, batch[:1], 4)
            samples["peer"].append(total_rate(url, batch, TOKENS))
            samples["peer in all"].append(rate_in_all(url, prompts(STREAMS, PROMPT, 200 + number), TOKENS))
    turns = [second_turn(engine, seed) for seed in range(rounds)]
    median = {name: statistics.median(values) for name, values in samples.items()}
    ratios = {
        "8 streams after the first token": median["ours"] / median["peer"],
        "8 streams, prompts counted": median["ours in all"] / median["peer in all"],
        "8 streams over HTTP to in process": median["ours in all"] / median["in process in all"],
        "HTTP to in process": median["http"] / median["in process"],
        "second turn to first": statistics.median(second / first for first, second in turns),
    }
    say(f"\nserved mid: {STREAMS} streams {median['ours']:.1f} tokens/s, llama-server {median['peer']:.1f} tokens/s")
    whole, in_process = median["ours in all"], median["in process in all"]
    others = median["peer in all"]
    say(f"  prompts counted: over HTTP {whole:.1f}, in process {in_process:.1f}, llama-server {others:.1f} tokens/s")
    say(f"  one stream over HTTP {median['http']:.1f}, in process {median['in process']:.1f} tokens/s")
    say(f"  ready after {median['ready']:.2f} s; turns to first token, seconds: {turns}")
    for name, value in ratios.items():
        say(f"  {name:<38} {value:.2f}")
    return {"samples": samples, "turns": turns, "ratios": ratios}


def _in_process(engine: Path, one: int, several: int) -> tuple[float, float]:
    """Return tokens a second of LLM.generate: of one stream after its prompt, of all streams with their prompts."""
    seconds = []
    with LLM(engine) as llm:

        def timed(batch: list[list[int]], tokens: int) -> float:
            started = time.perf_counter()
            llm.generate(batch, SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True))
            return time.perf_counter() - started

        seconds = [timed(prompts(1, PROMPT, one), tokens) for tokens in (1, 1, 2 * TOKENS)]  # the first warms caches
        in_all = timed(prompts(STREAMS, PROMPT, several), TOKENS)
    return (2 * TOKENS - 1) / (seconds[2] - seconds[1]), STREAMS * TOKENS / in_all


def second_turn(engine: Path, seed: int) -> tuple[float, float]:
    """Return seconds to the first token of a prompt of 2,000 tokens, and of the turn after it."""
    import asyncio

    import httpx

    # token 2 ends a turn; what follows it is the beginning of an answer, which the next prompt writes otherwise
    history = [*prompts(1, 1995, 300 + seed)[0], 2]
    first = [*history, *prompts(1, 4, 600)[0]]
    second = [*history, *prompts(1, 30, 400 + seed)[0], 2, *prompts(1, 4, 600)[0]]

    async def run(url: str) -> tuple[float, float]:
        async with httpx.AsyncClient(timeout=600) as client:
            model = endpoint.served_models(url)[0]
            await complete(client, url, model, prompts(1, 20, 500)[0], 2)
            once = await complete(client, url, model, first, 2)
            return once.first, (await complete(client, url, model, second, 2)).first

    with serving(engine) as (url, _):
        return asyncio.run(run(url))
