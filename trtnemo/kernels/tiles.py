"""Tiles of a weight in registers, as the left operand of a product: [64, columns] out of each stored format.

Exact in both ways: on a device bfloat16, interpreted float32, because the interpreter computes with bfloat16's bits as
if they were whole numbers. Tiles of quantized weights are scaled by a power of two (`NVFP4_SCALE`, `FP8_SCALE`), which
the product gives back to its sums.
"""

from __future__ import annotations

import triton.language as tl

from trtnemo.kernels.helper import helper
from trtnemo.kernels.mode import is_interpreted
from trtnemo.kernels.ptx import FP8_CONSTRAINTS, FP8_PAIRS, NVFP4_CONSTRAINTS, NVFP4_PAIRS

INTERPRETED = tl.constexpr(is_interpreted())
PLAIN, FP8, NVFP4 = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)

_NVFP4_ASM, _NVFP4_CONSTRAINTS = tl.constexpr(NVFP4_PAIRS), tl.constexpr(NVFP4_CONSTRAINTS)
_FP8_ASM, _FP8_CONSTRAINTS = tl.constexpr(FP8_PAIRS), tl.constexpr(FP8_CONSTRAINTS)
# 0x81C081C0, 0x80008000, 0xFFFF0000 as 32-bit numbers with a sign
_CODE, _SIGN, _HIGH = tl.constexpr(0x81C081C0 - 2**32), tl.constexpr(0x80008000 - 2**32), tl.constexpr(-65536)
_TWO_TO_119 = tl.constexpr(2.0**119)
# what a sum of such tiles' products is multiplied by; FP8's rows are multiplied by 2^100 before, so that no product
# of a small code is lost below float32's least number
NVFP4_SCALE, FP8_SCALE, FP8_ROWS = tl.constexpr(2.0**8), tl.constexpr(2.0**20), tl.constexpr(2.0**100)


@helper
def operand(values):
    """Return values as products take them: bfloat16, or float32 in the interpreter."""
    if INTERPRETED:
        return values.to(tl.float32)
    else:
        return values.to(tl.bfloat16)


@helper
def weight_tile(
    words_ptr, scales_ptr, tile, step, steps, COLUMNS: tl.constexpr, FORMAT: tl.constexpr,
    WGMMA: tl.constexpr,
):  # fmt: skip
    """Return the tile [64, COLUMNS] of a weight that is packed as `fragments.py` says, at a tile and a step."""
    place = tile.to(tl.int64) * steps + step
    if FORMAT == PLAIN:
        row, column = tl.arange(0, 64), tl.arange(0, COLUMNS)
        return operand(tl.load(words_ptr + (tile * 64 + row)[:, None].to(tl.int64) * (steps * COLUMNS)
                               + (step * COLUMNS + column)[None, :]))  # fmt: skip
    elif FORMAT == FP8:
        return _fp8_tile(words_ptr + place * (16 * COLUMNS), COLUMNS, WGMMA)
    else:
        return _nvfp4_tile(words_ptr + place * (8 * COLUMNS), scales_ptr + place * (4 * COLUMNS), COLUMNS, WGMMA)


