"""The network of tiny in trainable form: plain functions over a dictionary of weights under their hub names.

Sequences are whole chats, padded right; every layer is causal, so padding changes nothing before it.
Shape letters: B batch, T tokens, D hidden, H heads, P head size, G groups, N state size, E experts, L latent, I inner.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]
CHUNK = 64


class TinyModel:
    """Forward passes of the target network and of its MTP head."""

    def __init__(self, config: dict[str, Any], weights: Weights) -> None:
        self.config = config
        self.weights = weights
        self.expert_load: dict[str, Tensor] = {}

    def hidden_states(self, token_ids_BT: Tensor) -> Tensor:
        """Return hidden states [B, T, D] after the final norm."""
        x = F.embedding(token_ids_BT, self.weights["backbone.embeddings.weight"])
        for index, letter in enumerate(self.config["hybrid_override_pattern"]):
            x = self._block(f"backbone.layers.{index}", letter, x)
        return self._norm("backbone.norm_f", x)

    def mtp_hidden_states(self, next_ids_BT: Tensor, hidden_BTD: Tensor) -> Tensor:
        """Return the draft head's hidden states for (hidden of token t, token t+1) pairs."""
        embedded = F.embedding(next_ids_BT, self.weights["backbone.embeddings.weight"])
        joined = [self._norm("mtp.layers.0.enorm", embedded), self._norm("mtp.layers.0.hnorm", hidden_BTD)]
        x = F.linear(torch.cat(joined, -1), self.weights["mtp.layers.0.eh_proj.weight"])
        for index, letter in enumerate(self.config["mtp_hybrid_override_pattern"]):
            x = self._block(f"mtp.layers.{index}", letter, x)
        return self._norm("mtp.layers.1.final_layernorm", x)

    def logits(self, hidden_BTD: Tensor) -> Tensor:
        """Return logits [B, T, vocabulary]."""
        return F.linear(hidden_BTD, self.weights["lm_head.weight"])

    def _block(self, prefix: str, letter: str, x: Tensor) -> Tensor:
        mixer = {"M": self._mamba, "*": self._attention, "E": self._moe}[letter]
        return x + mixer(f"{prefix}.mixer", self._norm(f"{prefix}.norm", x))

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), x.shape[-1:], self.weights[f"{name}.weight"], self.config["norm_eps"])

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"])

    def _mamba(self, prefix: str, x_BTD: Tensor) -> Tensor:
        config, weights = self.config, self.weights
        heads, groups, state = config["mamba_num_heads"], config["n_groups"], config["ssm_state_size"]
        inner = heads * config["mamba_head_dim"]
        gate, channels, dt = self._linear(f"{prefix}.in_proj", x_BTD).split(
            [inner, inner + 2 * groups * state, heads], -1
        )
        padded = F.pad(channels.transpose(1, 2), (config["conv_kernel"] - 1, 0))
        bias = weights[f"{prefix}.conv1d.bias"]
        convolved = F.silu(F.conv1d(padded, weights[f"{prefix}.conv1d.weight"], bias, groups=channels.shape[-1]))
        x, b, c = convolved.transpose(1, 2).split([inner, groups * state, groups * state], -1)
        dt_BTH = F.softplus(dt.float() + weights[f"{prefix}.dt_bias"])
        decay_H = -weights[f"{prefix}.A_log"].exp()
        with torch.autocast("cpu", enabled=False):
            b_BTGN, c_BTGN = (part.float().unflatten(-1, (groups, -1)) for part in (b, c))
            y = scan_chunked(x.float().unflatten(-1, (heads, -1)), dt_BTH, decay_H, b_BTGN, c_BTGN)
        y = (y + weights[f"{prefix}.D"][:, None] * x.unflatten(-1, (heads, -1))).flatten(-2)
        gated = (y * F.silu(gate)).unflatten(-1, (groups, -1))
        normed = F.rms_norm(gated, gated.shape[-1:], eps=config["norm_eps"]).flatten(-2)
        return self._linear(f"{prefix}.out_proj", normed * weights[f"{prefix}.norm.weight"])

    def _attention(self, prefix: str, x: Tensor) -> Tensor:
        size = self.config["head_dim"]
        q, k, v = (self._linear(f"{prefix}.{name}_proj", x).unflatten(-1, (-1, size)).transpose(1, 2) for name in "qkv")
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self._linear(f"{prefix}.o_proj", attended.transpose(1, 2).flatten(-2))

    def _moe(self, prefix: str, x_BTD: Tensor) -> Tensor:
        """Compute all experts and weigh those not picked by zero: dense, and fast at this size."""
        weights = self.weights
        route_BTE = self._route(prefix, x_BTD)
        latent = self._linear(f"{prefix}.fc1_latent_proj", x_BTD)
        up_EIL, down_ELI = weights[f"{prefix}.experts.up_proj"], weights[f"{prefix}.experts.down_proj"]
        hidden = F.relu(F.linear(latent, up_EIL.flatten(0, 1))).square().unflatten(-1, up_EIL.shape[:2])
        mixed = F.linear((hidden * route_BTE[..., None]).flatten(-2), down_ELI.transpose(0, 1).flatten(1))
        shared = F.relu(self._linear(f"{prefix}.shared_experts.up_proj", x_BTD)).square()
        routed = self._linear(f"{prefix}.fc2_latent_proj", mixed)
        return routed + self._linear(f"{prefix}.shared_experts.down_proj", shared)

    def _route(self, prefix: str, x_BTD: Tensor) -> Tensor:
        scores = torch.sigmoid(self._linear(f"{prefix}.gate", x_BTD))
        bias = self.weights[f"{prefix}.gate.e_score_correction_bias"]
        picked = (scores.detach() + bias).topk(self.config["num_experts_per_tok"], -1).indices
        chosen = torch.zeros_like(scores).scatter(-1, picked, 1.0)
        self.expert_load[prefix] = chosen.detach().flatten(0, -2).mean(0)
        kept = scores * chosen
        return kept / (kept.sum(-1, keepdim=True) + 1e-20) * self.config["routed_scaling_factor"]


