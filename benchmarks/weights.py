"""Quantize and scan a made checkpoint of a real model's shapes, beside reading and writing the same bytes alone.

usage: python -m benchmarks.weights WORK [--model nano] [--layers 20] [--rounds 2]     (29 GB on the disk of WORK;
all 52 layers of Nano take 83 GB, of which `--spill DIR --spill-shards N` puts N * 4.3 GB elsewhere)

The page cache is emptied before each measure where this user may. Memory is the anonymous memory of the process that
quantizes: pages of files are the kernel's to take back.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.checkpoints import phantom
from trtnemo.checkpoint.reading.buffers import Buffers

PART = 16 << 20
SHARD = 4 << 30
_DROP = Path("/proc/sys/vm/drop_caches")


def make(output: Path, model: str, layers: int, elsewhere: Path | None = None, spilled: int = 0) -> None:
    """Write a BF16 checkpoint with the first layers of a released model: real shapes, random weights, no MTP head.

    elsewhere: a folder of another disk, or of memory, which the first `spilled` shards are written to and linked from.
    """
    config: dict[str, Any] = json.loads((phantom.FAMILY / f"{model}.json").read_text())
    pattern = phantom.pattern(config, "hybrid_override_pattern", "layers_block_type")[:layers]
    config |= {"hybrid_override_pattern": pattern, "num_hidden_layers": layers, "num_nextn_predict_layers": 0}
    config.pop("layers_block_type", None)
    output.mkdir(parents=True)
    (output / "config.json").write_text(json.dumps(config))
    shards: list[list[phantom.Tensor]] = [[]]
    size = 0
    for tensor in phantom.tensors(config, {}, "bf16"):
        if size > SHARD:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += int(np.prod(tensor[2])) * phantom.BYTES[tensor[1]]
    names = [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
    weight_map: dict[str, str] = {}
    for seed, (name, content) in enumerate(zip(names, shards, strict=True)):
        place = output if elsewhere is None or seed >= spilled else elsewhere
        phantom.write_shard(place / name, content)
        fill(place / name, seed)
        if place != output:
            (output / name).symlink_to(place / name)
        weight_map |= {tensor[0]: name for tensor in content}
    (output / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def fill(path: Path, seed: int) -> None:
    """Write random weights over the hole behind a header."""
    draw = np.random.default_rng(seed)
    values = draw.standard_normal(32 << 20, np.float32) * np.float32(0.02)
    noise = memoryview((values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8))
    with path.open("r+b") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        left = path.stat().st_size - start
        file.seek(start)
        while left:
            begin = int(draw.integers(0, 1 << 20)) * 2  # so that no two experts are alike
            left -= file.write(noise[begin : begin + left])


def empty_cache() -> bool:
    """Write what is waiting to the disk, and forget what was read; returns whether this user may."""
    os.sync()
    try:
        _DROP.write_text("3")
    except OSError:
        return False
    return True


def copy_alone(source: Path, target: Path, written: int) -> float:
    """Return the seconds that reading every shard and writing so many bytes takes, in as many threads as processors."""
    shards = sorted(source.glob("*.safetensors"))
    total = sum(path.stat().st_size for path in shards)
    parts = [(path, begin) for path in shards for begin in range(0, path.stat().st_size, PART)]
    share = written / total
    files = {path: path.open("rb") for path in shards}
    began = time.monotonic()
    with target.open("wb") as new, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:

        def move(numbered: tuple[int, tuple[Path, int]]) -> None:
            number, (path, begin) = numbered
            part = os.pread(files[path].fileno(), PART, begin)
            os.pwrite(new.fileno(), part[: int(len(part) * share)], int(number * PART * share))

        for _ in threads.map(move, enumerate(parts)):
            pass
        os.fsync(new.fileno())
    seconds = time.monotonic() - began
    for file in files.values():
        file.close()
    target.unlink()
    return seconds


def read_alone(source: Path) -> float:
    """Return the seconds that reading every shard takes."""
    shards = sorted(source.glob("*.safetensors"))
    parts = [(path, begin) for path in shards for begin in range(0, path.stat().st_size, PART)]
    began = time.monotonic()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:

        def read(part: tuple[Path, int]) -> None:
            with part[0].open("rb", buffering=0) as file:
                file.seek(part[1])
                file.readinto(own.take("read", PART).data)

        own = Buffers()  # fresh memory for every part would be most of the time
        for _ in threads.map(read, parts):
            pass
    return time.monotonic() - began


def timed(*words: str) -> tuple[float, int]:
    """Return (seconds, most bytes of anonymous memory) of a command of trtnemo."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "trtnemo", *words], stdout=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        most = max(most, _anonymous(process.pid))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(process.returncode)
    return time.monotonic() - began, most


def _anonymous(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:")), 0)


def main() -> int:
    """Print both times of every round, their ratio, rates and memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--model", default="nano", choices=["nano", "super", "lightning"])
    parser.add_argument("--layers", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--spill", type=Path, help="a folder on another disk, or in memory, for the first shards")
    parser.add_argument("--spill-shards", type=int, default=0)
    options = parser.parse_args()
    source, target = options.work / f"{options.model}-{options.layers}", options.work / "quantized"
    if not source.exists():
        make(source, options.model, options.layers, options.spill, options.spill_shards)
    read = sum(path.stat().st_size for path in source.glob("*.safetensors"))
    written, ratios = int(read * 0.3), []
    for number in range(options.rounds):
        shutil.rmtree(target, ignore_errors=True)
        is_cold = empty_cache()
        words = ("quantize", str(source), str(target), "--preset", "nvfp4", "--weight-only")
        seconds, most = timed(*words)
        written = sum(path.stat().st_size for path in target.glob("*.safetensors"))
        empty_cache()
        alone = copy_alone(source, options.work / "copied", written)
        ratios.append(alone / seconds)
        print(
            f"round {number + 1}: {read / 1e9:.1f} GB read, {written / 1e9:.1f} GB written, cache "
            f"{'empty' if is_cold else 'as it was'}: {seconds:.1f} s, {read / seconds / 1e9:.2f} GB/s of BF16; reading "
            f"and writing alone {alone:.1f} s, {read / alone / 1e9:.2f} GB/s; ratio {ratios[-1]:.2f}; "
            f"{most / 2**20:.0f} MiB of anonymous memory",
            flush=True,
        )
    print(f"ratio in the middle: {statistics.median(ratios):.2f}", flush=True)
    for number in range(options.rounds):
        scan_once(number + 1, source)
    return 0


def scan_once(number: int, source: Path) -> None:
    """Print the times of scanning and of reading alone, the page cache emptied before each."""
    read = sum(path.stat().st_size for path in source.glob("*.safetensors"))
    empty_cache()
    seconds, most = timed("check", str(source), "--deep")
    empty_cache()
    alone = read_alone(source)
    print(
        f"scan {number}: {read / 1e9:.1f} GB in {seconds:.1f} s, {read / seconds / 1e9:.2f} GB/s; reading alone "
        f"{alone:.1f} s, {read / alone / 1e9:.2f} GB/s; ratio {alone / seconds:.2f}; {most / 2**20:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
