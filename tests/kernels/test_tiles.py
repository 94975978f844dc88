"""Tiles of every format, interpreted, beside the checkpoint's own decoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from trtnemo.checkpoint.format.codecs import decode_fp8, decode_nvfp4
from trtnemo.kernels.fragments import pack_fp8, pack_nvfp4, pack_scales
from trtnemo.kernels.tiles import FP8, NVFP4, PLAIN, weight_tile

DRAW = np.random.default_rng(0)


@triton.jit
def _store(out_ptr, words_ptr, scales_ptr, steps, COLUMNS: tl.constexpr, FORMAT: tl.constexpr, WGMMA: tl.constexpr):
    tile, step = tl.program_id(0), tl.program_id(1)
    values = weight_tile(words_ptr, scales_ptr, tile, step, steps, COLUMNS, FORMAT, WGMMA)
    row, column = tl.arange(0, 64), tl.arange(0, COLUMNS)
    place = (tile * 64 + row)[:, None] * (steps * COLUMNS) + (step * COLUMNS + column)[None, :]
    tl.store(out_ptr + place, values)


def tiles_of(weight: Any, scales: Any, rows: int, columns: int, form: Any, family: str) -> Any:
    width = 128 if columns % 128 == 0 else 64
    out = torch.full((rows, columns), float("nan"))
    grid = (rows // 64, columns // width)
    _store[grid](out, weight, scales, columns // width, width, form, family == "wgmma")
    return out.numpy()


@pytest.mark.parametrize("columns", [64, 128, 192, 384])
@pytest.mark.parametrize("family", ["wgmma", "mma"])
def test_tiles_of_quantized_weights_are_their_values(columns: int, family: Any) -> None:
    codes = DRAW.integers(0, 256, (128, columns // 2), np.uint8)
    scales = DRAW.integers(0, 0x7F, (128, columns // 16), np.uint8)
    words = pack_nvfp4(torch.from_numpy(codes), family)
    found = tiles_of(words, pack_scales(torch.from_numpy(scales), columns), 128, columns, NVFP4, family)
    assert np.array_equal(found * np.float32(2.0**8), decode_nvfp4(codes, scales, np.float32(1)))
    codes = DRAW.integers(0, 0x7F, (128, columns), np.uint8) | (DRAW.integers(0, 2, (128, columns), np.uint8) << 7)
    words = pack_fp8(torch.from_numpy(codes), family)
    found = tiles_of(words, words, 128, columns, FP8, family)
    assert np.array_equal(found * np.float32(2.0**120), decode_fp8(codes, np.float32(1)))


def test_tiles_of_plain_weights_are_their_values() -> None:
    weight = torch.randn(128, 192).bfloat16()
    assert np.array_equal(tiles_of(weight, weight, 128, 192, PLAIN, "mma"), weight.float().numpy())
