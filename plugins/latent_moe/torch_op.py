"""`torch.ops.trtnemo.latent_moe`: the kernels as an op of torch, for models of other programs (docs/torch-ops.md)."""

from __future__ import annotations

import torch
from torch import Tensor

from trtnemo.checkpoint import WeightFormat
from trtnemo.kernels.outside.given import ROWS, require_given
from trtnemo.kernels.outside.launchers import launcher_for
from trtnemo.kernels.weight import CODE, PackedWeight
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.latent_moe.triton.run import Routes, run

_FORMATS = {code: weight_format for weight_format, code in CODE.items()}


@torch.library.custom_op("trtnemo::latent_moe", mutates_args=())
def latent_moe(
    rows: Tensor,
    logits: Tensor,
    correction_bias: Tensor,
    up_words: Tensor,
    up_scales: Tensor,
    up_scale: Tensor,
    down_words: Tensor,
    down_scales: Tensor,
    down_scale: Tensor,
    inner: int,
    up_format: int,
    down_format: int,
    top_k: int,
    groups: int,
    top_groups: int,
    normalize: bool,
    scaling_factor: float,
) -> Tensor:
    """Return each row's weighted sum over its experts [rows, width] in float32, summed in ascending order of expert.

    rows: [rows, width]; logits: [rows, experts] in float32; the banks as `kernels/weight.py` packs them, with formats
    0 (bfloat16), 1 (FP8) and 2 (NVFP4).
    """
    require_given({"rows": rows}, ROWS, rows)
    require_given({"logits": logits, "correction_bias": correction_bias}, (torch.float32,), rows)
    banks = {"up_words": up_words, "up_scales": up_scales, "down_words": down_words, "down_scales": down_scales}
    require_given(banks, tuple({words.dtype for words in banks.values()}), rows)
    require_given({"up_scale": up_scale, "down_scale": down_scale}, (torch.float32,), rows)
    if rows.ndim != 2 or logits.shape != (len(rows), len(correction_bias)):
        raise ValueError(f"rows {tuple(rows.shape)} and logits {tuple(logits.shape)} do not go together")
    width, experts = rows.shape[1], len(correction_bias)
    op = LatentMoe(
        experts=experts,
        top_k=top_k,
        width=width,
        inner=inner,
        groups=groups,
        top_groups=top_groups,
        normalize=normalize,
        scaling_factor=scaling_factor,
    )
    up = _bank(up_format, inner, width, up_words, up_scales, up_scale)
    down = _bank(down_format, width, inner, down_words, down_scales, down_scale)
    launch = launcher_for(rows.device)
    routes = Routes(launch, op, logits, correction_bias)
    routes.find()
    between = torch.float32 if rows.device.type == "cpu" else torch.bfloat16
    found = run(launch, op, routes, rows, None, up, down, between)
    return found.reshape(len(rows), top_k, down.rows)[:, :, :width].sum(1)


@latent_moe.register_fake
def _(rows: Tensor, *rest: object) -> Tensor:
    return rows.new_empty(rows.shape, dtype=torch.float32)


def _bank(code: int, rows: int, width: int, words: Tensor, scales: Tensor, scale: Tensor) -> PackedWeight:
    """Return a bank; raises ValueError on a format that there is not."""
    if code not in _FORMATS:
        raise ValueError(f"{code} is no format of weights: 0 is bfloat16, 1 FP8, 2 NVFP4")
    kind: WeightFormat = _FORMATS[code]
    return PackedWeight(kind, -(-rows // 64) * 64, width, words, scales, scale)
