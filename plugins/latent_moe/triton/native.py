"""Experts in NVFP4 by rows in NVFP4: the matrix instructions of 10.x and 12.x multiply both as they are stored."""

from __future__ import annotations

import triton
import triton.language as tl

from trtnemo.kernels.dependent import follow
from trtnemo.kernels.e4m3 import from_e4m3, to_e4m3
from trtnemo.kernels.helper import helper
from trtnemo.kernels.tiles import INTERPRETED
from trtnemo.plugins.latent_moe.triton.experts import pairs_of, store_pairs


@triton.jit
def quantize_kernel(
    x_ptr, codes_ptr, scales_ptr, factors_ptr, width, stride, BLOCKS: tl.constexpr, FIXED: tl.constexpr
):
    """Write a row as E2M1 codes, the even column in the low half of a byte, E4M3 scales of 16 columns, and a factor.

    The factor makes the largest block's scale 448; where it is FIXED it is read.
    """
    follow()
    row = tl.program_id(0).to(tl.int64)
    block, lane = tl.arange(0, BLOCKS)[:, None], tl.arange(0, 16)[None, :]
    column = block * 16 + lane
    x = tl.load(x_ptr + row * stride + column, mask=column < width, other=0.0).to(tl.float32)
    most = tl.max(tl.abs(x), 1)
    if FIXED:
        factor = tl.load(factors_ptr + row)
    else:
        factor = tl.maximum(tl.max(most, 0), 1e-30) / 2688.0
        tl.store(factors_ptr + row, factor)
    number = tl.arange(0, BLOCKS)
    scale = to_e4m3(tl.maximum(most / (6.0 * factor), 0.001953125))
    tl.store(scales_ptr + row * (width // 16) + number, scale, mask=number < width // 16)
    value = x / (from_e4m3(scale) * factor)[:, None]
    size = tl.abs(value)
    # to the nearest of 0, 0.5, 1, 1.5, 2, 3, 4, 6; of two the even code
    code = (size > 0.25).to(tl.int32) + (size >= 0.75).to(tl.int32) + (size > 1.25).to(tl.int32)
    code += (size >= 1.75).to(tl.int32) + (size > 2.5).to(tl.int32) + (size >= 3.5).to(tl.int32)
    code += (size > 5.0).to(tl.int32)
    code = code | tl.where(value < 0, 8, 0)
    even, odd = tl.split(tl.reshape(code, (BLOCKS, 8, 2)))
    byte = block * 8 + tl.arange(0, 8)[None, :]
    tl.store(codes_ptr + row * (width // 2) + byte, (even | (odd << 4)).to(tl.uint8), mask=byte < width // 2)


@helper
def weight_bytes(words_ptr, tile, step, steps, TILES: tl.constexpr, COLUMNS: tl.constexpr):
    """Return E2M1 codes [TILES * 64, COLUMNS / 2] of a packed weight, as the checkpoint has them."""
    place = (tile * TILES + tl.arange(0, TILES)[:, None]).to(tl.int64) * steps + step
    words = tl.load(words_ptr + place * (8 * COLUMNS) + tl.arange(0, 8 * COLUMNS)[None, :])
    words = tl.reshape(words, (TILES, 2, 4, 8, 4, COLUMNS // 32))  # tile, row half, warp, g, t, word
    low, high = words & 0xFFFF, (words >> 16) & 0xFFFF
    first = _code(low, 12, 6) | (_code(high, 12, 6) << 4)
    second = _code(low, 9, 3) | (_code(high, 9, 3) << 4)
    third = _code(low, 6, 0) | (_code(high, 6, 0) << 4)
    fourth = _last_code(low) | (_last_code(high) << 4)
    # .., pair's low bit, pair's high bit
    found = tl.join(tl.join(first, second), tl.join(third, fourth))
    found = tl.permute(found, (0, 2, 1, 3, 5, 4, 7, 6))
    return tl.reshape(found, (TILES * 64, COLUMNS // 2)).to(tl.uint8)


@helper
def _code(half, SIGN: tl.constexpr, REST: tl.constexpr):
    return ((half >> SIGN) & 8) | ((half >> REST) & 7)


@helper
def _last_code(half):
    return ((half >> 11) & 12) | ((half >> 10) & 3)


@helper
def _dot(weights, weight_scales, rows, row_scales, total):
    """Return the sums [weights, rows] with the products of codes [.., K / 2] and scales [.., K / 16] added."""
    if INTERPRETED:
        # its dot_scaled reads every scale as a power of two
        return tl.dot(_values(weights, weight_scales), tl.trans(_values(rows, row_scales)), total)
    else:
        return tl.dot_scaled(
            weights, weight_scales.to(tl.float8e4nv, bitcast=True), "e2m1", tl.trans(rows),
            row_scales.to(tl.float8e4nv, bitcast=True), "e2m1", total,
        )  # fmt: skip


@helper
def _values(codes, scales):
    bits = codes.to(tl.int32)
    both = tl.join(_value(bits & 15), _value(bits >> 4))
    values = tl.reshape(both, (codes.shape[0], scales.shape[1], 16)) * from_e4m3(scales)[:, :, None]
    return tl.reshape(values, (codes.shape[0], scales.shape[1] * 16))


@helper
def _value(code):
    size = code & 7
    value = tl.where(size < 4, size * 0.5, tl.where(size < 6, size - 2.0, size * 2.0 - 8.0))
    return tl.where(code > 7, -value, value)


@triton.jit
def native_kernel(
    codes_ptr, row_scales_ptr, factors_ptr, words_ptr, scales_ptr, scale_ptr, order_ptr, blocks_ptr, weights_ptr,
    out_ptr, words_stride, scales_stride, width, outputs, BM: tl.constexpr, COLUMNS: tl.constexpr,
    TILES: tl.constexpr, TOP_K: tl.constexpr, IS_UP: tl.constexpr,
):  # fmt: skip
    """out[pair] = relu2(row of the pair . up), or weight of the pair * (row . down), of rows in NVFP4."""
    follow()
    tile, block = tl.program_id(0), tl.program_id(1)
    expert, count, pair, is_pair, row = pairs_of(blocks_ptr, order_ptr, block, BM, TOP_K, IS_UP)
    if count == 0:
        return
    words = words_ptr + expert.to(tl.int64) * words_stride
    scales = scales_ptr + expert.to(tl.int64) * scales_stride
    steps = (width + COLUMNS - 1) // COLUMNS
    ROWS: tl.constexpr = TILES * 64
    total = tl.full((ROWS, BM), 0.0, tl.float32)
    weight_row = tl.arange(0, ROWS)[:, None]
    block_column = tl.arange(0, COLUMNS // 16)[None, :]
    byte = tl.arange(0, COLUMNS // 2)[None, :]
    for step in range(steps):
        place = ((tile * TILES + weight_row // 64).to(tl.int64) * steps + step) * 64 + weight_row % 64
        weight_scales = tl.load(scales + place * (COLUMNS // 16) + block_column)
        at, by = step * (COLUMNS // 2) + byte, step * (COLUMNS // 16) + block_column
        here = is_pair[:, None] & (at < width // 2)
        rows = tl.load(codes_ptr + row[:, None].to(tl.int64) * (width // 2) + at, mask=here, other=0)
        there = is_pair[:, None] & (by < width // 16)
        row_scales = tl.load(row_scales_ptr + row[:, None].to(tl.int64) * (width // 16) + by, mask=there, other=0)
        total = _dot(weight_bytes(words, tile, step, steps, TILES, COLUMNS), weight_scales, rows, row_scales, total)
    factor = tl.load(factors_ptr + row, mask=is_pair, other=0.0)
    per_tile = tl.load(scale_ptr + expert * (tl.num_programs(0) * TILES) + tile * TILES)  # one of an expert
    total = total * factor[None, :] * per_tile
    store_pairs(total, tile * ROWS + weight_row, outputs, pair, is_pair, weights_ptr, out_ptr, IS_UP)
