"""What an executor is about to take, compared with what there is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trtnemo.backends.cpu.precision import Precision
from trtnemo.backends.executor import Budget
from trtnemo.errors import MachineError
from trtnemo.graph import Graph
from trtnemo.memory import usable_memory

_SLOT_BYTES = 512  # a slot itself, without its states


def require_memory(graphs: Sequence[Graph], budget: Budget, kv_tokens: int, precision: Precision) -> None:
    """Raise MachineError when states, at 2 bytes, and KV cache alone exceed what this process may use."""
    states = [spec for graph in graphs for node in graph.nodes for spec in node.op.states()]
    slot = _SLOT_BYTES + sum(2 * math.prod(spec.shape) for spec in states if not spec.per_token)
    token = sum(precision.cache_itemsize * math.prod(spec.shape) for spec in states if spec.per_token)
    needed, have = budget.slots * slot + kv_tokens * token, usable_memory()
    if needed > have:
        raise MachineError(
            f"{budget.slots:,} sequences and {kv_tokens:,} tokens of KV cache need {needed / 2**30:,.1f} GiB; "
            f"this process may use {have / 2**30:,.1f}",
            remedy="Lower limits.max_batch_size, limits.max_seq_len or cpu.kv_tokens",
        )
