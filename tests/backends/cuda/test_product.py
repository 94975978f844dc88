"""Products of every format, with what is fused in front and behind, interpreted beside torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from trtnemo.backends.cuda.product import Factor, Norm, multiply
from trtnemo.backends.torch.weights import load_weight
from trtnemo.checkpoint import Checkpoint, WeightFormat
from trtnemo.graph import ParameterSpec
from trtnemo.kernels.launch import Launcher
from trtnemo.kernels.weight import beside, empty_weight, read_weight

CPU = torch.device("cpu")
DRAW = torch.Generator().manual_seed(0)
BLOCK = "backbone.layers.1.mixer."
NAMES = {
    WeightFormat.FP8: f"{BLOCK}shared_experts.up_proj.weight",
    WeightFormat.NVFP4: f"{BLOCK}shared_experts.down_proj.weight",
    WeightFormat.PLAIN: f"{BLOCK}fc2_latent_proj.weight",
}


@pytest.fixture(params=["wgmma", "mma"])
def launch(request: Any) -> Launcher:
    return Launcher(CPU, request.param)


@pytest.fixture(scope="module")
def tiny() -> Checkpoint:
    return Checkpoint.open("tiny")


def weight_of(checkpoint: Checkpoint, form: WeightFormat, family: Any) -> Any:
    shape = checkpoint.tensors[NAMES[form]].shape
    columns = shape[1] * 2 if form is WeightFormat.NVFP4 else shape[1]
    spec = ParameterSpec(name=NAMES[form], shape=(shape[0], columns), format=form)
    return read_weight(checkpoint, spec, family), load_weight(checkpoint, spec).values


def rows_of(count: int, width: int) -> Any:
    return torch.randn(count, width, generator=DRAW)


def require_close(found: Any, expected: Any) -> None:
    found = found[:, : expected.shape[1]]
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("form", NAMES)
@pytest.mark.parametrize("rows", [1, 5, 33])
def test_a_norm_in_front_and_relu2_behind(tiny: Any, launch: Launcher, form: Any, rows: int) -> None:
    weight, values = weight_of(tiny, form, launch.family)
    x, norm = rows_of(rows, weight.width), rows_of(1, weight.width)[0]
    normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * norm
    found = multiply(launch, Factor(x, weight), norm=Norm(norm, 1e-5), relu2=True)
    require_close(found, torch.relu(normed @ values.T).square())


def test_norms_of_groups_come_with_their_squares(tiny: Any, launch: Launcher) -> None:
    weight, values = weight_of(tiny, WeightFormat.FP8, launch.family)
    x, norm = rows_of(3, 256), rows_of(1, 256)[0]
    squares = x.reshape(3, 2, 4, 32).square().sum(-1).contiguous()
    grouped = x.reshape(3, 2, 128)
    normed = (grouped * torch.rsqrt(grouped.square().mean(-1, keepdim=True) + 1e-5)).reshape(3, 256) * norm
    require_close(multiply(launch, Factor(x, weight), norm=Norm(norm, 1e-5, squares)), normed @ values.T)


def test_two_products_a_sum_and_a_residual_in_one(tiny: Any, launch: Launcher) -> None:
    first, values = weight_of(tiny, WeightFormat.PLAIN, launch.family)
    second, others = weight_of(tiny, WeightFormat.NVFP4, launch.family)
    parts, x, residual = rows_of(4 * 3, first.width), rows_of(3, second.width), rows_of(3, 256)
    found = multiply(launch, Factor(parts, first, summed=4), second=Factor(x, second), residual=residual)
    expected = parts.reshape(3, 4, -1).sum(1) @ values.T + x @ others.T + residual
    require_close(found, expected)


def test_a_token_has_the_same_bits_in_a_step_of_any_sixteen_rows(tiny: Any, launch: Launcher) -> None:
    weight, _ = weight_of(tiny, WeightFormat.NVFP4, launch.family)
    x, norm = rows_of(16, weight.width), Norm(rows_of(1, weight.width)[0], 1e-5)
    whole = multiply(launch, Factor(x, weight), norm=norm)
    for chosen in ([0], [15, 3], list(range(7))):
        index = torch.tensor(chosen)
        assert torch.equal(multiply(launch, Factor(x[index], weight), norm=norm), whole[index])
        assert torch.equal(multiply(launch, Factor(x, weight), norm=norm, index=index), whole[index])


def test_locks_of_split_sums_are_left_at_zero(launch: Launcher) -> None:
    weight = ParameterSpec(name="w.weight", shape=(64, 1024))
    packed = empty_weight(weight, CPU)
    packed.words.copy_(rows_of(64, 1024))
    packed.scale.fill_(1)
    x = rows_of(2, 1024)
    for _ in range(2):
        require_close(multiply(launch, Factor(x, packed)), x @ packed.words.float().T)
    assert not launch.split_room(1, 1)[1].any()


def test_weights_beside_each_other_keep_their_own_factors(tiny: Any, launch: Launcher) -> None:
    weight, values = weight_of(tiny, WeightFormat.FP8, launch.family)
    louder = type(weight)(weight.format, weight.rows, weight.width, weight.words, weight.scales, weight.scale * 3)
    x = rows_of(2, weight.width)
    found = multiply(launch, Factor(x, beside([weight, louder])))
    require_close(found, torch.cat([x @ values.T, x @ values.T * 3], dim=1))
    assert np.isfinite(found.numpy()).all()
