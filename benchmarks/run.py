"""Measure our CPU runtime beside llama.cpp, interleaved, and print the ratios.

usage: make bench        (or python -m benchmarks.run --help; the first run builds the peer, about 8 minutes on 2 cores)
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import chart, checkpoints, drafts, served
from benchmarks.peer import Peer
from trtnemo import _native
from trtnemo.machine import examine_machine

Samples = dict[str, list[float]]
STREAMS = 8


def say(text: str) -> None:
    """Print at once: a run takes minutes."""
    print(text, flush=True)


def ours(engine: Path, **options: int) -> dict[str, float]:
    """Return what a process of our own measured."""
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.ours", str(engine), *words]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def profiled(engine: Path) -> dict[str, float]:
    """Return what share of the machine's own products a second a prompt of 512 tokens reached."""
    command = [sys.executable, "-m", "trtnemo", "bench", "profile", str(engine), "--tokens", "8", "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    least, seconds = (sum(cost[key] for cost in found["prefill"]) for key in ("least", "seconds"))
    return {"share": least / seconds}


def interleave(rounds: int, measures: dict[str, Callable[[], dict[str, float]]]) -> Samples:
    """Run every measure once a round, in turn, so that what else the machine does hurts all alike."""
    samples: Samples = {}
    for number in range(rounds):
        for name, measure in measures.items():
            for key, value in measure().items():
                samples.setdefault(f"{name}.{key}", []).append(value)
        say(f"  round {number + 1} of {rounds}")
    return samples


def middle(samples: Samples, name: str) -> float:
    """Return the median of a measure."""
    return statistics.median(samples[name])


def single_stream(work: Path, peer: Peer, size: str, rounds: int, *, others: bool) -> Samples:
    """Return rates of one stream: ours, the peer's on the same weights, and on its own formats where wanted."""
    checkpoint = checkpoints.make(work, size, "nvfp4")
    engine, model = checkpoints.build(work, checkpoint), peer.convert(checkpoint)
    narrow = checkpoints.build(work, checkpoint, "cpu.activations=int8")
    threads = peer.threads

    def rates(file: Path) -> Callable[[], dict[str, float]]:
        return lambda: dict(zip(("prefill", "decode"), peer.rates(file, 512, 64), strict=True))

    measures: dict[str, Callable[[], dict[str, float]]] = {
        "bandwidth": lambda: {"bytes": _native.measure_bandwidth(512 << 20, threads, 4)},
        "ours": lambda: ours(engine),
        "llama.cpp NVFP4": rates(model),
        "ours int8": lambda: ours(narrow),
        "ours 8 streams": lambda: {"total": ours(engine, streams=STREAMS)["decode"]},
        "profile": lambda: profiled(engine),
    }
    if others:
        plain = peer.convert(checkpoints.make(work, size, "bf16"))
        measures["llama.cpp BF16"] = rates(plain)
        measures["llama.cpp Q4_0"] = rates(peer.quantize(plain, "Q4_0"))
    return interleave(rounds, measures)


def streams_bound(engine: Path, samples: Samples) -> float:
    """Return the most tokens a second that streams can have together.

    A step reads what it touches at the machine's bandwidth, and multiplies no faster than a prompt does.
    """
    step = sum(checkpoints.touched_bytes(engine, STREAMS)) / middle(samples, "bandwidth.bytes")
    return min(STREAMS / step, middle(samples, "ours.prefill"))


def report_single(size: str, samples: Samples, engine: Path) -> dict[str, Any]:
    """Print one size's rates and ratios, and return them."""
    weights, states = checkpoints.touched_bytes(engine)
    bandwidth, decode = middle(samples, "bandwidth.bytes"), middle(samples, "ours.decode")
    say(f"\n{size}: {weights / 1e6:.0f} MB of weights and {states / 1e6:.0f} MB of states a token")
    for name in samples:
        if name.endswith((".prefill", ".decode")):
            low, high = min(samples[name]), max(samples[name])
            say(f"  {name:<26} {middle(samples, name):9.1f} tokens/s   ({low:.1f} to {high:.1f})")
    ratios = {
        "decode": decode / middle(samples, "llama.cpp NVFP4.decode"),
        "prefill": middle(samples, "ours.prefill") / middle(samples, "llama.cpp NVFP4.prefill"),
        "decode of bandwidth": decode * weights / bandwidth,
        "decode of bandwidth, states counted": decode * (weights + states) / bandwidth,
    }
    ratios["prefill of the products' bound"] = middle(samples, "profile.share")
    if "llama.cpp Q4_0.prefill" in samples:
        ratios["prefill to Q4_0"] = middle(samples, "ours.prefill") / middle(samples, "llama.cpp Q4_0.prefill")
    bound = streams_bound(engine, samples)
    ratios["8 streams of their bound"] = middle(samples, "ours 8 streams.total") / bound
    packed = (engine / "cpu-v1" / "weights.bin").stat().st_size
    above = middle(samples, "ours.peak_bytes") - packed
    total = middle(samples, "ours 8 streams.total")
    say(f"  {STREAMS} streams in process {total:.1f} tokens/s, of at most {bound:.1f}")
    say(f"  read bandwidth {bandwidth / 1e9:.1f} GB/s; memory above packed weights {above / 2**20:.0f} MiB")
    for name, value in ratios.items():
        say(f"  {name:<38} {value:.2f}")
    return {"samples": samples, "ratios": ratios, "weight_bytes": weights, "state_bytes": states, "above": above}


def main() -> None:
    """Measure, print, write JSON and a plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".cache/bench"), help="where checkpoints and the peer stay")
    parser.add_argument(
        "--output", type=Path, default=Path(".cache/bench/result"), help="stem of the JSON and PNG files"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["mid", "micro", "served", "drafts"], help="one part instead of all")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    machine = examine_machine()
    kernels = _native.kernel_names()[0]
    say(
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gib} GiB; "
        f"{kernels} kernels, {options.threads} threads"
    )
    peer = Peer((options.work / "peer").resolve(), options.threads)
    result: dict[str, Any] = {
        "machine": {"processor": machine.processor, "cores": machine.cores, "kernels": kernels},
        "date": time.strftime("%Y-%m-%d"),
        "threads": options.threads,
    }
    for size in ("mid", "micro"):
        if options.only in (None, size):
            samples = single_stream(options.work, peer, size, options.rounds, others=size == "mid")
            engine = checkpoints.build(options.work, checkpoints.make(options.work, size, "nvfp4"))
            result[size] = report_single(size, samples, engine)
    if options.only in (None, "served"):
        result["served"] = served.measure(options.work, peer, options.rounds, say)
    if options.only in (None, "drafts"):
        result["drafts"] = drafts.measure(options.work, options.rounds, say)
    options.output.with_suffix(".json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    chart.draw(result, options.output.with_suffix(".png"))
    say(f"\nwritten: {options.output.with_suffix('.json')}, {options.output.with_suffix('.png')}")


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
