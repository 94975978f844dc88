"""All products of rows with weights: sums in one order, whatever the number of rows.

A program makes 64 rows of a weight by BM rows of activations. K is walked in order; where it is split, the last
program to finish adds the parts in order, so that no sum depends on what runs beside it.
"""

from __future__ import annotations

import triton.language as tl

from trtnemo.kernels.helper import helper
from trtnemo.kernels.rows import group_factor, rows_tile
from trtnemo.kernels.tiles import FP8, FP8_ROWS, operand, scale_of, weight_tile

NO_NORM, RMS, GROUPED = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@helper
def multiply(
    total, squares, x_ptr, words_ptr, scales_ptr, norm_ptr, squares_ptr, row, is_row, tile, first, last, width,
    stride, epsilon, group_width, COLUMNS: tl.constexpr, FORMAT: tl.constexpr, WGMMA: tl.constexpr, NORM:
    tl.constexpr, SUMMED: tl.constexpr, PARTS: tl.constexpr, PARTS_BLOCK: tl.constexpr, BM: tl.constexpr,
):  # fmt: skip
    """Return (sums [64, BM] with the products of some steps added, squares [BM] of the rows with theirs)."""
    steps = (width + COLUMNS - 1) // COLUMNS
    # summed up behind the loop: a sum over columns crosses warps
    squared = tl.full((COLUMNS, BM), 0.0, tl.float32)
    for step in range(first, last):
        weight = weight_tile(words_ptr, scales_ptr, tile, step, steps, COLUMNS, FORMAT, WGMMA)
        column = step * COLUMNS + tl.arange(0, COLUMNS)
        x = rows_tile(x_ptr, row, is_row, column, width, stride, SUMMED)
        if NORM == RMS:
            squared += x * x
        if NORM == GROUPED:
            group = step * COLUMNS // group_width
            x = (
                x
                * group_factor(
                    squares_ptr, row, is_row, group, width // group_width, epsilon, group_width, PARTS, PARTS_BLOCK
                )[None, :]
            )
        if NORM:
            x = x * tl.load(norm_ptr + column, mask=column < width, other=0.0).to(tl.float32)[:, None]
        if FORMAT == FP8:
            x = x * FP8_ROWS
        total = tl.dot(weight, operand(x), total, input_precision="ieee")
    if NORM == RMS:
        squares = tl.sum(squared, 0)
    return total, squares


@helper
def product(
    x_ptr, words_ptr, scales_ptr, scale_ptr, norm_ptr, squares_ptr, second_x_ptr, second_words_ptr,
    second_scales_ptr, second_scale_ptr, residual_ptr, index_ptr, out_ptr, parts_ptr, lock_ptr, rows, outputs,
    width, second_width, stride, second_stride, residual_stride, epsilon, group_width, BM: tl.constexpr, COLUMNS:
    tl.constexpr, FORMAT: tl.constexpr, WGMMA: tl.constexpr, NORM: tl.constexpr, SUMMED: tl.constexpr, PARTS:
    tl.constexpr, PARTS_BLOCK: tl.constexpr, SECOND: tl.constexpr, SECOND_COLUMNS: tl.constexpr, SECOND_FORMAT:
    tl.constexpr, RELU2: tl.constexpr, RESIDUAL: tl.constexpr, INDEXED: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    """out[row, n] = act(norm(x)[row] . weight[n] (+ second_x[row] . second_weight[n])) (+ residual[row, n])."""
    tile, block, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    slot = block * BM + tl.arange(0, BM)
    is_row = slot < rows
    row = slot
    if INDEXED:
        row = tl.load(index_ptr + slot, mask=is_row, other=0).to(tl.int32)
    steps = (width + COLUMNS - 1) // COLUMNS
    total, squares = tl.full((64, BM), 0.0, tl.float32), tl.full((BM,), 0.0, tl.float32)
    total, squares = multiply(
        total, squares, x_ptr, words_ptr, scales_ptr, norm_ptr, squares_ptr, row, is_row, tile, steps * part // SPLIT,
        steps * (part + 1) // SPLIT, width, stride, epsilon, group_width, COLUMNS, FORMAT, WGMMA, NORM, SUMMED, PARTS,
        PARTS_BLOCK, BM,
    )  # fmt: skip
    total = total * scale_of(scale_ptr, tile, FORMAT)
    if SECOND:
        steps = (second_width + SECOND_COLUMNS - 1) // SECOND_COLUMNS
        other = tl.full((64, BM), 0.0, tl.float32)
        other, squares = multiply(
            other, squares, second_x_ptr, second_words_ptr, second_scales_ptr, norm_ptr, squares_ptr, row, is_row, tile,
            steps * part // SPLIT, steps * (part + 1) // SPLIT, second_width, second_stride, epsilon, group_width,
            SECOND_COLUMNS, SECOND_FORMAT, WGMMA, 0, 1, 1, 1, BM,
        )  # fmt: skip
        total += other * scale_of(second_scale_ptr, tile, SECOND_FORMAT)
    out_row, column = tl.arange(0, 64)[:, None], tl.arange(0, BM)[None, :]
    is_last = True
    if SPLIT > 1:
        cell = block * tl.num_programs(0) + tile
        mine = parts_ptr + (cell * SPLIT + part) * (65 * BM)
        tl.store(mine + out_row * BM + column, total)
        tl.store(mine + 64 * BM + tl.arange(0, BM), squares)
        tl.debug_barrier()
        is_last = tl.atomic_add(lock_ptr + cell, 1) == SPLIT - 1
        if is_last:
            tl.debug_barrier()
            total, squares = tl.full((64, BM), 0.0, tl.float32), tl.full((BM,), 0.0, tl.float32)
            for number in range(SPLIT):
                found = parts_ptr + (cell * SPLIT + number) * (65 * BM)
                total += tl.load(found + out_row * BM + column)
                squares += tl.load(found + 64 * BM + tl.arange(0, BM))
            tl.store(lock_ptr + cell, 0)
    if is_last:
        if NORM == RMS:
            total = total * tl.rsqrt(squares / width + epsilon)[None, :]
        if RELU2:
            total = tl.maximum(total, 0.0)
            total = total * total
        output = tile * 64 + out_row
        place = slot[None, :].to(tl.int64) * outputs + output
        mask = is_row[None, :] & (output < outputs)
        if RESIDUAL:
            total += tl.load(residual_ptr + slot[None, :].to(tl.int64) * residual_stride + output, mask=mask, other=0.0)
        tl.store(out_ptr + place, total, mask=mask)
