"""The first weights, and their way to and from the hub's names."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from training.tiny.model import Weights

BIAS = "e_score_correction_bias"


def initial_weights(config: dict[str, Any], seed: int) -> Weights:
    """Return weights for a config, drawn from one seed; experts of a layer are stacked."""
    return _Draw(config, seed).all()


class _Draw:
    def __init__(self, config: dict[str, Any], seed: int) -> None:
        self.config = config
        self.generator = torch.Generator().manual_seed(seed)
        self.weights: Weights = {}

    def all(self) -> Weights:
        hidden, vocabulary = self.config["hidden_size"], self.config["vocab_size"]
        self.weights["backbone.embeddings.weight"] = self._normal(vocabulary, hidden, std=0.3)
        for index, letter in enumerate(self.config["hybrid_override_pattern"]):
            self._layer(f"backbone.layers.{index}", letter)
        self._ones("backbone.norm_f", hidden)
        self._linear("lm_head", vocabulary, hidden)
        for name in ("enorm", "hnorm"):
            self._ones(f"mtp.layers.0.{name}", hidden)
        self._linear("mtp.layers.0.eh_proj", hidden, 2 * hidden)
        for index, letter in enumerate(self.config["mtp_hybrid_override_pattern"]):
            self._layer(f"mtp.layers.{index}", letter)
        self._ones("mtp.layers.1.final_layernorm", hidden)
        return self.weights

    def _layer(self, prefix: str, letter: str) -> None:
        self._ones(f"{prefix}.norm", self.config["hidden_size"])
        {"M": self._mamba, "*": self._attention, "E": self._moe}[letter](f"{prefix}.mixer")

    def _mamba(self, prefix: str) -> None:
        config, heads = self.config, self.config["mamba_num_heads"]
        inner = heads * config["mamba_head_dim"]
        channels = inner + 2 * config["n_groups"] * config["ssm_state_size"]
        self._linear(f"{prefix}.in_proj", inner + channels + heads, config["hidden_size"])
        self._linear(f"{prefix}.out_proj", config["hidden_size"], inner, gain=0.5)
        self.weights[f"{prefix}.conv1d.weight"] = self._normal(channels, 1, config["conv_kernel"], std=0.4)
        self.weights[f"{prefix}.conv1d.bias"] = torch.zeros(channels)
        # dt starts log-uniform between time_step_min and time_step_max, through the inverse of softplus
        low, high = math.log(config["time_step_min"]), math.log(config["time_step_max"])
        dt = torch.exp(low + (high - low) * torch.rand(heads, generator=self.generator))
        self.weights[f"{prefix}.dt_bias"] = dt + torch.log(-torch.expm1(-dt))
        self.weights[f"{prefix}.A_log"] = torch.log(torch.arange(1, heads + 1).float())
        self.weights[f"{prefix}.D"] = torch.ones(heads)
        self._ones(f"{prefix}.norm", inner)

    def _attention(self, prefix: str) -> None:
        config = self.config
        hidden = config["hidden_size"]
        queries = config["num_attention_heads"] * config["head_dim"]
        keys = config["num_key_value_heads"] * config["head_dim"]
        self._linear(f"{prefix}.q_proj", queries, hidden)
        self._linear(f"{prefix}.k_proj", keys, hidden)
        self._linear(f"{prefix}.v_proj", keys, hidden)
        self._linear(f"{prefix}.o_proj", hidden, queries, gain=0.5)

    def _moe(self, prefix: str) -> None:
        config = self.config
        hidden, latent, inner = config["hidden_size"], config["moe_latent_size"], config["moe_intermediate_size"]
        experts, shared = config["n_routed_experts"], config["moe_shared_expert_intermediate_size"]
        self._linear(f"{prefix}.gate", experts, hidden)
        self.weights[f"{prefix}.gate.{BIAS}"] = torch.zeros(experts)
        self._linear(f"{prefix}.fc1_latent_proj", latent, hidden)
        self._linear(f"{prefix}.fc2_latent_proj", hidden, latent, gain=0.5)
        self.weights[f"{prefix}.experts.up_proj"] = self._normal(experts, inner, latent, std=latent**-0.5)
        self.weights[f"{prefix}.experts.down_proj"] = self._normal(experts, latent, inner, std=0.5 * inner**-0.5)
        self._linear(f"{prefix}.shared_experts.up_proj", shared, hidden)
        self._linear(f"{prefix}.shared_experts.down_proj", hidden, shared, gain=0.5)

    def _linear(self, name: str, rows: int, columns: int, gain: float = 1.0) -> None:
        self.weights[f"{name}.weight"] = self._normal(rows, columns, std=gain * columns**-0.5)

    def _ones(self, name: str, width: int) -> None:
        self.weights[f"{name}.weight"] = torch.ones(width)

    def _normal(self, *shape: int, std: float) -> Tensor:
        return torch.randn(*shape, generator=self.generator) * std


def to_hub(weights: Weights) -> Weights:
    """Return the checkpoint's tensors: one per expert, BF16 but for the correction bias."""
    result: Weights = {}
    for name, value in weights.items():
        if ".experts." in name and not name.endswith(".weight"):
            for expert, part in enumerate(value):
                result[name.replace(".experts.", f".experts.{expert}.") + ".weight"] = part.to(torch.bfloat16)
        else:
            result[name] = value.float() if name.endswith(BIAS) else value.to(torch.bfloat16)
    return {name: value.detach().contiguous() for name, value in result.items()}


def spread_final_norm(weights: Weights, seed: int = 5) -> Weights:
    """Return hub tensors of the same target function, bit for bit, whose final norm has very different gains.

    The draft head reads the hidden state after that norm, and its own norm hides the difference while the gains are
    nearly equal, as training leaves them here. Spread by powers of two they make taking the state before the norm a
    visible mistake. The shared head's columns are divided by what the gains of both final norms are multiplied by; so
    is the norm of the draft head's input, whose own mean square then changes slightly from token to token.
    """
    gains = weights["backbone.norm_f.weight"]
    order = torch.randperm(len(gains), generator=torch.Generator().manual_seed(seed))
    factors = torch.where(order % 2 == 0, 4.0, 0.25)
    mean_square = (gains.float() * factors).square().mean() / gains.float().square().mean()
    changed = {
        "backbone.norm_f.weight": gains.float() * factors,
        "mtp.layers.1.final_layernorm.weight": weights["mtp.layers.1.final_layernorm.weight"].float() * factors,
        "lm_head.weight": weights["lm_head.weight"].float() / factors,
        "mtp.layers.0.hnorm.weight": weights["mtp.layers.0.hnorm.weight"].float() / factors * mean_square.sqrt(),
    }
    return weights | {name: value.to(torch.bfloat16) for name, value in changed.items()}
