"""A few tokens of each sequence: replay of what was accepted, conv, scan, gate, sums of squares; states in place."""

from __future__ import annotations

import triton
import triton.language as tl

from trtnemo.kernels.dependent import follow
from trtnemo.kernels.half import rounded_half
from trtnemo.kernels.rows import only_if
from trtnemo.kernels.segments import FIELDS, LENGTH, REPLAY, SLOT, START, STAYS, TOKENS
from trtnemo.kernels.segments import ROWS as ALL_ROWS
from trtnemo.plugins.mamba2.triton.history import convolved, input_at, keep, sigmoid, softplus


@triton.jit(do_not_specialize=["seed"])
def step_kernel(
    projected_ptr, segments_ptr, ring_ptr, state_ptr, conv_weight_ptr, conv_bias_ptr, a_log_ptr, d_ptr, dt_bias_ptr,
    out_ptr, squares_ptr, stride, seed, HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, GROUPS: tl.constexpr,
    STATE: tl.constexpr, STATE_BLOCK: tl.constexpr, ROWS: tl.constexpr, TAPS: tl.constexpr, BIAS: tl.constexpr,
    RING: tl.constexpr, PARTS: tl.constexpr, EVERY: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """One program: a sequence, a head, ROWS of its HEAD_DIM rows of the state.

    Tokens that the state does not hold yet are replayed from the ring first. The state is written at the last multiple
    of EVERY that is committed: before tokens under verification, else behind the new tokens; where there are no new
    ones, behind the last. A HALF state is rounded at each multiple, written or not, so that any way there gives its
    bits. The ring takes the new tokens in.
    """
    follow()
    segment, head, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    INNER: tl.constexpr = HEADS * HEAD_DIM
    CHANNELS: tl.constexpr = INNER + 2 * GROUPS * STATE
    WIDTH: tl.constexpr = CHANNELS + HEADS
    about = segments_ptr + segment * FIELDS
    slot, start, tokens = tl.load(about + SLOT), tl.load(about + START), tl.load(about + TOKENS)
    length, replay, stays = tl.load(about + LENGTH), tl.load(about + REPLAY), tl.load(about + STAYS)
    group = head // (HEADS // GROUPS)
    row, column = part * ROWS + tl.arange(0, ROWS), tl.arange(0, STATE_BLOCK)
    is_row, is_column = row < HEAD_DIM, column < STATE
    x_channel, b_channel = head * HEAD_DIM + row, INNER + group * STATE + column
    c_channel = b_channel + GROUPS * STATE
    new_ptr = projected_ptr + start.to(tl.int64) * stride + INNER  # behind the gate
    ring = ring_ptr + slot.to(tl.int64) * (RING * WIDTH)
    state_place = ((slot.to(tl.int64) * HEADS + head) * HEAD_DIM + row[:, None]) * STATE + column[None, :]
    is_state = is_row[:, None] & is_column[None, :]
    first = length - replay
    position = first
    # a sequence that begins has no state yet: what an earlier one left in the slot is not read
    state = tl.load(state_ptr + state_place, mask=only_if(is_state, position), other=0.0).to(tl.float32)
    rate = -tl.exp(tl.load(a_log_ptr + head))
    dt_bias, skip = tl.load(dt_bias_ptr + head), tl.load(d_ptr + head)
    end = length + tokens
    written = tl.where(stays != 0, length, end) // EVERY * EVERY
    written = tl.where(tokens == 0, length, written)
    element = row[:, None] * STATE + column[None, :]
    while position < end:
        if position > first:
            if HALF:
                if position % EVERY == 0:
                    state = rounded_half(state, seed, element, position, head)
            if position == written:
                tl.store(state_ptr + state_place, state.to(state_ptr.dtype.element_ty), mask=is_state)
        x = convolved(new_ptr, ring, conv_weight_ptr, conv_bias_ptr, position, length, x_channel, is_row, stride, WIDTH,
                      RING, TAPS, BIAS)  # fmt: skip
        b = convolved(new_ptr, ring, conv_weight_ptr, conv_bias_ptr, position, length, b_channel, is_column, stride,
                      WIDTH, RING, TAPS, BIAS)  # fmt: skip
        channel = CHANNELS + head + tl.full((1,), 0, tl.int32)
        dt = softplus(input_at(new_ptr, ring, position, length, channel, channel >= 0, stride, WIDTH, RING) + dt_bias)
        state = tl.exp(dt * rate)[:, None] * state + (dt * x)[:, None] * b[None, :]
        if position >= length:
            c = convolved(new_ptr, ring, conv_weight_ptr, conv_bias_ptr, position, length, c_channel, is_column, stride,
                          WIDTH, RING, TAPS, BIAS)  # fmt: skip
            token = start + position - length
            gate = tl.load(projected_ptr + token.to(tl.int64) * stride + x_channel, mask=is_row, other=0.0)
            y = (tl.sum(state * c[None, :], 1) + skip * x) * gate * sigmoid(gate.to(tl.float32))
            tl.store(out_ptr + token.to(tl.int64) * INNER + x_channel, y, mask=is_row)
            squares = tl.sum(tl.where(is_row, y * y, 0.0), 0)
            tl.store(squares_ptr + (token * HEADS + head) * PARTS + part, squares)
            keep(new_ptr, ring, position, length, x_channel, is_row, stride, WIDTH, RING)
            if (head % (HEADS // GROUPS) == 0) & (part == 0):
                keep(new_ptr, ring, position, length, b_channel, is_column, stride, WIDTH, RING)
                keep(new_ptr, ring, position, length, c_channel, is_column, stride, WIDTH, RING)
            if part == 0:
                keep(new_ptr, ring, position, length, channel, channel >= 0, stride, WIDTH, RING)
        position += 1
    filled = tokens
    while filled < tl.load(about + ALL_ROWS):
        token = start + filled
        tl.store(out_ptr + token.to(tl.int64) * INNER + x_channel, tl.full((ROWS,), 0.0, tl.float32), mask=is_row)
        tl.store(squares_ptr + (token * HEADS + head) * PARTS + part, 0.0)
        filled += 1
    if (end == written) & (end > first):
        if HALF:
            state = rounded_half(state, seed, element, end, head)
        tl.store(state_ptr + state_place, state.to(state_ptr.dtype.element_ty), mask=is_state)
