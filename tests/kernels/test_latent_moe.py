"""latent_moe's kernels, interpreted, over odd shapes: routing alone and beside a product, blocks of few and of many."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trtnemo.checkpoint import WeightFormat
from trtnemo.graph import ParameterSpec
from trtnemo.kernels.launch import Launcher
from trtnemo.kernels.weight import PackedWeight, empty_weight
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.latent_moe.reference import latent_moe, route
from trtnemo.plugins.latent_moe.triton.run import Routes, RowNorm, run

CPU = torch.device("cpu")
# experts, top_k, width, inner, groups, top_groups, rows
SHAPES = [
    (1, 1, 16, 8, 1, 1, 1),
    (8, 3, 64, 24, 1, 1, 5),
    (7, 7, 33, 9, 1, 1, 40),
    (32, 22, 16, 40, 1, 1, 60),
    (12, 4, 20, 8, 4, 2, 17),
    (512, 22, 24, 20, 1, 1, 4),
]


def bank_of(values: Any) -> PackedWeight:
    experts, rows, width = values.shape
    packed = empty_weight(ParameterSpec(name="w.weight", shape=(rows, width), copies=experts), CPU)
    words = torch.zeros(packed.words.shape)
    words[:, :rows, :width] = values
    return PackedWeight(WeightFormat.PLAIN, packed.rows, width, words, packed.scales, torch.ones(packed.scale.shape))


def case(shape: Any) -> Any:
    experts, top_k, width, inner, groups, top_groups, rows = shape
    draw = torch.Generator().manual_seed(1)

    def numbers(*size: int) -> Any:
        return torch.randn(*size, generator=draw)

    op = LatentMoe(
        experts=experts, top_k=top_k, width=width, inner=inner, groups=groups, top_groups=top_groups, normalize=True,
        scaling_factor=2.5,
    )  # fmt: skip
    up, down = numbers(experts, inner, width) * width**-0.5, numbers(experts, width, inner) * inner**-0.5
    return op, numbers(rows, experts), numbers(rows, width), numbers(experts) * 0.3, up, down


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_sum_over_a_rows_experts_equals_the_reference(shape: Any) -> None:
    op, logits, rows, bias, up, down = case(shape)
    launch, weight = Launcher(CPU, "mma"), torch.linspace(0.5, 1.5, op.width)
    routes = Routes(launch, op, logits, bias)
    routes.find()
    picked, weights = route(op, logits, bias)
    order = picked.argsort(dim=1)
    assert torch.equal(routes.picks.long(), picked.gather(1, order))
    assert torch.allclose(routes.weights, weights.gather(1, order))
    normed = rows * torch.rsqrt(rows.square().mean(-1, keepdim=True) + 1e-5) * weight
    expected = latent_moe(op, logits, normed, bias, lambda e, x: x @ up[e].T, lambda e, x: x @ down[e].T)
    parts = run(launch, op, routes, rows, RowNorm(weight, 1e-5), bank_of(up), bank_of(down), torch.float32)
    found = parts.reshape(len(rows), op.top_k, -1).sum(1)[:, : op.width]
    assert torch.allclose(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_blocks_hold_every_pair_once_and_one_expert_each(shape: Any) -> None:
    op, logits, _, bias, _, _ = case(shape)
    routes = Routes(Launcher(CPU, "mma"), op, logits, bias)
    routes.blocks.fill_(7)  # what is left unwritten would be seen
    routes.find()
    seen = []
    for expert, first, count, _ in routes.blocks.tolist():
        pairs = routes.order[first : first + count].tolist()
        assert all(routes.picks.reshape(-1)[pair] == expert for pair in pairs)
        assert count <= routes.size
        seen += pairs
    assert sorted(seen) == list(range(routes.picks.numel()))


def test_of_two_equal_experts_the_lower_is_picked() -> None:
    op, logits, _, bias, _, _ = case(SHAPES[1])
    routes = Routes(Launcher(CPU, "mma"), op, torch.zeros_like(logits), torch.zeros_like(bias))
    routes.find()
    assert routes.picks.tolist() == [[0, 1, 2]] * len(logits)


def test_logits_that_are_no_numbers_pick_experts_that_are_there() -> None:
    op, logits, _, bias, _, _ = case(SHAPES[1])
    routes = Routes(Launcher(CPU, "mma"), op, torch.full_like(logits, float("nan")), bias)
    routes.picks.fill_(99)
    routes.find()
    assert routes.picks.tolist() == [[0, 1, 2]] * len(logits)
    assert routes.weights.isnan().all()


def test_the_lock_of_the_routes_is_left_at_zero() -> None:
    op, logits, _, bias, _, _ = case(SHAPES[1])
    launch = Launcher(CPU, "mma")
    for _ in range(2):
        Routes(launch, op, logits, bias).find()
    assert not launch.lock().any()
