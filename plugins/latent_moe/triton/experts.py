"""One product of a bank of experts: rows gathered by blocks of one expert, a tile of its weight a program."""

from __future__ import annotations

import triton
import triton.language as tl

from trtnemo.kernels.dependent import follow
from trtnemo.kernels.helper import helper
from trtnemo.kernels.rows import rows_tile
from trtnemo.kernels.tiles import FP8, FP8_ROWS, operand, scale_of, weight_tile


@helper
def pairs_of(blocks_ptr, order_ptr, block, BM: tl.constexpr, TOP_K: tl.constexpr, IS_UP: tl.constexpr):
    """Return a block's expert, how many pairs it has, the pairs, which are there, and the row that each reads."""
    about = blocks_ptr + block * 4
    expert, first, count = tl.load(about), tl.load(about + 1), tl.load(about + 2)
    slot = tl.arange(0, BM)
    is_pair = slot < count
    pair = tl.load(order_ptr + first + slot, mask=is_pair, other=0)
    row = pair
    if IS_UP:
        row = pair // TOP_K
    return expert, count, pair, is_pair, row


@helper
def store_pairs(total, output, outputs, pair, is_pair, weights_ptr, out_ptr, IS_UP: tl.constexpr):
    """Write sums [outputs, pairs]: max(x, 0)^2 of the first product, times each pair's weight of the second."""
    if IS_UP:
        total = tl.maximum(total, 0.0)
        total = total * total
    else:
        total = total * tl.load(weights_ptr + pair, mask=is_pair, other=0.0)[None, :]
    place = pair[None, :].to(tl.int64) * outputs + output
    tl.store(out_ptr + place, total, mask=is_pair[None, :] & (output < outputs))


@triton.jit
def experts_kernel(
    x_ptr, words_ptr, scales_ptr, scale_ptr, norm_ptr, order_ptr, blocks_ptr, weights_ptr, out_ptr, words_stride,
    scales_stride, width, outputs, stride, epsilon, BM: tl.constexpr, COLUMNS: tl.constexpr, FORMAT: tl.constexpr,
    WGMMA: tl.constexpr, TOP_K: tl.constexpr, IS_UP: tl.constexpr, NORM: tl.constexpr,
):  # fmt: skip
    """out[pair] = relu2(norm(x[row of the pair]) . up), or weight of the pair * (x[pair] . down)."""
    follow()
    tile, block = tl.program_id(0), tl.program_id(1)
    expert, count, pair, is_pair, row = pairs_of(blocks_ptr, order_ptr, block, BM, TOP_K, IS_UP)
    if count == 0:
        return
    words = words_ptr + expert.to(tl.int64) * words_stride
    scales = scales_ptr + expert.to(tl.int64) * scales_stride
    steps = (width + COLUMNS - 1) // COLUMNS
    total, squared = tl.full((64, BM), 0.0, tl.float32), tl.full((COLUMNS, BM), 0.0, tl.float32)
    for step in range(steps):
        weight = weight_tile(words, scales, tile, step, steps, COLUMNS, FORMAT, WGMMA)
        column = step * COLUMNS + tl.arange(0, COLUMNS)
        x = rows_tile(x_ptr, row, is_pair, column, width, stride, 1)
        if NORM:
            squared += x * x
            x = x * tl.load(norm_ptr + column, mask=column < width, other=0.0).to(tl.float32)[:, None]
        if FORMAT == FP8:
            x = x * FP8_ROWS
        total = tl.dot(weight, operand(x), total, input_precision="ieee")
    total = total * scale_of(scale_ptr + expert * tl.num_programs(0), tile, FORMAT)
    if NORM:
        total = total * tl.rsqrt(tl.sum(squared, 0) / width + epsilon)[None, :]
    store_pairs(total, tile * 64 + tl.arange(0, 64)[:, None], outputs, pair, is_pair, weights_ptr, out_ptr, IS_UP)
