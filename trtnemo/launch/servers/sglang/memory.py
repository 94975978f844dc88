"""What SGLang does with a device's memory."""

from __future__ import annotations

from dataclasses import replace

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.launch.servers.sglang.mamba_pool import MambaPool
from trtnemo.plan.server_memory import Batch, Reservation, ServerMemory, StateBytes


def _reserve(batch: Batch, config: ModelConfig, state: StateBytes) -> Reservation:
    slots = batch.size * (3 if batch.block_reuse else 1) + 1
    snapshots = (batch.size + 1) * (batch.draft_tokens + 1) * state.per_slot if batch.draft_tokens else 0
    kept = "three slots a sequence with the radix cache" if batch.block_reuse else "one slot a sequence"
    return Reservation(slots, snapshots, 1, f"{kept}, one for padding; the states after each draft are kept", True)


MEMORY = ServerMemory("SGLang", _reserve, share="static", start_checks=(MambaPool().check,))


def memory_with(pool: MambaPool) -> ServerMemory:
    """Return the memory of a start whose options size the pool of Mamba states so."""
    return replace(MEMORY, start_checks=(pool.check,))
