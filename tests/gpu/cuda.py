"""One part of what `tests/gpu/cuda.sh` asks of a GPU; prints and writes JSON, and exits 5 where numbers differ.

machine: versions, clocks, memory, the rate of a copy. products: every format, norms in front, 1 to 200 rows, beside
torch in float32. plugins: both plugins' ops beside their references, draws beside the host's sampler. bandwidth: bytes
a second of each format at 4096 x 16384, buffers rotated. launches: seconds of a boundary between small kernels in a
graph, overlapped and not. tiny: an engine beside torch, layer by layer, drafts on; seconds of steps. prompts: prompts
in chunks, long contexts, FP8 caches, float16 states, snapshots, chained drafts. nano, super: steps at full width over
random weights.

usage: python -m tests.gpu.cuda PART [--interpret] [--report FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trtnemo.kernels.mode import interpret_kernels

FAR = 0.02  # of the largest number: rows become bfloat16 on a device
NEAR = 1e-5


def machine(device: torch.device) -> dict[str, Any]:
    """Return what is here, and how fast it copies."""
    import triton

    found: dict[str, Any] = {"torch": torch.__version__, "triton": triton.__version__}
    size = 1 << (30 if device.type == "cuda" else 24)
    source, target = (torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2))
    seconds = timed(device, lambda: target.copy_(source))
    found["copy_bytes_per_second"] = 2 * size / seconds
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        found |= {"name": about.name, "capability": f"{about.major}.{about.minor}", "memory": about.total_memory}
        query = ["nvidia-smi", "--query-gpu=clocks.sm,clocks.mem,driver_version", "--format=csv,noheader"]
        found["clocks and driver"] = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    return found


def products(device: torch.device) -> dict[str, Any]:
    """Return the worst difference of every form from torch, in parts of its largest number."""
    from trtnemo.backends.cuda.product import Factor, Norm, multiply

    draw, worst = np.random.default_rng(0), {}
    for form in ("plain", "fp8", "nvfp4"):
        launch, weight, values = made(device, form, 256, 512, draw)
        for rows in (1, 3, 16, 40, 65, 200):
            x = torch.from_numpy(draw.standard_normal((rows, 512), np.float32)).to(device)
            norm = torch.linspace(0.5, 1.5, 512, device=device)
            for name, front in (("alone", None), ("normed", Norm(norm, 1e-5))):
                taken = x if front is None else x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * norm
                found = multiply(launch, Factor(x, weight), norm=front)
                expected = taken @ values.T
                difference = float((found - expected).abs().max() / expected.abs().max())
                worst[f"{form} {rows} {name}"] = difference
    return {"relative": worst, "passed": max(worst.values()) < (FAR if device.type == "cuda" else NEAR)}


def bandwidth(device: torch.device) -> dict[str, Any]:
    """Return bytes of weights a second, by format and rows, as long as the buffers do not fit the cache."""
    from trtnemo.backends.cuda.product import Factor, multiply

    draw, found = np.random.default_rng(0), {}
    rows_of, columns, copies = (4096, 16384, 8) if device.type == "cuda" else (64, 128, 2)
    for form in ("plain", "fp8", "nvfp4"):
        weights = [made(device, form, rows_of, columns, draw)[:2] for _ in range(copies)]
        for rows in (1, 8, 16):
            x = torch.randn(rows, columns, device=device, dtype=torch.bfloat16 if device.type == "cuda" else None)

            def every(x: Any = x, weights: Any = weights) -> None:
                for launch, weight in weights:
                    multiply(launch, Factor(x, weight))

            size = sum(weight.nbytes for _, weight in weights)
            found[f"{form} {rows}"] = size / timed(device, every)
    return {"bytes_per_second": found}


def tiny(device: torch.device) -> dict[str, Any]:
    """Return how an engine of `tiny` compares with torch, and seconds of its steps."""
    from trtnemo.backends import make_batch
    from trtnemo.cli.views.tensorrt_plans import comparison_json
    from trtnemo.engine import Engine
    from trtnemo.engine.build import build_engine
    from trtnemo.recipe import load_recipe
    from trtnemo.runtime.comparison.compare import compare
    from trtnemo.runtime.load import load_executor

    interprets = device.type == "cpu"
    settings = ("cuda.compile_ahead=false", "limits.max_seq_len=1024", "limits.max_batch_size=4")
    with tempfile.TemporaryDirectory() as directory:
        build_engine(load_recipe("h200-cuda", settings, "tiny"), "h200-cuda", Path(directory) / "engine")
        engine = Engine.open(Path(directory) / "engine")
        comparison = compare(engine, steps=1 if interprets else 64, interpret=interprets)
        executor = load_executor(engine, interpret=interprets)
        steps = []
        for step in range(2 if interprets else 50):
            started = time.perf_counter()
            executor.forward(make_batch([(0, step, [5], False)]))
            steps.append(time.perf_counter() - started)
    found = comparison_json(comparison)
    return {"comparison": found, "decode_seconds": statistics.median(steps), "passed": comparison.passed}


def plugins(device: torch.device) -> dict[str, Any]:
    """Return the worst difference of both plugins from their references, and whether draws are the host's."""
    from tests.support.gpu.plugins import draws_are_the_hosts, latent_moe_difference, mamba2_difference

    worst = {"mamba2": mamba2_difference(device), "latent_moe": latent_moe_difference(device)}
    draws = draws_are_the_hosts(device)
    near = max(worst.values()) < (FAR if device.type == "cuda" else 1e-4)
    return {"relative": worst, "draws": draws, "passed": draws and near}


