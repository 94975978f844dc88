"""Both plugins' ops beside their references, and tokens drawn on a device beside the host's sampler."""

from __future__ import annotations

from typing import Any

import torch

from trtnemo.backends.draw import Draw
from trtnemo.graph import ParameterSpec


def mamba2_difference(device: torch.device) -> float:
    """Return the worst difference over a prompt and the tokens behind it, in parts of the largest number."""
    from trtnemo.plugins.mamba2.op import Mamba2
    from trtnemo.plugins.mamba2.reference import initial_state, mamba2
    from trtnemo.plugins.mamba2.torch_op import mamba2 as on_device

    op = Mamba2(heads=8, head_dim=40, groups=8, state_size=23, kernel=4, epsilon=1e-5)
    draw = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    parameters = {
        "conv_weight": numbers(op.channels, 1, 4) * 0.5,
        "conv_bias": numbers(op.channels) * 0.1,
        "A_log": torch.log(1 + 15 * torch.rand(8, generator=draw)),
        "D": numbers(8),
        "dt_bias": numbers(8) - 2,
        "norm_weight": 1 + 0.1 * numbers(op.inner),
    }
    rows = numbers(44, op.input_width)
    expected = mamba2(op, rows, parameters, initial_state(op))[0]
    here = {name: value.to(device) for name, value in parameters.items()}
    states = torch.zeros(2, 8, 40, 23, device=device), torch.zeros(2, 32, op.channels + 8, device=device)
    conv = here["conv_weight"].reshape(op.channels, 4).contiguous()
    vectors = [here[name] for name in ("conv_bias", "A_log", "D", "dt_bias", "norm_weight")]
    found = []
    for start, count in ((0, 37), (37, 1), (38, 4), (42, 2)):
        table = torch.tensor([[1, 0, count, start, 0, 0, count, 0]], dtype=torch.int32, device=device)
        few, many = (table, table[:0]) if count <= 8 else (table[:0], table)
        mine = rows[start : start + count].to(device)
        found.append(on_device(mine, few, many, *states, conv, *vectors, 8, 1e-5).cpu())
    return _relative(torch.cat(found), expected)


def latent_moe_difference(device: torch.device) -> float:
    """Return the worst difference for a few rows and for many."""
    from trtnemo.kernels.weight import empty_weight
    from trtnemo.plugins.latent_moe.op import LatentMoe
    from trtnemo.plugins.latent_moe.reference import latent_moe
    from trtnemo.plugins.latent_moe.torch_op import latent_moe as on_device

    sizes = {"experts": 32, "top_k": 22, "width": 128, "inner": 192, "groups": 1, "top_groups": 1}
    op = LatentMoe(normalize=True, scaling_factor=2.5, **sizes)
    draw, banks, values = torch.Generator().manual_seed(1), [], []
    for shape in ((192, 128), (128, 192)):
        value = (torch.randn(32, *shape, generator=draw) * shape[1] ** -0.5).bfloat16()
        packed = empty_weight(ParameterSpec(name="w.weight", shape=shape, copies=32), device)
        words = torch.zeros(packed.words.shape, dtype=torch.bfloat16 if device.type == "cuda" else torch.float32)
        words[:, : shape[0], : shape[1]] = value
        banks += [words.to(device), packed.scales, torch.ones(packed.scale.shape, device=device)]
        values.append(value.float())
    up, down = values
    worst = 0.0
    for count in (3, 40):
        rows, logits, bias = (torch.randn(*size, generator=draw) for size in ((count, 128), (count, 32), (32,)))
        expected = latent_moe(op, logits, rows, bias, lambda e, x: x @ up[e].T, lambda e, x: x @ down[e].T)
        given = [part.to(device) for part in (rows, logits, bias)]
        found = on_device(*given, *banks, 192, 0, 0, 22, 1, 1, True, 2.5)
        worst = max(worst, _relative(found.cpu(), expected))
    return worst


def draws_are_the_hosts(device: torch.device) -> bool:
    """Return whether a device draws the tokens that the host's sampler draws, by several rules."""
    from trtnemo.backends.cuda.steps.draw import draw_rows
    from trtnemo.kernels.outside.launchers import launcher_for
    from trtnemo.runtime.sampler import draw
    from trtnemo.runtime.sampling_params import SamplingParams

    logits = torch.randn(6, 131072 if device.type == "cuda" else 1500, generator=torch.Generator().manual_seed(2)) * 6
    rules: list[dict[str, Any]] = [
        {"temperature": 0.0},
        {"temperature": 1.0},
        {"temperature": 0.6, "top_p": 0.95},
        {"temperature": 0.7, "top_k": 20, "top_p": 0.8},
        {"temperature": 1.0, "min_p": 0.1},
        {"temperature": 0.3, "top_k": 1},
    ]
    draws = [Draw(seed=2**61 + row, place=row, **rule) for row, rule in enumerate(rules)]
    found = draw_rows(launcher_for(device), logits.to(device), draws).tolist()
    expected = [
        draw(row.numpy(), SamplingParams(**rule), one.seed, one.place)
        for row, rule, one in zip(logits, rules, draws, strict=True)
    ]
    return bool(found == expected)


def _relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())
