"""What torch's own kernels do for many rows, beside the kernels of few rows and beside the definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trtnemo.backends.cuda import library
from trtnemo.backends.cuda.product import Factor, multiply
from trtnemo.kernels.launch import Launcher

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", ["mma", "wgmma"])
@pytest.mark.parametrize("form", ["bf16", "fp8", "nvfp4"])
def test_many_rows_give_what_few_do(make_weight: Any, form: str, family: Any) -> None:
    weight, values = make_weight(form, family)
    launch = Launcher(CPU, family)
    x = torch.randn(70, weight.width, generator=torch.Generator().manual_seed(1))
    found = library.product(launch, x, weight)
    expected = x.double() @ values.double().T
    assert (found[:, : len(values)] - expected).abs().max() < 1e-5 * expected.abs().max()
    few = multiply(launch, Factor(x[:3], weight))
    assert (found[:3] - few).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("form", ["fp8", "nvfp4"])
def test_a_weight_without_its_factor_is_exact_in_bfloat16(make_weight: Any, form: str) -> None:
    weight, values = make_weight(form, "mma")
    found = library.unpacked(Launcher(CPU, "mma"), weight, torch.float32)
    assert torch.equal(found.bfloat16().float(), found)
    assert torch.allclose((found * weight.scale.repeat_interleave(64)[:, None])[: len(values)], values, rtol=1e-6)


@pytest.mark.parametrize("family", ["mma", "wgmma"])
def test_rows_in_fp8_meet_the_codes_of_the_checkpoint(make_weight: Any, family: Any) -> None:
    weight, values = make_weight("fp8", family)
    launch = Launcher(CPU, family, fp8_rows=True, has_prompt=True)
    codes = library.fp8_codes(launch, weight).view(torch.float8_e4m3fn).float()
    assert torch.equal((codes * weight.scale.repeat_interleave(64)[:, None])[: len(values)], values)
    x = torch.randn(70, weight.width, generator=torch.Generator().manual_seed(1))
    factors = x.abs().amax(1, keepdim=True) / 448
    rounded = (x / factors).to(torch.float8_e4m3fn).double() * factors
    expected = rounded @ values.double().T
    found = library.product(launch, x, weight)
    assert (found[:, : len(values)] - expected).abs().max() < 1e-5 * expected.abs().max()
    plain = library.product(Launcher(CPU, family, fp8_rows=True), x, weight)  # of a step that decodes
    assert 0 < (found - plain).abs().max() < 0.1 * plain.abs().max()


def test_a_product_of_many_rows_takes_everything_that_may_be_fused_to_one_of_few(make_weight: Any) -> None:
    launch, weight = Launcher(CPU, "mma"), make_weight("nvfp4", "mma")[0]
    x, other, residual = (torch.randn(70, width) for width in (weight.width, weight.width, 60))
    index = torch.arange(69, -1, -1)
    both = multiply(launch, Factor(x, weight), second=Factor(other, weight), residual=residual)
    parts = [multiply(launch, Factor(part[:16], weight)) for part in (x, other)]
    assert torch.allclose(both[:16, :60], (parts[0] + parts[1])[:, :60] + residual[:16], atol=1e-4)
    squared = multiply(launch, Factor(x, weight), relu2=True, index=index)
    assert torch.allclose(squared[-16:].flip(0), torch.relu(parts[0]).square(), atol=1e-4)


@pytest.mark.parametrize(("rows", "tokens"), [(9, 9), (9, 40), (1, 5)])
def test_the_last_rows_of_a_sequence_see_all_before_them(rows: int, tokens: int) -> None:
    draw = torch.Generator().manual_seed(tokens)
    q = torch.randn(rows, 4, 16, generator=draw)
    keys, values = (torch.randn(tokens, 2, 16, generator=draw) for _ in range(2))
    found = library.attention(q, keys, values)
    wide = [part.repeat_interleave(2, dim=1) for part in (keys, values)]
    scores = torch.einsum("thd,shd->hts", q, wide[0]) / 4
    seen = torch.arange(tokens)[None, :] <= torch.arange(tokens - rows, tokens)[:, None]
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
    assert torch.allclose(found, torch.einsum("hts,shd->thd", weights, wide[1]), atol=1e-5)
