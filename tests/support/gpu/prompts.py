"""Prompts, long contexts, caches, states, snapshots and chained drafts of `tiny` on a device, beside torch."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trtnemo.backends import DraftToken, Draw, Proposal, make_batch
from trtnemo.engine import Engine
from trtnemo.engine.build import build_engine
from trtnemo.recipe import load_recipe
from trtnemo.runtime.load import load_executor

SETTINGS = {
    "as it is": (),
    "fp8 caches": ("kv_cache.dtype=fp8",),
    "float16 states": ("cuda.ssm_state=float16",),
    "fp8 drafts": ("cuda.fp8_drafts=true",),
}


def examine(device: torch.device, chunks: tuple[int, ...]) -> dict[str, Any]:
    """Return of each setting how far the last logits of a prompt in chunks are from torch's, and what must be equal."""
    found: dict[str, Any] = {}
    every = SETTINGS if device.type == "cuda" else {"fp8 caches and all else": sum(SETTINGS.values(), ())}
    for name, settings in every.items():
        with tempfile.TemporaryDirectory() as directory:
            limits = ("cuda.compile_ahead=false", "limits.max_seq_len=2048", "limits.max_batch_size=3")
            place = Path(directory) / "engine"
            build_engine(load_recipe("h200-cuda", (*limits, *settings), "tiny"), "h200-cuda", place)
            executor = load_executor(Engine.open(place), interpret=device.type == "cpu")
            reference = load_reference(Engine.open(place))
            found[name] = one(executor, reference, chunks)
    return found


def load_reference(engine: Engine) -> Any:
    """Return the torch lowering of an engine's graphs, on the CPU."""
    from trtnemo.backends.torch import TorchExecutor, load_weights
    from trtnemo.runtime.load import budget_of

    graphs = [engine.target, *([engine.drafter] if engine.drafter else [])]
    weights = load_weights(engine.checkpoint(), *graphs)
    return TorchExecutor(engine.target, engine.drafter, weights, budget_of(engine))


def one(executor: Any, reference: Any, chunks: tuple[int, ...]) -> dict[str, Any]:
    """Return relative differences and equalities of one executor."""
    ids = np.random.default_rng(0).integers(3, executor.budget.vocab_size, sum(chunks) + 8).tolist()
    position, worst = 0, 0.0
    for chunk in chunks:
        batch = make_batch([(0, position, ids[position : position + chunk], False)], logit_rows=[chunk - 1])
        worst = max(worst, _relative(executor.forward(batch).logits, reference.forward(batch).logits))
        position += chunk
    snapshot = executor.snapshot(0)
    batch = make_batch([(0, position, ids[position : position + 3], False)])
    first = executor.forward(batch).logits
    worst = max(worst, _relative(first, reference.forward(batch).logits))
    drafts = executor.propose([Proposal(0, ids[position + 3], (Draw(),) * 3)])[0]
    executor.release(0)
    snapshot.swap_out()
    executor.restore(1, snapshot)
    again = executor.forward(make_batch([(1, position, ids[position : position + 3], False)])).logits
    token, by_hand = ids[position + 3], []
    for _ in range(3):
        token = int(np.argmax(executor.draft([DraftToken(1, token)])[0]))
        by_hand.append(token)
    return {"relative": worst, "restored": bool(np.array_equal(first, again)), "chained drafts": drafts == by_hand}


def _relative(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())
