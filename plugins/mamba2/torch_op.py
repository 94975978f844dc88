"""`torch.ops.trtnemo.mamba2`: the kernels as an op of torch, for models of other programs (docs/torch-ops.md)."""

from __future__ import annotations

import torch
from torch import Tensor

from trtnemo.kernels.outside.given import require_given, require_rows, require_segments
from trtnemo.kernels.outside.launchers import launcher_for
from trtnemo.kernels.segments import FIELDS
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.plugins.mamba2.triton.run import Mamba2State, Mamba2Weights, run


@torch.library.custom_op("trtnemo::mamba2", mutates_args=("ssm_state", "ring"))
def mamba2(
    projected: Tensor,
    few: Tensor,
    many: Tensor,
    ssm_state: Tensor,
    ring: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor | None,
    a_log: Tensor,
    d: Tensor,
    dt_bias: Tensor,
    norm_weight: Tensor,
    groups: int,
    epsilon: float,
) -> Tensor:
    """Return out_proj's input [tokens, heads * head_dim] in float32: conv, scan, gate and norm of a ragged step.

    projected: in_proj's output [tokens, z | x | B | C | dt], rows may be apart; few, many: segments int32 [n, 8] of at
    most 8 tokens and of more (`kernels/segments.py`); ssm_state [slots, heads, head_dim, state] and ring
    [slots, tokens, channels + heads] move. conv_weight: [channels, taps].
    """
    require_rows("projected", projected)
    require_segments({"few": few, "many": many}, FIELDS.value, projected)
    require_given({"ssm_state": ssm_state}, (torch.float32, torch.float16), projected)
    given = {"ring": ring, "conv_weight": conv_weight, "conv_bias": conv_bias, "a_log": a_log, "d": d}
    require_given({**given, "dt_bias": dt_bias, "norm_weight": norm_weight}, (torch.float32,), projected)
    op = _op(projected, ssm_state, ring, conv_weight, groups, epsilon)
    weights = Mamba2Weights(conv_weight, conv_bias, a_log, d, dt_bias)
    launch = launcher_for(projected.device)
    state = Mamba2State(ssm_state, ring)
    out, squares = run(launch, op, projected, few, many, state, weights, torch.float32)
    means = squares.sum(-1, keepdim=True) * (groups / op.inner)
    normed = out.reshape(len(out), groups, op.inner // groups) * torch.rsqrt(means + epsilon)
    return normed.reshape(out.shape) * norm_weight


@mamba2.register_fake
def _(projected: Tensor, few: Tensor, many: Tensor, ssm_state: Tensor, *rest: object) -> Tensor:
    _, heads, head_dim, _ = ssm_state.shape
    return projected.new_empty((projected.shape[0], heads * head_dim), dtype=torch.float32)


def _op(projected: Tensor, ssm_state: Tensor, ring: Tensor, conv_weight: Tensor, groups: int, epsilon: float) -> Mamba2:
    """Return the op that shapes mean; raises ValueError where they do not go together."""
    if ssm_state.ndim != 4 or ring.ndim != 3 or conv_weight.ndim != 2:
        raise ValueError("ssm_state has four dimensions, ring three, and conv_weight two: [channels, taps]")
    _, heads, head_dim, state_size = ssm_state.shape
    kernel = conv_weight.shape[1]
    op = Mamba2(heads=heads, head_dim=head_dim, groups=groups, state_size=state_size, kernel=kernel, epsilon=epsilon)
    if (projected.shape[1], conv_weight.shape[0]) != (op.input_width, op.channels):
        raise ValueError(f"rows of {projected.shape[1]} and {conv_weight.shape[0]} channels do not go with the state")
    if ring.shape[1] & (ring.shape[1] - 1) or ring.shape[2] != op.channels + heads:
        raise ValueError("a ring holds a power of two of tokens, each with its channels and heads")
    return op
