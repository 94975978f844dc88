"""Executors over checkpoints, for tests."""

from __future__ import annotations

from pathlib import Path

from trtnemo.checkpoint import Checkpoint
from trtnemo.lowering import Budget
from trtnemo.lowering.torch import TorchExecutor, load_weights
from trtnemo.network import NemotronH


def make_executor(directory: Path, slots: int = 8, max_seq_len: int = 4096, mtp: bool = True) -> TorchExecutor:
    checkpoint = Checkpoint.open(directory)
    model = NemotronH.from_checkpoint(checkpoint)
    target = model.record_target()
    head = model.record_mtp() if mtp and checkpoint.config.has_mtp else None
    weights = load_weights(checkpoint, *(graph for graph in (target, head) if graph))
    return TorchExecutor(target, head, weights, Budget(slots, max_seq_len, 2048, 6, checkpoint.config.vocab_size))
