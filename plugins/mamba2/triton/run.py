"""mamba2 over a ragged step: short sequences by the step's kernel, long ones by the scan's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trtnemo.kernels.half import HALF_EVERY
from trtnemo.kernels.launch import Launcher
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.plugins.mamba2.triton.scan import conv_kernel, keep_kernel, scan_kernel
from trtnemo.plugins.mamba2.triton.step import step_kernel

CHUNK = 32
_TOKENS, _CHANNELS = 16, 128  # of a program of the convolution


@dataclass(frozen=True)
class Mamba2State:
    """States of all slots: ssm_state [slots, heads, head_dim, state], ring [slots, tokens, channels + heads].

    seed: what the rounding of a float16 state is drawn by, a number of the layer's own.
    """

    ssm_state: Tensor
    ring: Tensor
    seed: int = 0

    @property
    def is_half(self) -> bool:
        """Whether the state is float16, and written at some positions alone."""
        return self.ssm_state.dtype is torch.float16

    page_bytes = 0  # it has no cache

    def copy(self, slot: int | None, pages: Sequence[int]) -> tuple[Tensor, ...]:
        """Return a copy of a slot's."""
        return () if slot is None else (self.ssm_state[slot].clone(), self.ring[slot].clone())

    def put(self, slot: int | None, pages: Sequence[int], parts: tuple[Tensor, ...]) -> None:
        """Give a slot what was copied."""
        if slot is not None:
            self.ssm_state[slot], self.ring[slot] = parts


@dataclass(frozen=True)
class Mamba2Weights:
    """Parameters in float32: conv_weight [channels, taps], the others as `op.py` says."""

    conv_weight: Tensor
    conv_bias: Tensor | None
    a_log: Tensor
    d: Tensor
    dt_bias: Tensor


def new_state(
    op: Mamba2, slots: int, ring: int, dtype: torch.dtype, device: torch.device, seed: int = 0
) -> Mamba2State:
    """Return states for so many slots; `ring` is a power of two, beyond what a step reads and writes of it."""
    return Mamba2State(
        torch.zeros(slots, op.heads, op.head_dim, op.state_size, dtype=dtype, device=device),
        torch.zeros(slots, ring, op.channels + op.heads, device=device),
        seed,
    )


def run(
    launch: Launcher,
    op: Mamba2,
    projected: Tensor,
    few: Tensor,
    many: Tensor,
    state: Mamba2State,
    weights: Mamba2Weights,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Return (gated output [rows, inner] before its norm, squares [rows, groups, parts]).

    few, many: segments of short and of long sequences, int32 [n, 8] (`kernels/segments.py`).
    """
    rows, device = len(projected), projected.device
    head_block = max(16, 1 << (op.head_dim - 1).bit_length())
    per_part = min(32, head_block)
    parts = head_block // per_part
    out = torch.empty(rows, op.inner, dtype=dtype, device=device)
    squares = torch.empty(rows, op.groups, op.heads // op.groups * parts, device=device)
    bias = weights.conv_bias
    shapes = {
        "HEADS": op.heads,
        "HEAD_DIM": op.head_dim,
        "GROUPS": op.groups,
        "STATE": op.state_size,
        "STATE_BLOCK": max(16, 1 << (op.state_size - 1).bit_length()),
        "ROWS": per_part,
        "PARTS": parts,
    }
    conv = {"TAPS": op.kernel, "BIAS": weights.conv_bias is not None, "RING": state.ring.shape[1]}
    bias = weights.conv_weight if weights.conv_bias is None else weights.conv_bias
    numbers = (weights.a_log, weights.d, weights.dt_bias)
    stride, seed = projected.stride(0), state.seed
    launch(
        step_kernel,
        (len(few), op.heads, parts),
        *(projected, few, state.ring, state.ssm_state, weights.conv_weight, bias, *numbers, out, squares, stride, seed),
        **shapes,
        **conv,
        EVERY=HALF_EVERY if state.is_half else 1,
        HALF=state.is_half,
        num_warps=4,
        num_stages=1,
    )
    if not len(many):
        return out, squares
    convolved = torch.empty(rows, op.channels, device=device)
    launch(
        conv_kernel,
        (len(many), -(-rows // _TOKENS), -(-op.channels // _CHANNELS)),
        *(projected, many, state.ring, weights.conv_weight, bias, convolved, stride),
        INNER=op.inner,
        CHANNELS=op.channels,
        HEADS=op.heads,
        **conv,
        TOKEN_BLOCK=_TOKENS,
        BLOCK=_CHANNELS,
        num_warps=4,
    )
    launch(
        scan_kernel,
        (len(many), op.heads),
        *(projected, convolved, many, state.ssm_state, *numbers, out, squares, stride, seed),
        **shapes,
        HEAD_BLOCK=head_block,
        CHUNK=CHUNK,
        HALF=state.is_half,
        num_warps=8,
        num_stages=1,
    )
    width = op.channels + op.heads
    launch(
        keep_kernel,
        (len(many), -(-width // _CHANNELS)),
        *(projected, many, state.ring, stride),
        INNER=op.inner,
        WIDTH=width,
        BLOCK=_CHANNELS,
        RING=state.ring.shape[1],
        num_warps=4,
    )
    return out, squares
