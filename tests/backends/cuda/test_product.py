"""Products of every format, with what is fused in front and behind, interpreted beside torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from trtnemo.backends.cuda.product import Factor, Norm, multiply, split_of
from trtnemo.backends.torch.weights import load_weight
from trtnemo.checkpoint import Checkpoint, WeightFormat
from trtnemo.checkpoint.format.codecs import decode_fp8, decode_nvfp4
from trtnemo.graph import ParameterSpec
from trtnemo.kernels.fragments import pack_fp8, pack_nvfp4, pack_scales
from trtnemo.kernels.launch import Launcher
from trtnemo.kernels.weight import PackedWeight, beside, empty_weight, read_weight
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.latent_moe.triton.run import Routes

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


def wide(form: WeightFormat, family: Any, columns: int = 1024) -> Any:
    """Return a weight [64, columns] of random codes, wide enough for its sums to be split, and its values."""
    draw = np.random.default_rng(columns)
    factor, scales = np.float32(0.02), torch.zeros(16, dtype=torch.uint8)
    if form is WeightFormat.PLAIN:
        words, factor = rows_of(64, columns).bfloat16(), np.float32(1)
        values = words.float()
    elif form is WeightFormat.FP8:
        codes = draw.integers(0, 0x7F, (64, columns), np.uint8)
        words, values = pack_fp8(torch.from_numpy(codes), family), torch.from_numpy(decode_fp8(codes, factor))
    else:
        codes, blocks = (
            draw.integers(0, most, (64, columns // width), np.uint8) for most, width in ((256, 2), (64, 16))
        )
        words, scales = pack_nvfp4(torch.from_numpy(codes), family), pack_scales(torch.from_numpy(blocks), columns)
        values = torch.from_numpy(np.array(decode_nvfp4(codes, blocks, factor)))
    return PackedWeight(form, 64, columns, words, scales, torch.full((1,), float(factor))), values


@pytest.mark.parametrize("form", NAMES)
def test_sums_that_are_split_take_norm_residual_and_a_second_product(launch: Launcher, form: Any) -> None:
    weight, values = wide(form, launch.family)
    other, others = wide(WeightFormat.NVFP4, launch.family, 640)
    assert split_of(1, 8) > 1
    x, second, residual = rows_of(5, 1024), rows_of(5, 640), rows_of(5, 64)
    norm = torch.linspace(0.5, 1.5, 1024)
    normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * norm
    require_close(
        multiply(launch, Factor(x, weight), norm=Norm(norm, 1e-5), residual=residual), normed @ values.T + residual
    )
    require_close(
        multiply(launch, Factor(x, weight), norm=Norm(norm, 1e-5), relu2=True), torch.relu(normed @ values.T).square()
    )
    both = multiply(launch, Factor(x, weight), second=Factor(second, other), residual=residual)
    require_close(both, x @ values.T + second @ others.T + residual)
    parts = rows_of(15, 1024)
    require_close(multiply(launch, Factor(parts, weight, summed=3)), parts.reshape(5, 3, -1).sum(1) @ values.T)
    squares = x.reshape(5, 4, 2, 128).square().sum(-1).contiguous()
    grouped = x.reshape(5, 4, 256)
    expected = (grouped * torch.rsqrt(grouped.square().mean(-1, keepdim=True) + 1e-5)).reshape(5, 1024) * norm
    require_close(multiply(launch, Factor(x, weight), norm=Norm(norm, 1e-5, squares)), expected @ values.T)


def test_routes_are_found_beside_a_product_that_is_split(launch: Launcher) -> None:
    weight, values = wide(WeightFormat.FP8, launch.family)
    op = LatentMoe(experts=40, top_k=5, width=32, inner=16, groups=1, top_groups=1, normalize=True, scaling_factor=2.0)
    logits, bias, x = rows_of(6, 40), rows_of(1, 40)[0], rows_of(6, 1024)
    alone, beside_it = (Routes(launch, op, logits, bias) for _ in range(2))
    alone.find()

    class Along:
        def prepare(self) -> None:
            pass

        def ride(self, grid: Any, arguments: Any, options: Any) -> None:
            assert grid[2] > 1
            beside_it.find_beside(grid, arguments, options)

    require_close(multiply(launch, Factor(x, weight), relu2=True, rider=Along()), torch.relu(x @ values.T).square())
    for name in ("picks", "weights", "order", "blocks"):
        found, expected = getattr(beside_it, name), getattr(alone, name)
        if name == "blocks":  # the last of a block's numbers is spare
            kept = expected[:, 2] > 0
            found, expected = found[kept, :3], expected[kept, :3]
        assert torch.equal(found, expected)
    assert not launch.lock().any()


@pytest.mark.parametrize("form", NAMES)
def test_a_token_has_the_same_bits_in_a_step_of_any_sixteen_rows(launch: Launcher, form: Any) -> None:
    weight, _ = wide(form, launch.family)
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
