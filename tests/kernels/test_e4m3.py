"""E4M3 by whole numbers, beside torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import triton
import triton.language as tl

from trtnemo.kernels.e4m3 import from_e4m3, to_e4m3


@triton.jit
def round_kernel(x_ptr, codes_ptr, back_ptr, BLOCK: tl.constexpr):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    codes = to_e4m3(tl.load(x_ptr + place))
    tl.store(codes_ptr + place, codes)
    tl.store(back_ptr + place, from_e4m3(codes))


def rounded(x: Any) -> tuple[Any, Any]:
    codes, back = torch.empty(len(x), dtype=torch.uint8), torch.empty(len(x))
    round_kernel[(1,)](x, codes, back, BLOCK=len(x))
    return codes, back


def numbers(kind: str) -> Any:
    every = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).float()
    codes = every[~every.isnan()].sort().values
    middle = (codes[1:] + codes[:-1]) / 2  # ties
    sizes = 2.0 ** torch.arange(-12, 10).repeat(94)[:2048]
    random = torch.randn(2048, generator=torch.Generator().manual_seed(0)) * sizes
    ends = torch.tensor([448.0, -448.0, 2.0**-10, 0.0])
    given = {"codes": codes, "ties": middle, "random": random, "ends": ends}[kind]
    filled = torch.zeros(1 << (len(given) - 1).bit_length())
    filled[: len(given)] = given.clamp(-448, 448)
    return filled


@pytest.mark.parametrize("kind", ["codes", "ties", "random", "ends"])
def test_numbers_become_the_codes_that_torch_gives(kind: str) -> None:
    x = numbers(kind)
    codes, back = rounded(x)
    expected = x.to(torch.float8_e4m3fn)
    assert torch.equal(codes, expected.view(torch.uint8))
    assert torch.equal(back, expected.float())


def test_what_is_beyond_448_stays_there_and_no_number_is_told_apart() -> None:
    codes, _ = rounded(torch.tensor([500.0, -1e30, float("inf"), float("nan")]))
    assert codes.tolist() == [0x7E, 0xFE, 0x7E, 0x7F]