def scan_chunked(x_BTHP: Tensor, dt_BTH: Tensor, a_H: Tensor, b_BTGN: Tensor, c_BTGN: Tensor) -> Tensor:
    """Return y_t = sum over s <= t of C_t.B_s exp(sum of dt A between) dt_s x_s.

    Within chunks of Q tokens as one masked product, between them through the states at their ends: work and memory grow
    with T times Q instead of T squared (Dao and Gu, arXiv 2405.21060, section 6; C chunks).
    """
    total, heads = x_BTHP.shape[1:3]
    repeats = heads // b_BTGN.shape[2]
    u_BCQHP, step_BCQH = _chunks(x_BTHP * dt_BTH[..., None]), _chunks(dt_BTH * a_H)
    b_BCHQN, c_BCHQN = (_chunks(part).transpose(2, 3).repeat_interleave(repeats, 2) for part in (b_BTGN, c_BTGN))
    u_BCHQP, sums_BCHQ = u_BCQHP.transpose(2, 3), step_BCQH.cumsum(2).transpose(2, 3)
    future = torch.ones(CHUNK, CHUNK, dtype=torch.bool).triu(1)
    decay = (sums_BCHQ[..., :, None] - sums_BCHQ[..., None, :]).masked_fill(future, float("-inf")).exp()
    y = (c_BCHQN @ b_BCHQN.transpose(-1, -2) * decay) @ u_BCHQP
    if y.shape[1] > 1:
        to_end = (sums_BCHQ[..., -1:] - sums_BCHQ).exp()[..., None]
        states_BCHNP = (b_BCHQN * to_end).transpose(-1, -2) @ u_BCHQP
        ends_BCH = sums_BCHQ[..., -1].cumsum(1)
        starts_BCH = ends_BCH - sums_BCHQ[..., -1]
        between = starts_BCH[:, :, None] - ends_BCH[:, None]
        not_before = torch.ones(between.shape[1:3], dtype=torch.bool).triu()[..., None]
        carried = between.masked_fill(not_before, float("-inf")).exp()
        y = y + (c_BCHQN * sums_BCHQ.exp()[..., None]) @ torch.einsum("bcdh,bdhnp->bchnp", carried, states_BCHNP)
    return y.transpose(2, 3).flatten(1, 2)[:, :total]


def _chunks(x_BT: Tensor) -> Tensor:
    """Split [B, T, ...] into [B, C, Q, ...], with zeros at the end: a step of zero length changes no state."""
    missing = -x_BT.shape[1] % CHUNK
    return F.pad(x_BT, (0, 0) * (x_BT.dim() - 2) + (0, missing)).unflatten(1, (-1, CHUNK))
