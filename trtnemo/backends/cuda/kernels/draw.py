"""Tokens drawn from rows of logits, as `runtime/sampler.py` draws them: in double precision, with its noise.

The vocabulary is read in blocks, then one program a row picks among the blocks' best, or among the candidates that
top_k, top_p and min_p leave of the KEPT likeliest ones.
"""

from __future__ import annotations

import triton
import triton.language as tl

from trtnemo.kernels.dependent import follow
from trtnemo.kernels.helper import helper

# columns of a row of the two tables that say how it is drawn (`steps/draw.py`)
REAL = tl.constexpr(4)
TEMPERATURE, TOP_P, MIN_P = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
WHOLE = tl.constexpr(4)
SEED, PLACE, TOP_K = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
NEVER = tl.constexpr(-1e300)  # infinities less each other would be no numbers
NOT_KNOWN, NO_NUMBER = tl.constexpr(-1), tl.constexpr(-2)
# SplitMix64's numbers
_STEP = tl.constexpr(0x9E3779B97F4A7C15)
_FIRST, _SECOND = tl.constexpr(0xBF58476D1CE4E5B9), tl.constexpr(0x94D049BB133111EB)


@helper
def _mix(x):
    x = (x ^ (x >> 30)) * _FIRST
    x = (x ^ (x >> 27)) * _SECOND
    return x ^ (x >> 31)


@helper
def gumbel(whole_ptr, ids):
    """Return the noise of tokens at a row's seed and place."""
    one = tl.full((1,), 0, tl.int64)
    seed = tl.load(whole_ptr + SEED + one).to(tl.uint64)
    place = tl.load(whole_ptr + PLACE + one).to(tl.uint64) + 1
    mixed = _mix(_mix(seed * _STEP) + place * _STEP)
    uniform = (_mix(mixed + ids.to(tl.uint64) * _STEP) >> 11).to(tl.float64)
    return -tl.log(-tl.log((uniform + 0.5) * 1.1102230246251565e-16))


@helper
def _key(values, ids):
    """Return int64 whose ascending order is that of falling values, and of rising numbers among equal ones."""
    bits = (values + 0.0).to(tl.int32, bitcast=True)  # of the two zeros one
    return ((~(bits ^ ((bits >> 31) & 0x7FFFFFFF))).to(tl.int64) << 32) | ids.to(tl.int64)


@helper
def _value(key):
    """Return the value that a key stands for."""
    bits = ~(key >> 32).to(tl.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)


@triton.jit
def draw_kernel(
    logits_ptr, real_ptr, whole_ptr, best_ptr, ids_ptr, tops_ptr, masses_ptr, keys_ptr, vocabulary, stride,
    BLOCK: tl.constexpr, RESTRICTED: tl.constexpr,
):  # fmt: skip
    """Write of a row's block of tokens: the best with noise, its number, the largest scaled logit, the mass beside it.

    The mass is no number where a logit is none. Where rows are RESTRICTED, also a key of each token.
    """
    follow()
    row, block, blocks = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.num_programs(1)
    token = block * BLOCK + tl.arange(0, BLOCK)
    mask = token < vocabulary
    logits = tl.load(logits_ptr + row * stride + token, mask=mask, other=0.0).to(tl.float32)
    x = logits.to(tl.float64)
    is_number = tl.abs(x) < 3.5e38
    wrong = tl.sum(tl.where(is_number, 0, 1), 0)
    x = tl.where(mask & is_number, x, NEVER)
    temperature = tl.load(real_ptr + row * REAL + TEMPERATURE)
    scaled = x / tl.where(temperature > 0, temperature, 1.0)
    score = tl.where(temperature > 0, scaled + gumbel(whole_ptr + row * WHOLE, token), x)
    place = row * blocks + block
    best = tl.argmax(score, 0)
    top = tl.max(scaled, 0)
    mass = tl.sum(tl.exp(scaled - top), 0)
    tl.store(best_ptr + place, tl.max(score, 0))
    tl.store(ids_ptr + place, block * BLOCK + best)
    tl.store(tops_ptr + place, top)
    tl.store(masses_ptr + place, tl.where(wrong > 0, float("nan"), mass))
    if RESTRICTED:
        tl.store(keys_ptr + row * vocabulary + token, _key(logits, token), mask=mask)


