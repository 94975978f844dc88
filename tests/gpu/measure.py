"""Run an engine's plans on this machine's GPU: compare them with the torch lowering, time them beside the roofline.

usage: python tests/gpu/measure.py ENGINE [--report FILE] [--no-compare] [--interpret]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trtnemo.backends import Executor, make_batch
from trtnemo.backends.tensorrt.plans import read_index
from trtnemo.cli.views.tensorrt_plans import comparison_json
from trtnemo.engine import Engine
from trtnemo.errors import EngineError
from trtnemo.launch.plan_input import to_deployment
from trtnemo.plan.hardware import find_device
from trtnemo.plan.network import find_network
from trtnemo.plan.plan import make_plan
from trtnemo.runtime.comparison.compare import compare
from trtnemo.runtime.load import load_executor

REPEATS = 20


def time_steps(executor: Executor, vocabulary: int, batch: int, prompt: int) -> dict[str, float]:
    """Return seconds of a prefill and of a decode step with `batch` sequences, the first and the median."""
    ids = np.random.default_rng(0).integers(0, vocabulary, prompt).tolist()
    prefills = []
    for slot in range(batch):
        started = time.perf_counter()
        executor.forward(make_batch([(slot, 0, ids, False)], logit_rows=[prompt - 1]))
        prefills.append(time.perf_counter() - started)
    steps = []
    for step in range(REPEATS):
        parts = [(slot, prompt + step, [1], False) for slot in range(batch)]
        started = time.perf_counter()
        executor.forward(make_batch(parts))
        steps.append(time.perf_counter() - started)
    for slot in range(batch):
        executor.release(slot)
    return {
        "first_prefill_seconds": prefills[0],
        "prefill_seconds": statistics.median(prefills),
        "first_decode_seconds": steps[0],
        "decode_seconds": statistics.median(steps),
    }


def measure(engine: Engine, interpret: bool) -> list[dict[str, Any]]:
    """Return times by batch, beside the least that the device's bandwidth allows."""
    network = find_network(str(engine.checkpoint().directory))
    plan = make_plan(network, to_deployment(engine.recipe, network), find_device(engine.recipe.hardware.name))
    executor, limits = load_executor(engine, interpret=interpret), engine.recipe.limits
    prompt = min(512, limits.max_num_tokens, limits.max_seq_len // 2)
    found = []
    for batch in sorted({1, limits.max_batch_size}):
        times = time_steps(executor, network.config.vocab_size, batch, prompt)
        bound = next((speed.seconds for speed in plan.decode if speed.batch == batch), None)
        found.append({"batch": batch, "prompt": prompt, **times, "decode_bound_seconds": bound})
    return found


def main() -> int:
    """Print the report, write it where --report says, and return 5 where the plans differ from torch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", type=Path)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--no-compare", action="store_true", help="leave out torch, for checkpoints too large for it")
    parser.add_argument("--interpret", action="store_true", help="no GPU: the networks on the CPU, to try this script")
    given = parser.parse_args()
    engine = Engine.open(given.engine)
    index = read_index(engine.directory)
    report: dict[str, Any] = {
        "engine": str(given.engine),
        "device": "interpreter on the CPU" if given.interpret else torch.cuda.get_device_name(),
        "tensorrt": f"{index.flavor} {index.version}",
        "compute_capability": index.compute_capability,
        "products": index.settings.products.value,
        "times": measure(engine, given.interpret),
    }
    passed = True
    if not given.no_compare:
        comparison = compare(engine, interpret=given.interpret)
        report["comparison"], passed = comparison_json(comparison), comparison.passed
    text = json.dumps(report, indent=1)
    if given.report:
        given.report.write_text(text, encoding="utf-8")
    print(text)
    return 0 if passed else EngineError.exit_code


if __name__ == "__main__":
    sys.exit(main())
