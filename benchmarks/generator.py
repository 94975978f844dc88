"""What the load generator costs: the same load on `mid`, sent by guidellm and by a client that reads nothing.

usage: python -m benchmarks.generator [--work DIR] [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np

from benchmarks import checkpoints
from benchmarks.served import serving
from benchmarks.streams import complete
from trtnemo.bench.gate.compare import interval
from trtnemo.bench.load.generator import Generator
from trtnemo.bench.load.prompts import Prompt, draw_prompts
from trtnemo.bench.load.run import Target, run_load
from trtnemo.bench.load.shape import LoadShape
from trtnemo.bench.load.summary import summarize

STREAMS, REQUESTS, TOKENS = 8, 32, 64


def lean_rate(url: str, model: str, prompts: list[Prompt]) -> float:
    """Return tokens a second from the first request sent to the last answered, by a client that reads nothing."""

    async def run() -> float:
        places = asyncio.Semaphore(STREAMS)
        async with httpx.AsyncClient(timeout=600) as client:

            async def one(prompt: Prompt) -> int:
                async with places:
                    return (await complete(client, url, model, prompt.text, prompt.output_tokens)).tokens

            started = time.perf_counter()
            tokens = await asyncio.gather(*(one(prompt) for prompt in prompts))
            return sum(tokens) / (time.perf_counter() - started)

    return asyncio.run(run())


def guided_rate(generator: Generator, target: Target, shape: LoadShape) -> float:
    """Return tokens a second as `trtnemo bench run` measures them."""
    return summarize(run_load(generator, target, shape)).metrics["output_tokens_per_second"]


def main() -> None:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    engine = checkpoints.build(options.work, checkpoints.make(options.work, "mid", "nvfp4"))
    rates: dict[str, list[float]] = {"guidellm": [], "lean": []}
    with serving(engine) as (url, _), Generator() as generator:
        target = Target(url)
        model = target.server().model
        measures: dict[str, Callable[[LoadShape], float]] = {
            "guidellm": lambda shape: guided_rate(generator, target, shape),
            "lean": lambda shape: lean_rate(url, model, draw_prompts(shape, f"lean {shape.seed}")),
        }
        for number in range(-1, options.rounds):
            shape = LoadShape(
                concurrency=STREAMS,
                requests=REQUESTS,
                warmup=0,
                output_tokens=TOKENS,
                api="completions",
                seed=number + 1,
            )
            found = {name: measures[name](shape) for name in (rates if number % 2 else reversed(rates))}
            if number >= 0:  # the first round warms up
                for name, rate in found.items():
                    rates[name].append(rate)
                told = ", ".join(f"{name} {rate:.1f}" for name, rate in found.items())
                print(f"  round {number + 1}: {told}", flush=True)
    center, _, low, high = interval(np.log(rates["lean"]), np.log(rates["guidellm"]), 0.05, paired=True)
    share, least, most = (math.exp(value) for value in (center, low, high))
    print(f"{STREAMS} streams on mid: with guidellm {share:.3f} of what a client that reads nothing gets")
    print(f"  bounds {least:.3f} to {most:.3f}, each with 95 % confidence")


if __name__ == "__main__":
    main()
