"""What each server holds back beside the sequences themselves: extra slots, draft states, pages.

Every row says where it is from. `inferred` rows stand on code of another version or on memory of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.plan.deployment import Deployment
from trtnemo.plan.state import StateBytes

_REPLAY_HISTORY = 16


@dataclass(frozen=True)
class Reservation:
    """Slots that are allotted, bytes of draft states, tokens of a KV page, and the reason."""

    slots: int
    draft_bytes: int
    page_tokens: int
    reason: str
    inferred: bool


Rule = Callable[[Deployment, ModelConfig, StateBytes], Reservation]


def reserve(deployment: Deployment, config: ModelConfig, state: StateBytes, batch: int) -> Reservation:
    """Return what the deployment's server holds back for `batch` sequences on one device."""
    return _RULES[deployment.server](deployment.model_copy(update={"max_batch_size": batch}), config, state)


def _trtllm(deployment: Deployment, config: ModelConfig, state: StateBytes) -> Reservation:
    batch, drafts = deployment.max_batch_size, deployment.draft_tokens
    snapshots = batch * (drafts + 1) * state.per_slot if drafts else 0
    if _older(deployment.version, "1.3.0rc14"):
        reason = "no slot beside the batch (issue 13179); the states after each draft are kept"
        return Reservation(batch, snapshots, 32, reason, inferred=True)
    if _older(deployment.version, "1.4.dev0"):
        extra = drafts + 1 + int(deployment.graph_padding) if drafts else 1
        reason = f"{extra} slots beside the batch (PR 13151); the states after each draft are kept"
        return Reservation(batch + extra, snapshots, 32, reason, inferred=True)
    slots = batch + 1 + int(deployment.attention_dp)
    replay = slots * _replay_bytes(deployment, config, state) if drafts else 0
    conv = batch * (drafts + 1) * state.conv_per_slot if drafts else 0
    reason = "one slot for padding (PR 13489), one more under attention DP; drafts are replayed from their inputs"
    return Reservation(slots, replay + conv, 32, reason, inferred=True)


def _replay_bytes(deployment: Deployment, config: ModelConfig, state: StateBytes) -> int:
    """Return one slot's two buffers of x, B, dt and decay (mamba_cache_manager.py 00bce92: at least 16 tokens each)."""
    history, tensor = max(_REPLAY_HISTORY, deployment.draft_tokens + 1), deployment.attention_tensor
    inputs = (config.mamba_inner_size + config.n_groups * config.ssm_state_size) // tensor * 2
    steps = 2 * config.mamba_num_heads // tensor * 4
    return state.mamba_layers * 2 * history * (inputs + steps)


def _vllm(deployment: Deployment, config: ModelConfig, state: StateBytes) -> Reservation:
    slots = deployment.max_batch_size * (1 + deployment.draft_tokens)
    if not state.mamba_layers or not state.attention_layers:
        return Reservation(slots, 0, 16, "one state block a sequence and draft", inferred=True)
    # the attention page is made as large as a Mamba layer's state, so that both come from one pool
    kv = state.kv_per_token // state.attention_layers
    page = math.ceil(state.per_slot // state.mamba_layers / kv / 16) * 16
    reason = f"one state block a sequence and draft; KV in pages of {page} tokens, as large as a layer's state"
    return Reservation(slots, 0, page, reason, inferred=True)


def _sglang(deployment: Deployment, config: ModelConfig, state: StateBytes) -> Reservation:
    batch, drafts = deployment.max_batch_size, deployment.draft_tokens
    slots = batch * (3 if deployment.block_reuse else 1) + 1
    snapshots = (batch + 1) * (drafts + 1) * state.per_slot if drafts else 0
    kept = "three slots a sequence with the radix cache" if deployment.block_reuse else "one slot a sequence"
    return Reservation(slots, snapshots, 1, f"{kept}, one for padding; the states after each draft are kept", True)


def _own(deployment: Deployment, config: ModelConfig, state: StateBytes) -> Reservation:
    return Reservation(deployment.max_batch_size, 0, 1, "one slot a sequence; drafts are replayed", inferred=False)


_RULES: dict[str, Rule] = {"trtllm": _trtllm, "vllm": _vllm, "sglang": _sglang, "cpu": _own, "tensorrt": _own}


def _older(version: str | None, than: str) -> bool:
    """Return whether a version is older; one that is not given is not."""
    try:
        return version is not None and Version(version) < Version(than)
    except InvalidVersion:
        return False
