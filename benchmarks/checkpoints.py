"""What is measured: random checkpoints, engines of them, and the bytes that a decoded token touches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from trtnemo.backends.cpu.packed import read_index
from trtnemo.bench.profile import state_bytes, weight_bytes
from trtnemo.engine import Engine, build_engine
from trtnemo.recipe import load_recipe

MAKE = Path(__file__).resolve().parents[1] / "tests" / "support" / "checkpoints" / "make_checkpoint.py"


def make(work: Path, size: str, precision: str) -> Path:
    """Return a random checkpoint, written once."""
    directory = work / f"{size}-{precision}"
    if not directory.exists():
        command = [sys.executable, str(MAKE), str(directory), "--size", size, "--precision", precision]
        subprocess.run(command, check=True, capture_output=True)
    return directory


def build(work: Path, checkpoint: Path, *settings: str) -> Path:
    """Return the engine of a checkpoint, built anew."""
    output = work / "engines" / "-".join([checkpoint.name, *(item.replace("=", "-") for item in settings)])
    recipe = load_recipe("tiny", [f"checkpoint={checkpoint}", "limits.max_seq_len=4096", *settings])
    build_engine(recipe, "tiny", output, force=output.exists())
    return output


def touched_bytes(engine: Path, streams: int = 1) -> tuple[int, int]:
    """Return the bytes of weights, and of recurrent states read and written, that a decoding step touches."""
    opened = Engine.open(engine)
    index, nodes = read_index(opened.weights_directory), opened.target.nodes
    weights = streams * sum(weight_bytes(node, index, share=streams) for node in nodes)
    return weights, streams * sum(state_bytes(node) for node in nodes)
