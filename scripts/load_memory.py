"""Load a phantom of the released Super NVFP4 for a device, and print the most memory that the host held for it.

The phantom has the released files' headers over holes; the device is torch's `meta`, which keeps nothing. Exits 1 above
the limit. It takes some minutes on two cores: every expert is read and packed.

usage: python -m scripts.load_memory [--limit-gib 8]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

from trtnemo.backends.cuda.weights import load_weights
from trtnemo.checkpoint import Checkpoint
from trtnemo.network import NemotronH

PHANTOM = Path(__file__).resolve().parents[1] / "tests" / "support" / "checkpoints" / "phantom.py"


class HostMemory:
    """The most anonymous memory of this process while the block runs, beyond what it had before, in bytes."""

    def __enter__(self) -> HostMemory:
        self.before, self.most, self._ended = _anonymous(), 0, False
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended = True
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended:
            self.most = max(self.most, _anonymous() - self.before)
            time.sleep(0.01)


def _anonymous() -> int:
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("RssAnon"))
    return int(line.split()[1]) << 10


def main() -> int:
    """Print bytes and seconds; return 1 above the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit-gib", type=float, default=8.0)
    limit = parser.parse_args().limit_gib
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / "super"
        subprocess.run([sys.executable, str(PHANTOM), str(place), "--precision", "nvfp4"], check=True)
        checkpoint = Checkpoint.open(place)
        model, started = NemotronH.from_checkpoint(checkpoint, "weight_only"), time.monotonic()
        with HostMemory() as host:
            graphs = [model.record_target(), model.record_mtp()]
            weights = load_weights(checkpoint, graphs, "wgmma", torch.device("meta"))
    seconds = time.monotonic() - started
    print(f"{weights.nbytes / 1e9:.1f} GB of weights in {seconds:.0f} s, {host.most / 2**30:.2f} GiB of the host")
    return int(host.most > limit * 2**30)


if __name__ == "__main__":
    raise SystemExit(main())
