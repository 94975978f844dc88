"""Many tokens of a sequence: the scan by chunks, whose products are matrix products (Dao and Gu, arXiv 2405.21060)."""

from __future__ import annotations

import triton
import triton.language as tl

from trtnemo.kernels.dependent import follow
from trtnemo.kernels.half import rounded_half
from trtnemo.kernels.rows import only_if
from trtnemo.kernels.segments import FIELDS, LENGTH, SLOT, START, TOKENS
from trtnemo.kernels.tiles import operand
from trtnemo.plugins.mamba2.triton.history import convolved, keep, sigmoid, softplus


@triton.jit
def conv_kernel(
    projected_ptr, segments_ptr, ring_ptr, weight_ptr, bias_ptr, out_ptr, stride, INNER: tl.constexpr,
    CHANNELS: tl.constexpr, HEADS: tl.constexpr, TAPS: tl.constexpr, BIAS: tl.constexpr, RING: tl.constexpr,
    TOKEN_BLOCK: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write silu(conv) of some channels of some of a sequence's tokens; what came before them is in its ring."""
    follow()
    segment, number, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    about = segments_ptr + segment * FIELDS
    slot, start = tl.load(about + SLOT), tl.load(about + START)
    tokens, length = tl.load(about + TOKENS), tl.load(about + LENGTH)
    token = (number * TOKEN_BLOCK + tl.arange(0, TOKEN_BLOCK))[:, None]
    channel = (block * BLOCK + tl.arange(0, BLOCK))[None, :]
    mask = (token < tokens) & (channel < CHANNELS)
    new_ptr = projected_ptr + start.to(tl.int64) * stride + INNER
    ring = ring_ptr + slot.to(tl.int64) * (RING * (CHANNELS + HEADS))
    found = convolved(new_ptr, ring, weight_ptr, bias_ptr, length + token, length, channel, mask, stride,
                      CHANNELS + HEADS, RING, TAPS, BIAS)  # fmt: skip
    tl.store(out_ptr + (start + token).to(tl.int64) * CHANNELS + channel, found, mask=mask)


@triton.jit(do_not_specialize=["seed"])
def scan_kernel(
    projected_ptr, convolved_ptr, segments_ptr, state_ptr, a_log_ptr, d_ptr, dt_bias_ptr, out_ptr, squares_ptr, stride,
    seed, HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, GROUPS: tl.constexpr, STATE: tl.constexpr,
    STATE_BLOCK: tl.constexpr, HEAD_BLOCK: tl.constexpr, ROWS: tl.constexpr, PARTS: tl.constexpr, CHUNK: tl.constexpr,
    HALF: tl.constexpr,
):  # fmt: skip
    """One program: a sequence and a head. The state holds all tokens before; chunks end at multiples of CHUNK.

    A HALF state is rounded behind each chunk, so that prompts that are cut at such multiples give the same bits.
    """
    follow()
    segment, head = tl.program_id(0), tl.program_id(1)
    INNER: tl.constexpr = HEADS * HEAD_DIM
    CHANNELS: tl.constexpr = INNER + 2 * GROUPS * STATE
    about = segments_ptr + segment * FIELDS
    slot, start = tl.load(about + SLOT), tl.load(about + START)
    length, end = tl.load(about + LENGTH), tl.load(about + LENGTH) + tl.load(about + TOKENS)
    group = head // (HEADS // GROUPS)
    row, column = tl.arange(0, HEAD_BLOCK), tl.arange(0, STATE_BLOCK)
    is_row, is_column = row < HEAD_DIM, column < STATE
    x_channel, b_channel = head * HEAD_DIM + row, INNER + group * STATE + column
    state_place = ((slot.to(tl.int64) * HEADS + head) * HEAD_DIM + row[:, None]) * STATE + column[None, :]
    is_state = is_row[:, None] & is_column[None, :]
    state = tl.load(state_ptr + state_place, mask=only_if(is_state, length), other=0.0).to(tl.float32)
    rate = -tl.exp(tl.load(a_log_ptr + head))
    dt_bias, skip = tl.load(dt_bias_ptr + head), tl.load(d_ptr + head)
    index = tl.arange(0, CHUNK)
    first = length // CHUNK * CHUNK
    while first < end:
        position = first + index
        is_token = (position >= length) & (position < end)
        token = (start + position - length).to(tl.int64)
        x_mask, b_mask = is_token[:, None] & is_row[None, :], is_token[:, None] & is_column[None, :]
        # tokens of other steps are zeros: no input reaches them, and no decay
        tokens_ptr = convolved_ptr + token[:, None] * CHANNELS
        x = tl.load(tokens_ptr + x_channel[None, :], mask=x_mask, other=0.0).to(tl.float32)
        b = tl.load(tokens_ptr + b_channel[None, :], mask=b_mask, other=0.0).to(tl.float32)
        c = tl.load(tokens_ptr + b_channel[None, :] + GROUPS * STATE, mask=b_mask, other=0.0).to(tl.float32)
        dt = tl.load(projected_ptr + token * stride + INNER + CHANNELS + head, mask=is_token, other=0.0)
        dt = tl.where(is_token, softplus(dt.to(tl.float32) + dt_bias), 0.0)
        total = tl.cumsum(dt * rate, 0)
        decay = tl.exp(tl.minimum(total[:, None] - total[None, :], 0.0))
        scores = tl.dot(operand(c), operand(tl.trans(b)), input_precision="ieee") * decay * dt[None, :]
        scores = tl.where(index[:, None] >= index[None, :], scores, 0.0)
        y = tl.dot(operand(scores), operand(x), input_precision="ieee")
        y += tl.exp(total)[:, None] * tl.dot(operand(c), operand(tl.trans(state)), input_precision="ieee")
        y += skip * x
        all_of_it = tl.sum(dt * rate, 0)
        drive = x * (dt * tl.exp(all_of_it - total))[:, None]
        state = tl.exp(all_of_it) * state + tl.dot(operand(tl.trans(drive)), operand(b), input_precision="ieee")
        gate = tl.load(projected_ptr + token[:, None] * stride + x_channel[None, :], mask=x_mask, other=0.0)
        gate = gate.to(tl.float32)
        y = y * gate * sigmoid(gate)
        tl.store(out_ptr + token[:, None] * INNER + x_channel[None, :], y, mask=x_mask)
        squares = tl.sum(tl.reshape(tl.where(x_mask, y * y, 0.0), (CHUNK, PARTS, ROWS)), 2)
        place = (token[:, None] * HEADS + head) * PARTS + tl.arange(0, PARTS)[None, :]
        tl.store(squares_ptr + place, squares, mask=is_token[:, None])
        first += CHUNK
        if HALF:
            element = row[:, None] * STATE + column[None, :]
            state = rounded_half(state, seed, element, tl.minimum(first, end), head)
    tl.store(state_ptr + state_place, state.to(state_ptr.dtype.element_ty), mask=is_state)


@triton.jit
def keep_kernel(
    projected_ptr, segments_ptr, ring_ptr, stride, INNER: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
    RING: tl.constexpr,
):  # fmt: skip
    """Write the inputs of a sequence's last tokens into its ring: behind the scan, whose programs read it."""
    follow()
    segment, block = tl.program_id(0), tl.program_id(1)
    about = segments_ptr + segment * FIELDS
    slot, start = tl.load(about + SLOT), tl.load(about + START)
    length, end = tl.load(about + LENGTH), tl.load(about + LENGTH) + tl.load(about + TOKENS)
    channel = block * BLOCK + tl.arange(0, BLOCK)
    position = (end - RING + tl.arange(0, RING))[:, None]
    mask = (position >= length) & (channel < WIDTH)[None, :]
    new_ptr = projected_ptr + start.to(tl.int64) * stride + INNER
    keep(new_ptr, ring_ptr + slot.to(tl.int64) * (RING * WIDTH), tl.maximum(position, length), length, channel[None, :],
         mask, stride, WIDTH, RING)  # fmt: skip
