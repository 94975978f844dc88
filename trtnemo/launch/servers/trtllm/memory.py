"""What TensorRT-LLM does with a device's memory."""

from __future__ import annotations

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.plan.server_memory import Batch, Reservation, ServerMemory, StateBytes

_REPLAY_HISTORY = 16


def _reserve(batch: Batch, config: ModelConfig, state: StateBytes) -> Reservation:
    drafts = batch.draft_tokens
    snapshots = batch.size * (drafts + 1) * state.per_slot if drafts else 0
    if batch.is_older_than("1.3.0rc14"):
        reason = "no slot beside the batch (issue 13179); the states after each draft are kept"
        return Reservation(batch.size, snapshots, 32, reason, inferred=True)
    if batch.is_older_than("1.4.dev0"):
        extra = drafts + 1 + int(batch.graph_padding) if drafts else 1
        reason = f"{extra} slots beside the batch (PR 13151); the states after each draft are kept"
        return Reservation(batch.size + extra, snapshots, 32, reason, inferred=True)
    slots = batch.size + 1 + int(batch.attention_dp)
    replay = slots * _replay_bytes(batch, config, state) if drafts else 0
    conv = batch.size * (drafts + 1) * state.conv_per_slot if drafts else 0
    reason = "one slot for padding (PR 13489), one more under attention DP; drafts are replayed from their inputs"
    return Reservation(slots, replay + conv, 32, reason, inferred=True)


def _replay_bytes(batch: Batch, config: ModelConfig, state: StateBytes) -> int:
    """Return one slot's two buffers of x, B, dt and decay (mamba_cache_manager.py 00bce92: at least 16 tokens each)."""
    history, tensor = max(_REPLAY_HISTORY, batch.draft_tokens + 1), batch.attention_tensor
    inputs = (config.mamba_inner_size + config.n_groups * config.ssm_state_size) // tensor * 2
    steps = 2 * config.mamba_num_heads // tensor * 4
    return state.mamba_layers * 2 * history * (inputs + steps)


MEMORY = ServerMemory("TensorRT-LLM", _reserve, share="rest", tensor_sizes=(1, 2, 4, 8))
