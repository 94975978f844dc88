"""The kernel of all products of rows with weights."""

from __future__ import annotations

import triton
import triton.language as tl

from trtnemo.kernels.dependent import follow
from trtnemo.kernels.product import product
from trtnemo.kernels.tiles import FP8, FP8_ROWS, FP8_SCALE, NVFP4, NVFP4_SCALE, fp8_codes, weight_tile


@triton.jit(do_not_specialize=["rows"])
def product_kernel(
    x_ptr, words_ptr, scales_ptr, scale_ptr, norm_ptr, squares_ptr, second_x_ptr, second_words_ptr,
    second_scales_ptr, second_scale_ptr, residual_ptr, index_ptr, out_ptr, parts_ptr, lock_ptr, rows, outputs,
    width, second_width, stride, second_stride, residual_stride, epsilon, group_width, BM: tl.constexpr, COLUMNS:
    tl.constexpr, FORMAT: tl.constexpr, WGMMA: tl.constexpr, NORM: tl.constexpr, SUMMED: tl.constexpr, PARTS:
    tl.constexpr, PARTS_BLOCK: tl.constexpr, SECOND: tl.constexpr, SECOND_COLUMNS: tl.constexpr, SECOND_FORMAT:
    tl.constexpr, RELU2: tl.constexpr, RESIDUAL: tl.constexpr, INDEXED: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    """Write a tile of a product: `product` of kernels/product.py says what it is."""
    follow()
    product(
        x_ptr, words_ptr, scales_ptr, scale_ptr, norm_ptr, squares_ptr, second_x_ptr, second_words_ptr,
        second_scales_ptr, second_scale_ptr, residual_ptr, index_ptr, out_ptr, parts_ptr, lock_ptr, rows, outputs,
        width, second_width, stride, second_stride, residual_stride, epsilon, group_width, BM, COLUMNS, FORMAT, WGMMA,
        NORM, SUMMED, PARTS, PARTS_BLOCK, SECOND, SECOND_COLUMNS, SECOND_FORMAT, RELU2, RESIDUAL, INDEXED, SPLIT,
    )  # fmt: skip


@triton.jit
def unpack_kernel(
    words_ptr, scales_ptr, out_ptr, width, COLUMNS: tl.constexpr, FORMAT: tl.constexpr, WGMMA: tl.constexpr
):
    """Write a tile of a packed weight [rows, width], exactly in bfloat16: all but the factor of the whole tile."""
    follow()
    tile, step = tl.program_id(0), tl.program_id(1)
    found = weight_tile(words_ptr, scales_ptr, tile, step, tl.num_programs(1), COLUMNS, FORMAT, WGMMA).to(tl.float32)
    if FORMAT == FP8:
        found = found * FP8_SCALE * FP8_ROWS
    elif FORMAT == NVFP4:
        found = found * NVFP4_SCALE
    row, column = tile * 64 + tl.arange(0, 64)[:, None], step * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    place = row.to(tl.int64) * width + column
    tl.store(out_ptr + place, found, mask=column < width)


@triton.jit
def codes_kernel(words_ptr, out_ptr, width, COLUMNS: tl.constexpr, WGMMA: tl.constexpr):
    """Write a tile of a packed FP8 weight as the codes [rows, width] that the checkpoint has."""
    follow()
    tile, step = tl.program_id(0), tl.program_id(1)
    place = tile.to(tl.int64) * tl.num_programs(1) + step
    found = fp8_codes(words_ptr + place * (16 * COLUMNS), COLUMNS, WGMMA)
    row, column = tile * 64 + tl.arange(0, 64)[:, None], step * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    tl.store(out_ptr + row.to(tl.int64) * width + column, found, mask=column < width)
