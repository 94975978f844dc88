"""Our runtime in a process of its own: what it decodes and prefills a second, and the memory that it took.

usage: python -m benchmarks.ours ENGINE --prompt N --tokens N --streams N    (prints one JSON object)
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np

from trtnemo.backends import Draw, Executor, make_batch
from trtnemo.engine import Engine
from trtnemo.runtime import load_executor


def prefill_rate(executor: Executor, prompt: list[int]) -> float:
    """Return prompt tokens a second, in steps of what the recipe allows."""
    started, step = time.perf_counter(), executor.budget.max_num_tokens
    for position in range(0, len(prompt), step):
        part = prompt[position : position + step]
        executor.forward(make_batch([(0, position, part, False)], [len(part) - 1]))
    return len(prompt) / (time.perf_counter() - started)


def decode_rate(executor: Executor, start: int, streams: int, tokens: int) -> float:
    """Return tokens a second of greedy decoding, all streams together.

    Each stream begins with a token of its own: the same in all would choose the same experts, which are read once.
    """
    last = [5 + 97 * slot for slot in range(streams)]
    started = time.perf_counter()
    for number in range(tokens):
        batch = make_batch([(slot, start + number, [last[slot]], False) for slot in range(streams)])
        result = executor.forward(dataclasses.replace(batch, draws=(Draw(),) * streams))
        last = [int(token) for token in result.rows() if isinstance(token, int)]
    return streams * tokens / (time.perf_counter() - started)


def peak_bytes() -> int:
    """Return the most memory that this process ever held, pages of mapped files included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) << 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", type=Path)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--streams", type=int, default=1)
    options = parser.parse_args()
    before = time.perf_counter()
    executor = load_executor(Engine.open(options.engine))
    loaded = time.perf_counter() - before
    prompt = np.random.default_rng(0).integers(20, executor.budget.vocab_size, options.prompt).tolist()
    prefill = decode = 0.0
    for _ in range(3):  # the first warms the caches
        prefill = prefill_rate(executor, prompt)
        for slot in range(1, options.streams):
            executor.restore(slot, executor.snapshot(0))
        decode = decode_rate(executor, len(prompt), options.streams, options.tokens)
        for slot in range(options.streams):
            executor.release(slot)
    found = {"prefill": prefill, "decode": decode, "load_seconds": loaded, "peak_bytes": peak_bytes()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
