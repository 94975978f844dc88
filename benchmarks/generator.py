"""What the load generator costs: the same load on `mid`, sent by guidellm and by a client that reads nothing.

usage: python -m benchmarks.generator [--work DIR] [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from pathlib import Path

import httpx

from benchmarks import checkpoints
from benchmarks.served import serving
from benchmarks.streams import complete
from trtnemo.bench.generator import Generator
from trtnemo.bench.prompts import Prompt, draw_prompts
from trtnemo.bench.run import Target, run_load
from trtnemo.bench.shape import LoadShape
from trtnemo.bench.summary import summarize

STREAMS, REQUESTS, TOKENS = 8, 32, 64


def lean_rate(url: str, model: str, prompts: list[Prompt]) -> float:
    """Return tokens a second from the first request sent to the last answered, by a client that reads nothing."""

    async def run() -> float:
        places = asyncio.Semaphore(STREAMS)
        async with httpx.AsyncClient(timeout=600) as client:

            async def one(prompt: Prompt) -> int:
                async with places:
                    return (await complete(client, url, prompt.text, prompt.output_tokens, model)).tokens

            started = time.perf_counter()
            tokens = await asyncio.gather(*(one(prompt) for prompt in prompts))
            return sum(tokens) / (time.perf_counter() - started)

    return asyncio.run(run())


def main() -> None:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    engine = checkpoints.build(options.work, checkpoints.make(options.work, "mid", "nvfp4"))
    lean, guided = [], []
    with serving(engine) as (url, _), Generator() as generator:
        for number in range(-1, options.rounds):
            shape = LoadShape(
                concurrency=STREAMS,
                requests=REQUESTS,
                warmup=0,
                output_tokens=TOKENS,
                api="completions",
                seed=2 * number + 2,
            )
            record = run_load(generator, Target(url), shape)
            other = shape.model_copy(update={"seed": shape.seed + 1})
            rate = lean_rate(url, record.server.model, draw_prompts(other))
            if number >= 0:  # the first round warms up
                guided.append(summarize(record).metrics["output_tokens_per_second"])
                lean.append(rate)
                print(f"  round {number + 1}: guidellm {guided[-1]:.1f}, lean {rate:.1f} tokens/s", flush=True)
    ratio = statistics.median(one / other for one, other in zip(guided, lean, strict=True))
    print(f"{STREAMS} streams on mid: with guidellm {ratio:.3f} of what a client that reads nothing gets")


if __name__ == "__main__":
    main()
