"""A stated model of what a process needs beside weights and caches. Nothing of it is measured on a GPU.

fixed        CUDA context, kernels, library handles: 1.5 GiB; with several devices NCCL's buffers: 1 GiB more;
             captured graphs: 0.5 GiB. On a CPU: 0.5 GiB for Python, torch and its allocator.
activations  the widest layer for max_num_tokens tokens, 16 bit, and four rows of the residual stream
logits       float32, one row for each sequence and draft
"""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.plan.deployment import Deployment

GIB = 1 << 30
_CONTEXT, _NCCL, _GRAPHS, _PROCESS = 3 * GIB // 2, GIB, GIB // 2, GIB // 2


@dataclass(frozen=True)
class WorkspaceBytes:
    """Bytes of one device."""

    fixed: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.fixed + self.activations + self.logits


def workspace_bytes(config: ModelConfig, deployment: Deployment, batch: int) -> WorkspaceBytes:
    """Return the model's bytes for one device."""
    if deployment.memory.on_host:
        fixed, itemsize = _PROCESS, 4
    else:
        fixed, itemsize = _CONTEXT + _GRAPHS + (_NCCL if deployment.ranks > 1 else 0), 2
    per_token = (4 * config.hidden_size + widest_layer(config, deployment)) * itemsize
    rows = batch * (deployment.draft_tokens + 1)
    return WorkspaceBytes(fixed, deployment.max_num_tokens * per_token, rows * config.vocab_size * 4)


def widest_layer(config: ModelConfig, deployment: Deployment) -> int:
    """Return the most elements that one token's row needs inside any layer on one device."""
    tensor = deployment.attention_tensor
    queries = config.num_attention_heads * config.head_dim // tensor
    keys = max(config.num_key_value_heads // tensor, 1) * config.head_dim
    inner = config.mamba_inner_size // tensor
    # the devices that share the experts share the tokens of all their replicas too
    experts = config.num_experts_per_tok * (config.expert_size + config.moe_intermediate_size) // tensor
    widths = {
        "mamba": config.in_proj_size // tensor + config.conv_channels // tensor + 2 * inner,
        "attention": 2 * queries + 2 * keys,
        "mlp": config.intermediate_size // tensor,
        "moe": experts + config.shared_intermediate_size // tensor + 2 * config.expert_size,
    }
    return max(widths[kind] for kind in set(config.layer_kinds))
