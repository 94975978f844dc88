"""Our runtime in a process of its own: what it decodes and prefills a second, and the memory that it took.

usage: python -m benchmarks.ours ENGINE --prompt N --tokens N --streams N    (prints one JSON object)
       python -m benchmarks.ours ENGINE --longest

A prompt of 131,072 tokens takes a CPU an hour; what it takes of memory shows in a minute. With --longest a cache is
filled with noise to the engine's limit, and the last chunk of a prompt and a few tokens run behind it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np

from trtnemo.backends import Draw, Executor, make_batch
from trtnemo.backends.cpu.executor import CpuExecutor
from trtnemo.engine import Engine
from trtnemo.native import require_native
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


def fill(executor: CpuExecutor, length: int) -> None:
    """Give slot 0 a state of `length` tokens whose keys and values are small float16 numbers of either sign."""
    snapshot = executor.blank_snapshot(length, ())
    copy = executor.pieces(snapshot)
    noise = np.random.default_rng(0).integers(0x2000, 0x3400, copy.page_bytes // 2, np.uint16)
    noise[::3] |= 0x8000
    for number in range(-(-length // require_native().PAGE_TOKENS)):
        np.frombuffer(copy.page(number), np.uint8)[:] = noise.view(np.uint8)
    executor.restore(0, snapshot)


def at_the_limit(executor: CpuExecutor, tokens: int) -> dict[str, float]:
    """Return the rates at the end of the longest context."""
    budget = executor.budget
    chunk = budget.max_num_tokens
    start = budget.max_seq_len - chunk - tokens
    if start < 1:
        raise SystemExit(f"a chunk of {chunk} and {tokens} tokens leave nothing of {budget.max_seq_len}")
    fill(executor, start)
    ids = np.random.default_rng(1).integers(20, budget.vocab_size, chunk).tolist()
    started = time.perf_counter()
    executor.forward(make_batch([(0, start, ids, False)], [chunk - 1]))
    prefill = chunk / (time.perf_counter() - started)
    return {"prefill": prefill, "decode": decode_rate(executor, start + chunk, 1, tokens)}


def from_the_start(executor: Executor, prompt_tokens: int, tokens: int, streams: int) -> dict[str, float]:
    """Return the rates of a prompt, and of streams behind it."""
    prompt = np.random.default_rng(0).integers(20, executor.budget.vocab_size, prompt_tokens).tolist()
    prefill = decode = 0.0
    for _ in range(3):  # the first warms the caches
        prefill = prefill_rate(executor, prompt)
        for slot in range(1, streams):
            executor.restore(slot, executor.snapshot(0))
        decode = decode_rate(executor, len(prompt), streams, tokens)
        for slot in range(streams):
            executor.release(slot)
    return {"prefill": prefill, "decode": decode}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", type=Path)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--longest", action="store_true", help="at the end of the longest context, one stream")
    options = parser.parse_args()
    before = time.perf_counter()
    executor = load_executor(Engine.open(options.engine))
    loaded = time.perf_counter() - before
    if options.longest:
        if not isinstance(executor, CpuExecutor):
            raise SystemExit("--longest is for engines with packed weights")
        rates = at_the_limit(executor, options.tokens)
    else:
        rates = from_the_start(executor, options.prompt, options.tokens, options.streams)
    print(json.dumps({**rates, "load_seconds": loaded, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main()
