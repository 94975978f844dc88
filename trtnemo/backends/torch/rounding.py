"""Activations rounded to the weight's own format, as W4A4 and W8A8 products see them."""

from __future__ import annotations

import torch
from torch import Tensor

from trtnemo.backends.torch.weights import Weight
from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE
from trtnemo.graph.ops import Compute

_BOUNDS = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0])
_VALUES = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
_ODD_BOUNDS = _BOUNDS[1::2]


def project(x: Tensor, weight: Weight, compute: Compute) -> Tensor:
    """Return x times the transposed weight, x rounded first where `compute` says so."""
    if weight.heard is not None:
        weight.heard(x)
    if compute == "w8a8" and weight.input_scale is not None:
        x = round_fp8(x, weight.input_scale)
    elif compute == "w4a4" and weight.input_scale is not None:
        x = round_nvfp4(x, weight.input_scale)
    return torch.nn.functional.linear(x, weight.values)


def round_fp8(x: Tensor, input_scale: float) -> Tensor:
    """Return x rounded to E4M3 with a static scale."""
    return (x / input_scale).clamp(-448, 448).to(torch.float8_e4m3fn).float() * input_scale


def round_nvfp4(x: Tensor, input_scale: float) -> Tensor:
    """Return x rounded to E2M1 with E4M3 scales per block of 16, found by maximum under a static global scale."""
    blocks = x.reshape(*x.shape[:-1], -1, BLOCK_SIZE)
    largest = blocks.abs().amax(-1, keepdim=True)
    block_scale = (largest / (6 * input_scale)).clamp(2**-9, 448).to(torch.float8_e4m3fn).float() * input_scale
    scaled = blocks / block_scale
    magnitude = scaled.abs()
    codes = torch.searchsorted(_BOUNDS, magnitude) + torch.isin(magnitude, _ODD_BOUNDS)
    return (torch.copysign(_VALUES[codes], scaled) * block_scale).reshape(x.shape)
