"""The kernel of all products of rows with weights."""

from __future__ import annotations

import triton
import triton.language as tl

from trtnemo.kernels.product import product


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
    product(
        x_ptr, words_ptr, scales_ptr, scale_ptr, norm_ptr, squares_ptr, second_x_ptr, second_words_ptr,
        second_scales_ptr, second_scale_ptr, residual_ptr, index_ptr, out_ptr, parts_ptr, lock_ptr, rows, outputs,
        width, second_width, stride, second_stride, residual_stride, epsilon, group_width, BM, COLUMNS, FORMAT, WGMMA,
        NORM, SUMMED, PARTS, PARTS_BLOCK, SECOND, SECOND_COLUMNS, SECOND_FORMAT, RELU2, RESIDUAL, INDEXED, SPLIT,
    )  # fmt: skip
