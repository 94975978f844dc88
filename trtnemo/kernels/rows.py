"""Rows of activations as the right operand of a product: [columns, rows], transposed, norm and sums in front."""

from __future__ import annotations

import triton.language as tl

from trtnemo.kernels.helper import helper


@helper
def rows_tile(x_ptr, row, is_row, column, width, stride, SUMMED: tl.constexpr):
    """Return float32 [columns, rows] of x [.., stride]; with SUMMED > 1, of sums of so many rows that lie together.

    Sums are taken in the order of the rows, whatever else the step holds.
    """
    mask = is_row[None, :] & (column < width)[:, None]
    first = x_ptr + (row * SUMMED)[None, :].to(tl.int64) * stride + column[:, None]
    total = tl.load(first, mask=mask, other=0.0).to(tl.float32)
    for other in range(1, SUMMED):  # not unrolled: loads of all rows at once would spill
        total += tl.load(first + other * stride, mask=mask, other=0.0).to(tl.float32)
    return total


@helper
def group_factor(squares_ptr, row, is_row, group, groups, epsilon, width,
                 PARTS: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    """Return [rows]: one over the root mean square of a group of channels, whose squares come as PARTS sums a row."""
    part = tl.arange(0, BLOCK)
    place = (row[None, :] * groups + group) * PARTS + part[:, None]
    found = tl.load(squares_ptr + place, mask=is_row[None, :] & (part < PARTS)[:, None], other=0.0)
    return tl.rsqrt(tl.sum(found, 0) / width + epsilon)


@helper
def only_if(mask, number):
    """Return the mask where a number is above 0: the interpreter loses the type of a mask that meets one condition."""
    return (mask.to(tl.int32) * number) > 0
