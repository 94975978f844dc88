"""Activation rounding against ModelOpt's classes and torch's float8."""

from __future__ import annotations

import warnings

import torch

from trtnemo.backends.torch.rounding import project, round_fp8, round_nvfp4
from trtnemo.backends.torch.weights import Weight
from trtnemo.checkpoint import WeightFormat

X = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))


def test_nvfp4_rounding_equals_modelopt_under_a_static_global_scale() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from modelopt.torch.quantization.qtensor import NVFP4QTensor

        scale = torch.tensor(0.002)
        tensor, block_scale, _ = NVFP4QTensor.quantize(X.clone(), 16, weights_scaling_factor_2=scale)
        expected = tensor.dequantize(scale=block_scale, double_scale=scale, block_sizes={-1: 16}, dtype=torch.float32)
    assert torch.equal(round_nvfp4(X, 0.002), expected)


def test_fp8_rounding_saturates_and_rounds_like_torch() -> None:
    found = round_fp8(X * 100, 0.1)
    expected = (X * 100 / 0.1).clamp(-448, 448).to(torch.float8_e4m3fn).float() * 0.1
    assert torch.equal(found, expected)
    assert found.abs().max() <= 44.81


def test_weight_only_rounds_no_activation_and_the_native_modes_do() -> None:
    values = torch.randn(8, 64, generator=torch.Generator().manual_seed(1))
    exact = X @ values.T
    weight = Weight(values, WeightFormat.NVFP4, input_scale=0.002)
    assert torch.allclose(project(X, weight, "weight_only"), exact, atol=1e-5)
    assert torch.allclose(project(X, weight, "w4a4"), round_nvfp4(X, 0.002) @ values.T, atol=1e-5)
    assert torch.allclose(project(X, weight, "w8a8"), round_fp8(X, 0.002) @ values.T, atol=1e-5)
    assert not torch.allclose(project(X, weight, "w4a4"), exact, atol=1e-2)
