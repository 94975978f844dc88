"""Codes packed into fragments, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trtnemo.kernels.family import family_of, tile_columns
from trtnemo.kernels.fragments import pack_fp8, pack_nvfp4, unpack_fp8, unpack_nvfp4

SHAPES = st.tuples(st.integers(1, 200), st.integers(1, 20).map(lambda blocks: 16 * blocks))
FAMILIES = st.sampled_from(["wgmma", "mma"])


@given(SHAPES, FAMILIES, st.integers(0, 2**32 - 1))
def test_packed_codes_come_back_bit_by_bit(shape: Any, family: Any, seed: int) -> None:
    rows, columns = shape
    draw = np.random.default_rng(seed)
    widths = (columns // 2, columns)
    four, eight = (torch.from_numpy(draw.integers(0, 256, (rows, width), np.uint8)) for width in widths)
    assert torch.equal(unpack_nvfp4(pack_nvfp4(four, family), rows, columns, family), four)
    assert torch.equal(unpack_fp8(pack_fp8(eight, family), rows, columns, family), eight)


@pytest.mark.parametrize("family", ["wgmma", "mma"])
def test_what_fills_the_last_tile_is_zero(family: Any) -> None:
    ones = torch.full((3, 8), 0x11, dtype=torch.uint8)
    words = pack_nvfp4(ones, family)
    assert words.shape == (1, 1, 8 * 64)
    assert torch.count_nonzero(unpack_nvfp4(words, 64, 64, family)) == ones.numel()


@pytest.mark.parametrize(("columns", "width"), [(16, 64), (64, 64), (96, 128), (128, 128), (1856, 64), (2688, 128)])
def test_a_tile_is_as_wide_as_leaves_least_empty(columns: int, width: int) -> None:
    assert tile_columns(columns) == width


def test_hopper_takes_weights_in_one_order_and_all_others_in_another() -> None:
    assert family_of((9, 0)) == "wgmma"
    assert {family_of(capability) for capability in ((8, 0), (8, 9), (10, 0), (10, 3), (12, 0), (12, 1))} == {"mma"}
