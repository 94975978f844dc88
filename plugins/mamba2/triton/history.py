"""The last inputs of each sequence: a ring, by position, of what conv and scan read of a token (x, B, C, then dt)."""

from __future__ import annotations

import triton.language as tl

from trtnemo.kernels.helper import helper
from trtnemo.kernels.rows import only_if


@helper
def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + tl.exp(-x))


@helper
def softplus(x):
    """Return log(1 + exp(x)), without overflow."""
    small = tl.exp(-tl.abs(x))
    # near 1 a device's logarithm has an absolute error, which would be all of a small step
    return tl.maximum(x, 0.0) + tl.where(small < 1e-3, small * (1.0 - 0.5 * small), tl.log(1.0 + small))


@helper
def input_at(
    new_ptr, ring_ptr, position, length, channel, is_channel, stride, ring_width, RING: tl.constexpr
):  # fmt: skip
    """Return inputs of tokens: of the step's rows from position `length` on, of the ring before that, 0 before 0.

    Positions, above -RING, and channels may be any shapes that go together.
    """
    fresh = new_ptr + (position - length).to(tl.int64) * stride
    kept = ring_ptr + ((position + RING) % RING) * ring_width
    place = tl.where(position >= length, fresh, kept) + channel
    return tl.load(place, mask=only_if(is_channel, position + 1), other=0.0).to(tl.float32)


@helper
def convolved(
    new_ptr, ring_ptr, weight_ptr, bias_ptr, position, length, channel, is_channel, stride, ring_width,
    RING: tl.constexpr, TAPS: tl.constexpr, BIAS: tl.constexpr,
):  # fmt: skip
    """Return silu(conv) of tokens."""
    total = tl.load(weight_ptr + channel * TAPS, mask=is_channel, other=0.0) * input_at(
        new_ptr, ring_ptr, position - (TAPS - 1), length, channel, is_channel, stride, ring_width, RING
    )
    for tap in tl.static_range(1, TAPS):
        total += tl.load(weight_ptr + channel * TAPS + tap, mask=is_channel, other=0.0) * input_at(
            new_ptr, ring_ptr, position - (TAPS - 1) + tap, length, channel, is_channel, stride, ring_width, RING
        )
    if BIAS:
        total += tl.load(bias_ptr + channel, mask=is_channel, other=0.0)
    return total * sigmoid(total)


@helper
def keep(new_ptr, ring_ptr, position, length, channel, is_channel, stride, ring_width, RING: tl.constexpr):
    """Write new tokens' inputs into the ring."""
    found = tl.load(new_ptr + (position - length).to(tl.int64) * stride + channel, mask=is_channel, other=0.0)
    tl.store(ring_ptr + (position % RING) * ring_width + channel, found, mask=is_channel)
