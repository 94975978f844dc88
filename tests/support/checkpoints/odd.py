"""A BF16 checkpoint of sizes and numbers that no release has: odd rows, narrow experts, subnormals, great ranges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.support.checkpoints import phantom

CONFIG: dict[str, Any] = {
    "model_type": "nemotron_h", "dtype": "bfloat16", "hidden_size": 176, "hybrid_override_pattern": "M*E-M",
    "num_hidden_layers": 5, "vocab_size": 1003, "mamba_num_heads": 6, "mamba_head_dim": 40, "ssm_state_size": 24,
    "n_groups": 2, "conv_kernel": 4, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 48,
    "n_routed_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 48, "intermediate_size": 208,
    "moe_shared_expert_intermediate_size": 16, "moe_latent_size": 32, "n_group": 1, "topk_group": 1,
    "num_nextn_predict_layers": 0, "time_step_limit": [0.0, 1e308], "use_conv_bias": True,
}  # fmt: skip


def make_odd(output: Path) -> None:
    """Write it: weights of each tensor in another range, down to subnormal BF16, with zeros and one great number."""
    output.mkdir()
    (output / "config.json").write_text(json.dumps(CONFIG))
    draw = torch.Generator().manual_seed(3)
    tensors = {}
    for number, (name, dtype, shape) in enumerate(phantom.tensors(CONFIG, {}, "bf16")):
        value = torch.randn(shape, generator=draw) * 10.0 ** (-(number % 7) * 5.5)
        if len(shape) == 2 and number % 3 == 0:
            value[0, :16] = 0
            value[-1, -1] = value.abs().max() * 300
        tensors[name] = value.bfloat16() if dtype == "BF16" else value
    save_file(tensors, output / "model.safetensors")
