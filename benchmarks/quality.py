"""The quality gate: next-token laws of our runtime, and of llama.cpp, beside the torch lowering on decoded weights.

usage: python -m benchmarks.quality CHECKPOINT [--peer DIRECTORY] [--positions N] [--peer-positions N]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.peer import Peer
from trtnemo.backends import Executor, make_batch
from trtnemo.checkpoint import Checkpoint
from trtnemo.engine import Engine, build_engine
from trtnemo.recipe import load_recipe
from trtnemo.runtime import load_executor

# a choice between tokens that are nearly equally likely says nothing
MARGIN = 0.05


def log_laws(executor: Executor, ids: list[int]) -> Any:
    """Return log probabilities [positions, vocabulary] in float64, the prompt fed in chunks."""
    rows = []
    for start in range(0, len(ids), 250):
        part = ids[start : start + 250]
        logits = executor.forward(make_batch([(0, start, part, False)])).logits.astype(np.float64)
        shifted = logits - logits.max(-1, keepdims=True)
        rows.append(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))
    return np.concatenate(rows)


def peer_laws(url: str, ids: list[int], vocabulary: int) -> Any:
    """Return llama-server's log probabilities after each beginning of the ids; what it leaves out stays at -30."""
    laws = np.full((len(ids), vocabulary), -30.0)
    with httpx.Client(timeout=600) as client:
        for place in range(len(ids)):
            body = {"prompt": ids[: place + 1], "n_predict": 1, "n_probs": vocabulary, "temperature": 0}
            found = client.post(f"{url}/completion", json={**body, "cache_prompt": True}).json()
            for item in found["completion_probabilities"][0]["top_logprobs"]:
                laws[place, item["id"]] = item["logprob"]
    return laws


def gap(expected: Any, found: Any) -> str:
    """Return how a law differs from the reference: equal choices where the margin is clear, and the mean divergence."""
    best = np.sort(expected, -1)
    clear = best[:, -1] - best[:, -2] > MARGIN
    equal = expected.argmax(-1) == found.argmax(-1)
    divergence = (np.exp(expected) * (expected - found)).sum(-1).mean()
    return f"top-1 equal {equal[clear].mean():.2%} of {clear.sum()} clear positions, mean KL {divergence:.1e}"


def main() -> None:
    """Print a line for each way to run the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--peer", type=Path, help="where llama.cpp was built")
    parser.add_argument("--positions", type=int, default=1000)
    parser.add_argument("--peer-positions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    vocabulary = Checkpoint.open(options.checkpoint).config.vocab_size
    ids = np.random.default_rng(options.seed).integers(20, vocabulary, options.positions).tolist()
    ways = {
        "int16, float16 KV": [],
        "int8, float16 KV": ["cpu.activations=int8"],
        "int16, float16 KV and states": ["cpu.ssm_state=float16"],
        "int16, float32 KV": ["kv_cache.dtype=float32"],
        "int16, FP8 KV": ["kv_cache.dtype=fp8"],
    }
    with tempfile.TemporaryDirectory() as work:

        def run(*settings: str) -> Any:
            output = Path(work) / "engine"
            recipe = load_recipe("tiny", [f"checkpoint={options.checkpoint}", *settings])
            build_engine(recipe, "tiny", output, force=output.exists())
            return log_laws(load_executor(Engine.open(output)), ids)

        expected = run("cpu.lowering=torch")
        for name, settings in ways.items():
            print(f"{name:<32} {gap(expected, run(*settings))}", flush=True)
    if options.peer:
        peer = Peer(options.peer.resolve(), 2)
        with peer.serving(peer.convert(options.checkpoint.resolve()), 1) as url:
            count = min(options.peer_positions, options.positions)
            found = peer_laws(url, ids[:count], vocabulary)
            print(f"{'llama.cpp':<32} {gap(expected[:count], found)}")


if __name__ == "__main__":
    main()
