"""Stochastic rounding to float16, by whole numbers: only 10.x has an instruction for it."""

from __future__ import annotations

import triton.language as tl

from trtnemo.kernels.helper import helper

HALF_EVERY = 4  # tokens between roundings of a state; those since the last one are replayed
ROUNDS = tl.constexpr(5)  # of Philox (Salmon and others, 2011)
_MOST = tl.constexpr(65504.0)
_NORMAL, _STEPS, _STEP = tl.constexpr(2.0**-14), tl.constexpr(2.0**24), tl.constexpr(2.0**-24)


@helper
def rounded_half(x, seed, element, position, part):
    """Return float32 whose values are float16's: one of the two next to x, whose mean is x; at most 65504.

    What is drawn belongs to seed, element, position and part alone, so that any way to a position gives the same bits.
    """
    random, _, _, _ = tl.philox(seed, element.to(tl.uint32), position, part, 0, ROUNDS)
    bits = random.to(tl.int32, bitcast=True)
    size = tl.minimum(tl.abs(x), _MOST)
    normal = ((size.to(tl.int32, bitcast=True) + (bits & 0x1FFF)) & -8192).to(tl.float32, bitcast=True)
    # below 2^-14 float16's steps are all 2^-24
    fraction = (bits & 0xFFFFFF).to(tl.float32) * _STEP
    small = tl.floor(tl.minimum(size, _NORMAL) * _STEPS + fraction) * _STEP
    found = tl.where(size < _NORMAL, small, normal)
    return tl.where(x < 0, -found, found)