def launches(device: torch.device) -> dict[str, Any]:
    """Return seconds of each of 350 small kernels that are captured together, with and without overlap."""
    from trtnemo.backends.cuda.kernels.norm import norm_kernel
    from trtnemo.backends.cuda.steps.capture import DeviceGraph, Tape
    from trtnemo.kernels.outside.launchers import launcher_for

    found, count = {}, 350 if device.type == "cuda" else 3
    x, weight, out = (
        torch.randn(8, 4096, device=device),
        torch.ones(4096, device=device),
        torch.empty(8, 4096, device=device),
    )
    for overlaps in (False, True):
        launch = replace(launcher_for(device), overlaps=overlaps and launcher_for(device).overlaps)

        def work(launch: Any = launch) -> None:
            for _ in range(count):
                launch(norm_kernel, (8,), x, weight, out, 4096, 4096, 1e-5, BLOCK=4096, num_warps=8)

        captured: Any = DeviceGraph(work, None) if device.type == "cuda" else Tape(launch, work)
        found["overlapped" if overlaps else "in turn"] = timed(device, captured) / count
    return {"seconds_per_kernel": found}


def steps_of(recipe: str, device: torch.device, settings: tuple[str, ...]) -> dict[str, Any]:
    """Return seconds of steps of 1, 4 and 8 sequences, with drafts where the recipe drafts."""
    from tests.support.gpu import steps as cuda_steps

    executor = cuda_steps.random_executor(recipe, device, settings)
    few, rounds = ((1, 4, 8), 30) if device.type == "cuda" else ((1,), 1)
    copies = machine(device)["copy_bytes_per_second"]
    found: dict[str, Any] = {"bits": cuda_steps.same_bits(executor, 4 if device.type == "cuda" else 2)}
    if executor.mtp is not None:
        found["bound of three drafts by bytes"] = cuda_steps.bound_of_drafts(executor)
    for sequences in few:
        seconds = cuda_steps.decode_seconds(executor, sequences, rounds)
        rate = cuda_steps.read_bytes(executor, sequences, sequences) / seconds
        about = {"seconds": seconds, "tokens_per_second": sequences / seconds, "bytes_per_second": rate}
        about["share of a copy's rate"] = rate / copies
        if executor.mtp is not None:
            drafted = cuda_steps.drafted_seconds(executor, sequences, rounds)
            about |= {"drafted_seconds": drafted, "drafted_tokens_per_second": 8 / 3 * sequences / drafted}
        found[f"{sequences} sequences"] = about
    # the interpreter's products do not keep columns apart to the last bit, as matrix instructions do
    return {"steps": found, "passed": found["bits"] or device.type == "cpu"}


def prompts(device: torch.device) -> dict[str, Any]:
    """Return how prompts in chunks, contexts of over 1,024 tokens, caches, states and snapshots of `tiny` compare."""
    from tests.support.gpu.prompts import examine

    found = examine(device, (130, 70, 900, 1, 5) if device.type == "cuda" else (9, 1))
    near = all(one["relative"] < (0.1 if "fp8 caches" in name else 0.04) for name, one in found.items())
    same = all(one["restored"] and one["chained drafts"] for one in found.values())
    return {"settings": found, "passed": near and same}


