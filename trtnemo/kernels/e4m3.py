"""FP8 (E4M3) by whole numbers: 8.x has no instruction for it, and the interpreter's own rounding is wrong."""

from __future__ import annotations

import triton.language as tl

from trtnemo.kernels.helper import helper

_MOST = tl.constexpr(448.0)
_BIAS = tl.constexpr(120 << 3)  # of float32's exponent over E4M3's, where the mantissa has three bits
_SUBNORMAL, _STEPS = tl.constexpr(2.0**-6), tl.constexpr(2.0**9)
_TO_WHOLE = tl.constexpr(2.0**23)  # behind which float32 has no fractions
_TWO_TO_120 = tl.constexpr(2.0**120)


@helper
def to_e4m3(x):
    """Return float32 as codes: to the nearest, of two the even one, at most 448; no number stays none."""
    bits = x.to(tl.int32, bitcast=True)
    magnitude = tl.minimum(tl.abs(x), _MOST)
    whole = magnitude.to(tl.int32, bitcast=True)
    normal = ((whole + 0x7FFFF + ((whole >> 20) & 1)) >> 20) - _BIAS
    small = (tl.minimum(magnitude, _SUBNORMAL) * _STEPS + _TO_WHOLE).to(tl.int32, bitcast=True) & 15
    code = tl.where(magnitude < _SUBNORMAL, small, normal)
    code = tl.where(x == x, code, 0x7F)
    return (code | ((bits >> 24) & 0x80)).to(tl.uint8)


@helper
def from_e4m3(codes):
    """Return codes as float32; those of no number become 480."""
    bits = codes.to(tl.int32)
    return (((bits & 0x80) << 24) | ((bits & 0x7F) << 20)).to(tl.float32, bitcast=True) * _TWO_TO_120
