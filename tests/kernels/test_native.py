"""Rows in NVFP4 by experts in NVFP4: codes bit by bit, and sums beside torch's over the same rounded numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from trtnemo.backends.torch.rounding import round_nvfp4
from trtnemo.checkpoint import WeightFormat
from trtnemo.checkpoint.format.codecs import decode_nvfp4
from trtnemo.kernels.fragments import pack_nvfp4, pack_scales
from trtnemo.kernels.launch import Launcher
from trtnemo.kernels.weight import PackedWeight
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.latent_moe.reference import latent_moe
from trtnemo.plugins.latent_moe.triton.native import weight_bytes
from trtnemo.plugins.latent_moe.triton.run import Routes, quantize, run

CPU = torch.device("cpu")
DRAW = np.random.default_rng(0)


@triton.jit
def bytes_kernel(words_ptr, out_ptr, steps, TILES: tl.constexpr, COLUMNS: tl.constexpr):
    step = tl.program_id(1)
    found = weight_bytes(words_ptr, tl.program_id(0), step, steps, TILES, COLUMNS)
    row = tl.program_id(0) * TILES * 64 + tl.arange(0, TILES * 64)[:, None]
    byte = step * (COLUMNS // 2) + tl.arange(0, COLUMNS // 2)[None, :]
    tl.store(out_ptr + row * (steps * (COLUMNS // 2)) + byte, found)


@pytest.mark.parametrize(("tiles", "columns"), [(1, 128), (2, 128), (2, 64)])
def test_packed_codes_are_given_back_as_the_checkpoint_has_them(tiles: int, columns: int) -> None:
    steps = 1 if columns == 64 else 3
    codes = torch.from_numpy(DRAW.integers(0, 256, (128, steps * columns // 2), np.uint8))
    found = torch.empty_like(codes)
    bytes_kernel[(2 // tiles, steps)](pack_nvfp4(codes, "mma"), found, steps, TILES=tiles, COLUMNS=columns)
    assert torch.equal(found, codes)


@pytest.mark.parametrize("width", [64, 208])
def test_rows_are_rounded_as_torch_rounds_them(width: int) -> None:
    x = torch.randn(9, width) * torch.logspace(-3, 3, 9)[:, None]
    x[0, :16] = torch.tensor(
        [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0, -0.25, -0.75, -1.25, -1.75, -2.5, -3.5, -5.0, 0.0]
    )
    factors = torch.full((9,), 0.37)
    factors[0] = 1 / 448
    codes, scales, _ = quantize(Launcher(CPU, "mma"), x, width, factors)
    for row in range(9):
        found = decode_nvfp4(codes[row : row + 1].numpy(), scales[row : row + 1].numpy(), np.float32(factors[row]))
        assert torch.allclose(
            torch.from_numpy(np.array(found)), round_nvfp4(x[row : row + 1], float(factors[row])), rtol=1e-6
        )


def bank_of(experts: int, rows: int, width: int) -> tuple[PackedWeight, Any]:
    codes = DRAW.integers(0, 256, (experts, rows, width // 2), np.uint8)
    blocks = DRAW.integers(0x30, 0x40, (experts, rows, width // 16), np.uint8)
    factors = DRAW.uniform(0.005, 0.02, experts).astype(np.float32)
    values = [decode_nvfp4(*part) for part in zip(codes, blocks, factors, strict=True)]
    words = torch.stack([pack_nvfp4(torch.from_numpy(part), "mma") for part in codes])
    scales = torch.stack([pack_scales(torch.from_numpy(part), width) for part in blocks])
    scale = torch.from_numpy(factors)[:, None].repeat(1, rows // 64)
    packed = PackedWeight(WeightFormat.NVFP4, rows, width, words, scales, scale)
    return packed, torch.from_numpy(np.stack(values))


@pytest.mark.parametrize("tiles", [1, 2])
def test_experts_multiply_rounded_rows(tiles: int) -> None:
    op = LatentMoe(experts=4, top_k=2, width=128, inner=128, groups=1, top_groups=1, normalize=True, scaling_factor=1.0)
    up, up_values = bank_of(4, 128, 128)
    down, down_values = bank_of(4, 128, 128)
    launch = Launcher(CPU, "mma", fp4_tiles=tiles, has_prompt=True)
    rows, logits, bias = torch.randn(20, 128), torch.randn(20, 4), torch.zeros(4)
    routes = Routes(launch, op, logits, bias)
    routes.find()
    found = run(launch, op, routes, rows, None, up, down, torch.float32).reshape(20, 2, -1).sum(1)
    assert launch.counts["native_kernel"] == 2

    def rounded(x: Any) -> Any:
        factors = x.abs().amax(1).clamp(min=1e-30) / 2688
        return torch.cat([round_nvfp4(row[None], float(factor)) for row, factor in zip(x, factors, strict=True)])

    expected = latent_moe(
        op, logits, rows, bias, lambda e, x: rounded(x) @ up_values[e].T, lambda e, x: rounded(x) @ down_values[e].T
    )
    assert (found - expected).abs().max() < 2e-2 * expected.abs().max()  # a sum beside a tie rounds the other way
    exact = latent_moe(op, logits, rows, bias, lambda e, x: x @ up_values[e].T, lambda e, x: x @ down_values[e].T)
    assert (found - expected).abs().mean() < 0.1 * (found - exact).abs().mean()


@pytest.mark.parametrize(("count", "has_prompt"), [(3, True), (20, False)])
def test_rows_of_few_and_of_decoding_steps_stay_as_they_are(count: int, has_prompt: bool) -> None:
    op = LatentMoe(experts=4, top_k=2, width=128, inner=128, groups=1, top_groups=1, normalize=True, scaling_factor=1.0)
    launch = Launcher(CPU, "mma", fp4_tiles=1, has_prompt=has_prompt)
    routes = Routes(launch, op, torch.randn(count, 4), torch.zeros(4))
    routes.find()
    run(
        launch,
        op,
        routes,
        torch.randn(count, 128),
        None,
        bank_of(4, 128, 128)[0],
        bank_of(4, 128, 128)[0],
        torch.float32,
    )
    assert "native_kernel" not in launch.counts