@helper
def _nvfp4_tile(words_ptr, scales_ptr, COLUMNS: tl.constexpr, WGMMA: tl.constexpr):
    words = tl.load(words_ptr + tl.arange(0, 8 * COLUMNS))
    if WGMMA:
        words = tl.reshape(words, (COLUMNS // 64, 4, 8, 4, 4))  # register, warp, g, t, word
        p0, p1, p2, p3 = _nvfp4_pairs(words)
        # register, warp, g, t, word, odd, column half, row half
        values = tl.join(tl.join(p0, p1), tl.join(p2, p3))
        values = tl.permute(values, (1, 7, 2, 0, 4, 6, 3, 5))
    else:
        words = tl.reshape(words, (2, 4, 8, 4, COLUMNS // 32))  # row half, warp, g, t, word
        p0, p1, p2, p3 = _nvfp4_pairs(words)
        # row half, warp, g, t, word, odd, pair's low bit, pair's high bit
        values = tl.join(tl.join(p0, p1), tl.join(p2, p3))
        values = tl.permute(values, (1, 0, 2, 4, 3, 7, 6, 5))
    values = tl.reshape(values, (64, COLUMNS // 16, 16))
    row, block = tl.arange(0, 64), tl.arange(0, COLUMNS // 16)
    scales = tl.load(scales_ptr + row[:, None] * (COLUMNS // 16) + block[None, :])
    return tl.reshape(values * _e4m3_times_2_to_118(scales)[:, :, None], (64, COLUMNS))


@helper
def _nvfp4_pairs(words):
    """Return four tensors [..., 2] of the values times 2^-126."""
    if INTERPRETED:
        last = ((words << 1) & _SIGN) | ((words >> 5) & 0x01000100) | ((words >> 4) & 0x00C000C0)
        return (_halves(words & _CODE), _halves((words << 3) & _CODE), _halves((words << 6) & _CODE), _halves(last))
    else:
        return tl.inline_asm_elementwise(
            _NVFP4_ASM, _NVFP4_CONSTRAINTS, [tl.join(words, words)],
            dtype=(tl.bfloat16, tl.bfloat16, tl.bfloat16, tl.bfloat16), is_pure=True, pack=2,
        )  # fmt: skip


@helper
def _e4m3_times_2_to_118(codes):
    """Return block scales, which have no sign, times 2^118: once more 2^119 would be beyond bfloat16."""
    if INTERPRETED:
        return (codes.to(tl.int32) << 20).to(tl.float32, bitcast=True) * _TWO_TO_119 * _TWO_TO_119
    else:
        scales = (codes.to(tl.int16) << 4).to(tl.bfloat16, bitcast=True)
        once = tl.full((), _TWO_TO_119, tl.bfloat16)
        return scales * once * once


@helper
def _fp8_tile(words_ptr, COLUMNS: tl.constexpr, WGMMA: tl.constexpr):
    words = tl.load(words_ptr + tl.arange(0, 16 * COLUMNS))
    words = tl.reshape(words, (2, COLUMNS // 64, 4, 8, 4, 4))  # row half, register, warp, g, t, word
    low, high = _fp8_pairs(words)
    return _fp8_in_place(low, high, COLUMNS, WGMMA)


@helper
def fp8_codes(words_ptr, COLUMNS: tl.constexpr, WGMMA: tl.constexpr):
    """Return the codes [64, COLUMNS] of a tile of an FP8 weight, as uint8."""
    words = tl.load(words_ptr + tl.arange(0, 16 * COLUMNS))
    words = tl.reshape(words, (2, COLUMNS // 64, 4, 8, 4, 4))  # row half, register, warp, g, t, word
    # a half-word is an even column, the other one the odd column; its low byte is the first pair, its high the second
    low = tl.join(words & 0xFF, (words >> 16) & 0xFF)
    high = tl.join((words >> 8) & 0xFF, (words >> 24) & 0xFF)
    return _fp8_in_place(low, high, COLUMNS, WGMMA).to(tl.uint8)


@helper
def _fp8_in_place(low, high, COLUMNS: tl.constexpr, WGMMA: tl.constexpr):
    """Return both pairs of each word [.., 2], as they are packed, as a tile [64, COLUMNS]."""
    values = tl.join(low, high)  # row half, register, warp, g, t, word, odd, pair
    if WGMMA:
        values = tl.permute(values, (2, 0, 3, 1, 5, 7, 4, 6))  # a pair is a column half
    else:
        values = tl.permute(values, (2, 0, 3, 1, 5, 4, 7, 6))
    return tl.reshape(values, (64, COLUMNS))


@helper
def _fp8_pairs(words):
    """Return two tensors [..., 2] of the values times 2^-120."""
    if INTERPRETED:
        low = words << 8
        first = (low & _SIGN) | ((low >> 4) & 0x07F007F0)
        return _halves(first), _halves((words & _SIGN) | ((words >> 4) & 0x07F007F0))
    else:
        return tl.inline_asm_elementwise(
            _FP8_ASM, _FP8_CONSTRAINTS, [tl.join(words, words)], dtype=(tl.bfloat16, tl.bfloat16), is_pure=True, pack=2
        )


@helper
def _halves(bits):
    """Return the two bfloat16 of each word as float32 [..., 2], the low half first."""
    return tl.join((bits << 16).to(tl.float32, bitcast=True), (bits & _HIGH).to(tl.float32, bitcast=True))


@helper
def scale_of(scale_ptr, tile, FORMAT: tl.constexpr):
    """Return what sums over a weight's tile are multiplied by."""
    scale = tl.load(scale_ptr + tile)
    if FORMAT == NVFP4:
        scale = scale * NVFP4_SCALE
    elif FORMAT == FP8:
        scale = scale * FP8_SCALE
    return scale
