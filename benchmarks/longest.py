"""Run the end of the longest prompt that an engine takes, to compare the memory it took with `trtnemo plan`'s.

usage: python -m benchmarks.longest ENGINE     (prints one JSON object)

A prompt of 131,072 tokens takes a CPU an hour or more; its memory shows in a minute: a cache of that length is filled
with noise, and the last chunk of a prompt and a few tokens are run behind it, with all that they read and write.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.ours import decode_rate, peak_bytes
from trtnemo.backends import make_batch
from trtnemo.backends.cpu.executor import CpuExecutor
from trtnemo.engine import Engine
from trtnemo.native import require_native
from trtnemo.runtime import load_executor

TOKENS = 8


def fill(executor: CpuExecutor, length: int) -> None:
    """Give slot 0 a state of `length` tokens whose keys and values are small float16 numbers of either sign."""
    snapshot = executor.blank_snapshot(length, ())
    copy = executor.pieces(snapshot)
    noise = np.random.default_rng(0).integers(0x2000, 0x3400, copy.page_bytes // 2, np.uint16)
    noise[::3] |= 0x8000
    for number in range(-(-length // require_native().PAGE_TOKENS)):
        np.frombuffer(copy.page(number), np.uint8)[:] = noise.view(np.uint8)
    executor.restore(0, snapshot)


def main() -> None:
    """Fill, run, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", type=Path)
    engine = Engine.open(parser.parse_args().engine)
    executor = load_executor(engine)
    if not isinstance(executor, CpuExecutor):
        raise SystemExit("only engines with packed weights are measured")
    budget = executor.budget
    chunk, length = budget.max_num_tokens, budget.max_seq_len - budget.max_num_tokens - TOKENS
    fill(executor, length)
    ids = np.random.default_rng(1).integers(20, budget.vocab_size, chunk).tolist()
    started = time.perf_counter()
    executor.forward(make_batch([(0, length, ids, False)], [chunk - 1]))
    seconds = time.perf_counter() - started
    found = {
        "tokens": length + chunk + TOKENS,
        "prefill of the last chunk": chunk / seconds,
        "decode": decode_rate(executor, length + chunk, 1, TOKENS),
        "peak_bytes": peak_bytes(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
