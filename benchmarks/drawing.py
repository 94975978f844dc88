"""How long one token takes to draw: natively, and in numpy, on the same rows.

usage: python -m benchmarks.drawing [--rows N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from trtnemo import SamplingParams
from trtnemo.runtime.sampler import draw, draw_in_numpy

LAWS = {
    "temperature": SamplingParams(),
    "top_p 0.95": SamplingParams(top_p=0.95),
    "top_k 20, top_p 0.95": SamplingParams(top_k=20, top_p=0.95),
}
PEAKS = 40


def rows_of(count: int, vocabulary: int) -> Any:
    """Return logits as a language model gives them: normal ones, and a few that stand out."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(count, vocabulary)).astype(np.float32)
    for row in rows:
        row[generator.choice(vocabulary, PEAKS, replace=False)] += generator.uniform(4, 12, PEAKS)
    return rows


def microseconds(function: Callable[..., int], rows: Any, params: SamplingParams) -> float:
    """Return the mean time of a draw, after one that is not counted."""
    function(rows[0], params, 1, 0)
    start = time.perf_counter()
    for place, row in enumerate(rows):
        function(row, params, 1, place)
    return (time.perf_counter() - start) / len(rows) * 1e6


def main() -> None:
    """Print a table: microseconds, native and numpy, by law and vocabulary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40)
    count = parser.parse_args().rows
    print("| law | vocabulary | native, us | numpy, us |\n|---|--:|--:|--:|")
    for name, params in LAWS.items():
        for vocabulary in (4096, 16384, 131072):
            rows = rows_of(count, vocabulary)
            native = microseconds(draw, rows, params)
            plain = microseconds(draw_in_numpy, rows.astype(np.float64), params)
            print(f"| {name} | {vocabulary:,} | {native:.0f} | {plain:.0f} |", flush=True)


if __name__ == "__main__":
    main()
