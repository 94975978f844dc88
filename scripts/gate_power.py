"""How often the gate errs, by resampling pairs from one pool of recorded runs of one and the same server.

usage: gate_power.py POOL [--pairs N] [--trials N] [--slowdown SHARE]
(POOL: what `trtnemo bench gate RECIPE --keep DIR` left in DIR, or benchmarks/gate-pool.json, the rates of such a pool)

A trial draws pairs of neighbouring runs with replacement and lets a coin decide which of a pair is called the second,
so that nothing distinguishes them; then once more with the second made slower by SHARE. All verdicts are the gate's.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np

from trtnemo.bench.gate.compare import Verdict, compare
from trtnemo.bench.gate.gate_file import GateFile
from trtnemo.bench.gate.markdown import outcome
from trtnemo.bench.gate.pairs import read_pairs
from trtnemo.bench.load.summary import METRICS, Summary


def read_pool(place: Path) -> list[tuple[Summary, Summary]]:
    """Return pairs of runs, from a directory or from a file of rates."""
    if place.is_dir():
        before, after = read_pairs(place)
        return list(zip(before, after, strict=True))
    rates = json.loads(place.read_text(encoding="utf-8"))["pairs"]
    return [(_run(first), _run(second)) for first, second in rates]


def _run(rate: float) -> Summary:
    counts = dict.fromkeys(("requests", "failed", "unfinished", "lost", "empty", "thinking_only"), 0)
    shares = dict.fromkeys(("acceptance", "tokens_per_verification", "cache_hits"))
    return Summary(**counts, **shares, seconds=0.0, metrics={"output_tokens_per_second": rate})


def slowed(run: Summary, share: float) -> Summary:
    """Return a run that took so much longer in everything."""
    metrics = {
        name: value / (1 + share) if METRICS[name].more_is_better else value * (1 + share)
        for name, value in run.metrics.items()
    }
    return dataclasses.replace(run, metrics=metrics)


def verdicts(
    pool: list[tuple[Summary, Summary]], gate: GateFile, pairs: int, trials: int, share: float
) -> Counter[Verdict]:
    """Return how often which verdict falls."""
    random, found = np.random.default_rng(1), Counter[Verdict]()
    only = [
        [dataclasses.replace(run, metrics={name: run.metrics[name] for name in gate.metrics}) for run in pair]
        for pair in pool
    ]
    for _ in range(trials):
        drawn = [only[number][:: random.choice((1, -1))] for number in random.integers(0, len(only), pairs)]
        second = [slowed(pair[1], share) for pair in drawn]
        found[outcome(compare([pair[0] for pair in drawn], second, gate, paired=True))] += 1
    return found


def main() -> None:
    """Print both error rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--slowdown", type=float, default=0.10)
    options = parser.parse_args()
    gate = GateFile.load(Path(__file__).parent.parent / "benchmarks" / "gate.yaml")
    pool = read_pool(options.pool)
    print(f"{2 * len(pool)} runs, {options.trials} trials of {options.pairs} pairs")
    for share in (0.0, options.slowdown):
        found = verdicts(pool, gate, options.pairs, options.trials, share)
        told = ", ".join(
            f"{verdict.value} {count / options.trials:.2%}" for verdict, count in sorted(found.items(), key=str)
        )
        print(f"  slower by {share:.0%}: {told}")


if __name__ == "__main__":
    main()