def nano(device: torch.device) -> dict[str, Any]:
    """Return steps of Nano; over the interpreter, of `tiny`."""
    settings = ("limits.max_seq_len=4096", "limits.max_num_tokens=512")
    return steps_of("h100-cuda", device, settings if device.type == "cuda" else (*settings, "checkpoint=tiny"))


def super_(device: torch.device) -> dict[str, Any]:
    """Return steps of Super with its MTP head, or without where the memory is less; of `tiny` over the interpreter."""
    settings = ("limits.max_seq_len=4096", "limits.max_num_tokens=512")
    if device.type == "cpu":
        return steps_of("h200-cuda", device, (*settings, "checkpoint=tiny"))
    memory = torch.cuda.get_device_properties(device).total_memory
    if memory < 78e9:
        return {"left out": f"{memory} bytes do not hold Super"}
    return steps_of("h200-cuda", device, settings if memory > 90e9 else (*settings, "speculation.draft_tokens=0"))


def made(device: torch.device, form: str, rows: int, columns: int, draw: Any) -> Any:
    """Return (launcher, a packed weight of random codes, its values on the device)."""
    from trtnemo.checkpoint import WeightFormat
    from trtnemo.checkpoint.format.codecs import decode_fp8, decode_nvfp4
    from trtnemo.kernels.family import family_of
    from trtnemo.kernels.fragments import pack_fp8, pack_nvfp4, pack_scales
    from trtnemo.kernels.launch import Launcher
    from trtnemo.kernels.weight import PackedWeight

    family = family_of(torch.cuda.get_device_capability() if device.type == "cuda" else (8, 0))
    factor, scales = np.float32(0.01), np.zeros((16,), np.uint8)
    if form == "plain":
        words = torch.randn(rows, columns, device=device).to(torch.bfloat16)
        values, factor = words.float(), np.float32(1)
    elif form == "fp8":
        codes = draw.integers(0, 0x7F, (rows, columns), np.uint8) | draw.integers(0, 2, (rows, columns), np.uint8) << 7
        words = pack_fp8(torch.from_numpy(codes).to(device), family)
        values = torch.from_numpy(decode_fp8(codes, factor)).to(device)
    else:
        codes = draw.integers(0, 256, (rows, columns // 2), np.uint8)
        blocks = draw.integers(0x30, 0x40, (rows, columns // 16), np.uint8)
        words = pack_nvfp4(torch.from_numpy(codes).to(device), family)
        values = torch.from_numpy(np.array(decode_nvfp4(codes, blocks, factor))).to(device)
        packed = pack_scales(torch.from_numpy(blocks).to(device), columns)
    formats = {"plain": WeightFormat.PLAIN, "fp8": WeightFormat.FP8, "nvfp4": WeightFormat.NVFP4}
    scale = torch.full((rows // 64,), float(factor), device=device)
    bytes_of = packed if form == "nvfp4" else torch.from_numpy(scales).to(device)
    return Launcher(device, family), PackedWeight(formats[form], rows, columns, words, bytes_of, scale), values


def timed(device: torch.device, work: Callable[[], Any]) -> float:
    """Return the median seconds of some work, after it has run once."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    taken = []
    for _ in range(1 + (10 if device.type == "cuda" else 2)):
        wait()
        started = time.perf_counter()
        work()
        wait()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


PARTS = {
    "machine": machine,
    "products": products,
    "plugins": plugins,
    "bandwidth": bandwidth,
    "launches": launches,
    "tiny": tiny,
    "prompts": prompts,
    "nano": nano,
    "super": super_,
}


def main() -> int:
    """Run a part; 5 where it did not pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--interpret", action="store_true", help="no GPU: over the interpreter, to try the script")
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    if given.interpret:
        interpret_kernels()
    with torch.inference_mode():
        found = {"part": given.part, **PARTS[given.part](torch.device("cpu" if given.interpret else "cuda"))}
    text = json.dumps(found, indent=1)
    print(text)
    if given.report:
        given.report.write_text(text, encoding="utf-8")
    return 0 if found.get("passed", True) else 5


if __name__ == "__main__":
    sys.exit(main())
