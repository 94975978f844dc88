"""How fast weights are packed for the CPU runtime: files in the page cache, output in memory.

usage: python -m benchmarks.packing [--work DIR] [--size mid] [--rounds N]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import checkpoints
from trtnemo.backends.cpu.packing import pack_weights
from trtnemo.checkpoint import Checkpoint
from trtnemo.network import NemotronH


def main() -> None:
    """Print gigabytes a second of each round, for NVFP4 and BF16; the first round fills the page cache."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(".cache/bench"), help="where checkpoints stay")
    parser.add_argument("--size", default="mid")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for precision in ("nvfp4", "bf16"):
        checkpoint = Checkpoint.open(checkpoints.make(options.work, options.size, precision))
        model = NemotronH.from_checkpoint(checkpoint)
        graphs = [model.record_target(), model.record_mtp()]
        rates = []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
                start = time.perf_counter()
                pack_weights(checkpoint, graphs, Path(directory), lambda done, total: None)
                rates.append(checkpoint.total_bytes / (time.perf_counter() - start) / 1e9)
        print(f"{options.size} {precision}, {checkpoint.total_bytes / 1e6:,.0f} MB: ", end="")
        print(", ".join(f"{rate:.2f}" for rate in rates), "GB/s", flush=True)


if __name__ == "__main__":
    main()
