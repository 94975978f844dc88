"""The naive truth of mamba2: plain torch, one sequence, one token after the other.

Shape letters: T tokens, C convolution channels, K taps, H heads, P head size, N state size, G groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from trtnemo.plugins.mamba2.op import Mamba2


class Mamba2State(NamedTuple):
    """What a sequence carries: conv_state [K-1, C] before the convolution, ssm_state [H, P, N] in float32."""

    conv_state_KC: Tensor
    ssm_state_HPN: Tensor


def initial_state(op: Mamba2, device: torch.device | str = "cpu") -> Mamba2State:
    """Return the state of a sequence that has not begun."""
    return Mamba2State(
        torch.zeros(op.kernel - 1, op.channels, device=device),
        torch.zeros(op.heads, op.head_dim, op.state_size, device=device),
    )


def mamba2(
    op: Mamba2, projected_TD: Tensor, parameters: Mapping[str, Tensor], state: Mamba2State
) -> tuple[Tensor, Mamba2State]:
    """Return (output [T, H*P], state after the last token) of one stretch of one sequence."""
    gate_TI, channels_TC, dt_TH = torch.split(projected_TD.float(), [op.inner, op.channels, op.heads], dim=-1)
    convolved_TC, conv_state = _convolve(channels_TC, parameters, state.conv_state_KC)
    y_TI, ssm_state = _scan(op, convolved_TC, dt_TH, parameters, state.ssm_state_HPN)
    return _gated_norm(op, y_TI, gate_TI, parameters["norm_weight"]), Mamba2State(conv_state, ssm_state)


def _convolve(channels_TC: Tensor, parameters: Mapping[str, Tensor], conv_state_KC: Tensor) -> tuple[Tensor, Tensor]:
    history = torch.cat([conv_state_KC, channels_TC])
    weight_CK = parameters["conv_weight"].float().squeeze(1)
    taps = [history[tap : tap + len(channels_TC)] * weight_CK[:, tap] for tap in range(weight_CK.shape[1])]
    total = torch.stack(taps).sum(0)
    if "conv_bias" in parameters:
        total = total + parameters["conv_bias"].float()
    return F.silu(total), history[len(channels_TC) :]


def _scan(
    op: Mamba2, convolved_TC: Tensor, dt_TH: Tensor, parameters: Mapping[str, Tensor], ssm_state_HPN: Tensor
) -> tuple[Tensor, Tensor]:
    tokens, width = len(convolved_TC), op.groups * op.state_size
    x, b, c = torch.split(convolved_TC, [op.inner, width, width], dim=-1)
    x_THP = x.reshape(tokens, op.heads, op.head_dim)
    repeats = op.heads // op.groups
    b_THN, c_THN = (part.reshape(tokens, op.groups, op.state_size).repeat_interleave(repeats, dim=1) for part in (b, c))
    # No clamp of dt: mamba_ssm, vLLM and SGLang have none, transformers' prefill alone does.
    dt_TH = F.softplus(dt_TH + parameters["dt_bias"].float())
    decay_TH = torch.exp(dt_TH * -torch.exp(parameters["A_log"].float()))
    drive_THP = dt_TH[..., None] * x_THP
    outputs = torch.empty_like(x_THP)
    for t in range(tokens):
        ssm_state_HPN = decay_TH[t, :, None, None] * ssm_state_HPN + drive_THP[t, :, :, None] * b_THN[t, :, None, :]
        outputs[t] = (ssm_state_HPN @ c_THN[t, :, :, None]).squeeze(-1)
    outputs = outputs + parameters["D"].float()[:, None] * x_THP
    return outputs.reshape(tokens, op.inner), ssm_state_HPN


def _gated_norm(op: Mamba2, y_TI: Tensor, gate_TI: Tensor, weight_I: Tensor) -> Tensor:
    """Gate first, then RMS-normalize each group of channels on its own."""
    gated = (y_TI * F.silu(gate_TI)).reshape(len(y_TI), op.groups, op.inner // op.groups)
    normed = gated * torch.rsqrt(gated.pow(2).mean(-1, keepdim=True) + op.epsilon)
    return normed.reshape(len(y_TI), op.inner) * weight_I.float()
