"""Measure what docs/measurements.md states, and print it as Markdown.

usage: make measure        (needs everything that `make test` installs)
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support import oracle  # noqa: E402
from tests.support.backends.executors import make_executor  # noqa: E402
from trtnemo.backends import make_batch  # noqa: E402
from trtnemo.checkpoint.hub.source import EMBEDDED  # noqa: E402

CASES = [
    ("bf16", "micro"),
    ("bf16", "small"),
    ("nvfp4", "micro"),
    ("nvfp4", "small"),
    ("mixed", "micro"),
    ("mixed", "small"),
]
SEEDS = (0, 1, 2)
TOKENS = 200


def gaps(directory: Path, seed: int) -> tuple[float, float, float, float]:
    """Return largest |logit|, and the largest gaps: prefill, step by step, prefill to step by step."""
    ids = torch.randint(0, 4096, (TOKENS,), generator=torch.Generator().manual_seed(seed))
    expected = oracle.logits(oracle.load_model(directory), ids).numpy()
    executor = make_executor(directory)
    prefill = executor.forward(make_batch([(0, 0, ids.tolist(), False)])).logits
    rows = [executor.forward(make_batch([(1, n, [int(token)], False)])).logits[0] for n, token in enumerate(ids)]
    steps = np.stack(rows)
    return tuple(float(np.abs(x).max()) for x in (expected, prefill - expected, steps - expected, prefill - steps))  # type: ignore[return-value]


def print_gaps(work: Path) -> None:
    """Print the table of logit gaps, the worst of all seeds."""
    print("| checkpoint | largest logit | prefill | step by step | prefill to steps |\n|---|---|---|---|---|")
    for precision, size in CASES:
        found = []
        for seed in SEEDS:
            directory = work / f"{size}-{precision}-{seed}"
            script = ROOT / "tests" / "tools" / "make_checkpoint.py"
            command = [sys.executable, str(script), str(directory), "--precision", precision, "--size", size]
            subprocess.run([*command, "--seed", str(seed)], check=True, capture_output=True)
            found.append(gaps(directory, seed))
        worst = np.array(found).max(0)
        print(f"| {size} {precision} | {worst[0]:.2f} | " + " | ".join(f"{value:.1e}" for value in worst[1:]) + " |")


def seconds(command: list[str], runs: int = 5) -> str:
    """Return median (minimum, maximum) of a whole process."""
    found = []
    for _ in range(runs):
        started = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        found.append(time.monotonic() - started)
    return f"{statistics.median(found):.2f} s ({min(found):.2f} to {max(found):.2f})"


def serve_seconds(engine: Path, runs: int = 5) -> str:
    """Return median (minimum, maximum) from start to the line that says the server answers."""
    found = []
    for _ in range(runs):
        started = time.monotonic()
        command = [sys.executable, "-m", "trtnemo", "serve", "--engine", str(engine), "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if process.stdout is None or not process.stdout.readline().startswith("Serving"):
            raise SystemExit("the server did not start")
        found.append(time.monotonic() - started)
        process.terminate()
        process.wait()
    return f"{statistics.median(found):.2f} s ({min(found):.2f} to {max(found):.2f})"


def main() -> None:
    """Print all measurements."""
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        print_gaps(work)
        trtnemo = [sys.executable, "-m", "trtnemo"]
        engine = work / "engine"
        print("\n| what | median of 5 (smallest to largest) |\n|---|---|")
        print(f"| `trtnemo --help` | {seconds([*trtnemo, '--help'])} |")
        print(f"| `trtnemo build --recipe tiny` | {seconds([*trtnemo, 'build', '--output', str(engine), '--force'])} |")
        print(f"| `trtnemo serve` until it answers | {serve_seconds(engine)} |")
    size = sum(path.stat().st_size for path in EMBEDDED.iterdir())
    print(f"\nAssets: {size:,} bytes.")


if __name__ == "__main__":
    main()
