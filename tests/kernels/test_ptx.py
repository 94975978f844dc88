"""Inline PTX computed over all codes: what no compiler and no interpreter can see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.support.backends.ptx import evaluate
from trtnemo.checkpoint.format.codecs import decode_e4m3, decode_nvfp4
from trtnemo.kernels.fragments import pack_fp8, pack_nvfp4
from trtnemo.kernels.ptx import FP8_PAIRS, NVFP4_PAIRS

EVERY_BYTE = np.arange(256, dtype=np.uint8)


def halves(word: Any) -> Any:
    """Return the two bfloat16 of words as float64 [words, 2], the low half first."""
    bits = np.stack([word << np.uint32(16), word & np.uint32(0xFFFF0000)], axis=-1)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def test_all_pairs_of_four_bit_codes_become_their_values() -> None:
    """Family mma: a word is eight neighbouring columns, so every word can be compared with its columns."""
    codes = np.stack(np.meshgrid(EVERY_BYTE, EVERY_BYTE[:64]), axis=-1).reshape(64, -1)
    unit = np.full((64, codes.shape[1] // 8), 0x38, np.uint8)
    want = decode_nvfp4(codes, unit, np.float32(1)).astype(np.float64)
    words = pack_nvfp4(torch.from_numpy(codes), "mma").numpy().view(np.uint32).reshape(-1)
    pairs = np.stack([halves(found) for found in evaluate(NVFP4_PAIRS, 4, words)], axis=-2) * 2.0**126
    rows = pairs.reshape(-1, 2, 4, 8, 4, 4, 8)  # step, row half, warp, g, t, word, column
    found = rows.transpose(2, 1, 3, 0, 5, 4, 6).reshape(64, -1)
    assert np.array_equal(found, want)


def test_all_eight_bit_codes_become_their_values() -> None:
    codes = np.random.default_rng(0).permuted(np.tile(EVERY_BYTE, (64, 2)), axis=1)
    words = pack_fp8(torch.from_numpy(codes), "mma").numpy().view(np.uint32).reshape(-1)
    low, high = (halves(found) for found in evaluate(FP8_PAIRS, 2, words))
    found = np.stack([low, high], axis=-2) * 2.0**120
    rows = found.reshape(-1, 2, 2, 4, 8, 4, 4, 4)  # step, row half, register, warp, g, t, word, column
    got = rows.transpose(3, 1, 4, 0, 2, 6, 5, 7).reshape(64, -1)
    is_number = ~np.isnan(decode_e4m3(codes))
    assert np.array_equal(got[is_number], decode_e4m3(codes)[is_number])


def test_an_instruction_that_the_evaluator_does_not_know_is_no_pass() -> None:
    with pytest.raises(KeyError):
        evaluate("{ prmt.b32 $0, $1, $1, 0x5410; }", 1, np.zeros(1, np.uint32))


def test_lop3_takes_the_table_of_the_manual() -> None:
    a, b, c = (np.uint32(value) for value in (0xF0, 0xCC, 0xAA))
    assert evaluate("{ .reg .b32 a; lop3.b32 $0, 0xF0, 0xCC, 0xAA, 0xEA; }", 1, a)[0] == (a & b) | c
