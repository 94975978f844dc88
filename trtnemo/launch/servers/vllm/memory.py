"""What vLLM does with a device's memory."""

from __future__ import annotations

import math

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.plan.server_memory import Batch, Reservation, ServerMemory, StateBytes


def _reserve(batch: Batch, config: ModelConfig, state: StateBytes) -> Reservation:
    slots = batch.size * (1 + batch.draft_tokens)
    if not state.mamba_layers or not state.attention_layers:
        return Reservation(slots, 0, 16, "one state block a sequence and draft", inferred=True)
    # the attention page is made as large as a Mamba layer's state, so that both come from one pool
    kv = state.kv_per_token // state.attention_layers
    page = math.ceil(state.per_slot // state.mamba_layers / kv / 16) * 16
    reason = f"one state block a sequence and draft; KV in pages of {page} tokens, as large as a layer's state"
    return Reservation(slots, 0, page, reason, inferred=True)


MEMORY = ServerMemory("vLLM", _reserve, states_with_kv=True, experts_over_data=True)
