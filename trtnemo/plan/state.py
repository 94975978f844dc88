"""What one sequence costs on a device: KV cache by token, Mamba states by slot."""

from __future__ import annotations

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.plan.deployment import Deployment
from trtnemo.plan.server_memory import StateBytes
from trtnemo.plan.weights import stage_of

_CONV_ITEMSIZE = 2  # the convolution's columns are kept in the model's type, 16 bit in every release


def state_bytes(config: ModelConfig, deployment: Deployment, stage: int = 0) -> StateBytes:
    """Return what a sequence costs on a device of a stage; the draft head's attention layer stands with the last."""
    kinds = [
        kind
        for layer, kind in enumerate(config.layer_kinds)
        if stage_of(layer, len(config.layer_kinds), deployment.pipeline) == stage
    ]
    attention = kinds.count("attention")
    if deployment.draft_tokens and stage == deployment.pipeline - 1:
        attention += config.mtp_layer_kinds.count("attention")
    mamba, tensor = kinds.count("mamba"), deployment.attention_tensor
    kv_heads = max(config.num_key_value_heads // tensor, 1)
    heads, channels = config.mamba_num_heads // tensor, config.conv_channels // tensor
    columns = config.conv_kernel - 1
    return StateBytes(
        kv_per_token=attention * 2 * kv_heads * config.head_dim * deployment.kv_itemsize,
        ssm_per_slot=mamba * heads * config.mamba_head_dim * config.ssm_state_size * deployment.ssm_itemsize,
        conv_per_slot=mamba * channels * columns * _conv_itemsize(deployment),
        mamba_layers=mamba,
        attention_layers=attention,
    )


def _conv_itemsize(deployment: Deployment) -> int:
    """Return bytes of one column's element; our own executor keeps float32."""
    return 4 if deployment.memory.on_host else _CONV_ITEMSIZE
