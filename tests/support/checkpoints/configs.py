"""A small config.json in Super's spelling, for tests."""

from __future__ import annotations

from typing import Any

BASE: dict[str, Any] = {
    "model_type": "nemotron_h",
    "hidden_size": 128,
    "vocab_size": 4096,
    "mamba_num_heads": 8,
    "mamba_head_dim": 32,
    "n_groups": 2,
    "ssm_state_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 64,
    "moe_shared_expert_intermediate_size": 128,
    "moe_latent_size": 64,
    "hybrid_override_pattern": "ME*-",
}
