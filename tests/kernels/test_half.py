"""Stochastic rounding to float16."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import triton
import triton.language as tl

from trtnemo.kernels.half import rounded_half


@triton.jit
def round_kernel(x_ptr, out_ptr, seed, position, BLOCK: tl.constexpr):
    element = tl.arange(0, BLOCK)
    tl.store(out_ptr + element, rounded_half(tl.load(x_ptr + element), seed, element, position, 3))


def rounded(x: Any, position: int = 7, seed: int = 1) -> Any:
    out = torch.empty_like(x)
    round_kernel[(1,)](x, out, seed, position, BLOCK=len(x))
    return out


@pytest.mark.parametrize("number", [1.0003, -3.14159, 2.0**-16 * 1.37, 1e-9, 60000.3])
def test_the_mean_of_many_roundings_is_the_number(number: float) -> None:
    x = torch.full((1 << 16,), number)
    found = rounded(x)
    assert torch.equal(found, found.half().float())
    step = float(torch.nextafter(torch.tensor(abs(number)).half(), torch.tensor(1e5).half())) - abs(number)
    steps = {round(float(value), 12) for value in found.unique()}
    assert len(steps) <= 2  # the two numbers beside it, and no others
    tolerance = max(abs(step), 2.0**-24) * 4 / 256
    assert abs(found.double().mean().item() - number) < tolerance


def test_what_float16_holds_stays_and_what_it_does_not_is_its_largest() -> None:
    held = torch.tensor([0.0, 1.0, -2.5, 65504.0, 2.0**-24, -(2.0**-14), 1e6, -1e6])
    assert rounded(held).tolist() == [0.0, 1.0, -2.5, 65504.0, 2.0**-24, -(2.0**-14), 65504.0, -65504.0]


def test_what_is_drawn_belongs_to_seed_and_position() -> None:
    x = torch.rand(1024)
    assert torch.equal(rounded(x), rounded(x))
    assert not torch.equal(rounded(x), rounded(x, position=8))
    assert not torch.equal(rounded(x), rounded(x, seed=2))
