"""Products and attention of many rows, by torch's own kernels: what a prompt's time goes into."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right

from trtnemo.backends.cuda.kernels.product import codes_kernel, unpack_kernel
from trtnemo.checkpoint import WeightFormat
from trtnemo.checkpoint.format.codecs import E4M3_MAX
from trtnemo.kernels.launch import Launcher
from trtnemo.kernels.weight import PackedWeight

MOST_ROWS = 64  # beyond which a library multiplies faster than the kernel of few rows, whatever the format


def product(launch: Launcher, x: Tensor, weight: PackedWeight) -> Tensor:
    """Return x [rows, width] times a weight, in float32 [rows, the weight's rows].

    On a device x is rounded to bfloat16, where the weight is not in float32; to FP8 where the launcher says so and the
    weight is in FP8.
    """
    if launch.fp8_rows and launch.has_prompt and weight.format is WeightFormat.FP8:
        return _multiply_fp8(launch, x, weight)
    has_float32 = weight.format is WeightFormat.PLAIN and weight.words.dtype is torch.float32
    kind = torch.float32 if has_float32 or launch.device.type == "cpu" else torch.bfloat16
    found = _multiply(x.to(kind), unpacked(launch, weight, kind))
    return found if weight.format is WeightFormat.PLAIN else found * weight.scale.repeat_interleave(64)


def unpacked(launch: Launcher, weight: PackedWeight, kind: torch.dtype) -> Tensor:
    """Return a weight [rows, width] without the factor of each tile of 64 rows; exact in bfloat16."""
    if weight.format is WeightFormat.PLAIN:
        return weight.words[:, : weight.width].to(kind)
    out = torch.empty(weight.rows, weight.width, dtype=kind, device=launch.device)
    launch(
        unpack_kernel, (weight.rows // 64, -(-weight.width // weight.columns)), weight.words, weight.scales, out,
        weight.width, COLUMNS=weight.columns, FORMAT=weight.code, WGMMA=launch.is_wgmma, num_warps=4,
    )  # fmt: skip
    return out


def fp8_codes(launch: Launcher, weight: PackedWeight) -> Tensor:
    """Return a weight's E4M3 codes [rows, width]."""
    out = torch.empty(weight.rows, weight.width, dtype=torch.uint8, device=launch.device)
    launch(
        codes_kernel, (weight.rows // 64, -(-weight.width // weight.columns)), weight.words, out, weight.width,
        COLUMNS=weight.columns, WGMMA=launch.is_wgmma, num_warps=4,
    )  # fmt: skip
    return out


def attention(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return causal attention [rows, heads, head_dim] of the last rows of a sequence.

    q: [rows, heads, head_dim]; keys, values: [tokens, kv_heads, head_dim], those of the rows at the end.
    """
    q, keys, values = (part.transpose(0, 1)[None] for part in (q, keys, values))
    rows, tokens = q.shape[2], keys.shape[2]
    if rows == tokens:
        found = F.scaled_dot_product_attention(q, keys, values, is_causal=True, enable_gqa=True)
    else:
        mask = causal_lower_right(rows, tokens)
        found = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, enable_gqa=True)
    return found[0].transpose(0, 1)


def _multiply_fp8(launch: Launcher, x: Tensor, weight: PackedWeight) -> Tensor:
    """Return the product of rows that become E4M3, each with a factor of its own, and a weight's codes."""
    x = x.float()
    factors = x.abs().amax(1, keepdim=True).clamp(min=1e-30) / float(E4M3_MAX)
    rows: Tensor = (x / factors).to(torch.float8_e4m3fn)
    codes, one = fp8_codes(launch, weight).view(torch.float8_e4m3fn), torch.ones((), device=x.device)
    if launch.device.type == "cpu":
        found = rows.float() @ codes.float().T
    else:
        found = torch._scaled_mm(rows, codes.T, scale_a=one, scale_b=one, out_dtype=torch.float32)
    return found * factors * weight.scale.repeat_interleave(64)


def _multiply(x: Tensor, weight: Tensor) -> Tensor:
    if x.dtype is torch.float32:
        return x @ weight.T
    return torch.mm(x, weight.T, out_dtype=torch.float32)  # sums are not rounded to bfloat16 on their way out