@triton.jit(do_not_specialize=["blocks"])
def pick_kernel(
    best_ptr, ids_ptr, tops_ptr, masses_ptr, keys_ptr, real_ptr, whole_ptr, out_ptr, blocks, kept, vocabulary,
    BLOCKS: tl.constexpr, KEPT: tl.constexpr, RESTRICTED: tl.constexpr, GUESS: tl.constexpr,
):  # fmt: skip
    """Write the token of a row; NOT_KNOWN where the kept candidates are too few (a GUESS then takes one of them)."""
    follow()
    row = tl.program_id(0).to(tl.int64)
    block = tl.arange(0, BLOCKS)
    is_block = block < blocks
    best = tl.load(best_ptr + row * blocks + block, mask=is_block, other=NEVER)
    found = tl.load(ids_ptr + row * blocks + block, mask=is_block, other=0)
    token = tl.sum(tl.where(block == tl.argmax(best, 0), found, 0), 0).to(tl.int64)
    tops = tl.load(tops_ptr + row * blocks + block, mask=is_block, other=NEVER)
    top = tl.max(tops, 0)
    total = tl.sum(tl.load(masses_ptr + row * blocks + block, mask=is_block, other=0.0) * tl.exp(tops - top), 0)
    if RESTRICTED:
        temperature = tl.load(real_ptr + row * REAL + TEMPERATURE)
        top_p, min_p = tl.load(real_ptr + row * REAL + TOP_P), tl.load(real_ptr + row * REAL + MIN_P)
        top_k = tl.load(whole_ptr + row * WHOLE + TOP_K)
        has_k = (top_k > 0) & (top_k < vocabulary)
        index = tl.arange(0, KEPT)
        is_kept = index < kept
        key = tl.load(keys_ptr + row * kept + index, mask=is_kept, other=0)
        ids = key & 0x7FFFFFFF
        scaled = _value(key).to(tl.float64) / tl.where(temperature > 0, temperature, 1.0)
        mass = tl.where(is_kept, tl.exp(scaled - top), 0.0)
        # conditions as numbers: the interpreter loses the type of a mask that meets one of a whole row
        stays = is_kept & (index < tl.where(has_k, top_k, KEPT))
        share = mass / tl.where(has_k, tl.sum(tl.where(stays, mass, 0.0), 0), total)
        before = tl.cumsum(share, 0) - share
        stays = stays & (before < tl.where(top_p < 1, top_p, 2.0)) & (share > 0)
        stays = stays & (share >= min_p * tl.max(tl.where(stays, share, 0.0), 0))
        # all of the candidates that are kept may stay, where no others can follow them
        last = tl.where((kept >= vocabulary) | (has_k & (top_k <= kept)), kept, kept - 1)
        # shares are of the candidates that top_k leaves: where those are not all here, they are not known
        number = tl.where(has_k & (top_k > kept), kept + 1, tl.sum(stays.to(tl.int32), 0))
        score = tl.where(stays, scaled + gumbel(whole_ptr + row * WHOLE, ids), NEVER)
        drawn = tl.sum(tl.where(index == tl.argmax(score, 0), ids, 0), 0)
        if not GUESS:
            drawn = tl.where(number <= last, drawn, NOT_KNOWN)
        limits = tl.where(has_k, 1, 0) + tl.where(top_p < 1, 1, 0) + tl.where(min_p > 0, 1, 0)
        token = tl.where(tl.where(temperature > 0, limits, 0) > 0, drawn, token)
    if GUESS:  # which is verified, and must be a token
        tl.store(out_ptr + row, tl.where(total == total, token, 0))
    else:
        tl.store(out_ptr + row, tl.where(total == total, token, NO_NUMBER))
