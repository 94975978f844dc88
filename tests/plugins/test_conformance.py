"""Every implementation of every plugin over the same odd shapes, with carried state, against its naive reference.

The references themselves are compared with formulas of their own here, and with transformers in tests/backends.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.support.backends.native_op import run_native, single
from trtnemo import _native
from trtnemo.graph import ParameterSpec
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.latent_moe.reference import latent_moe, route
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.plugins.mamba2.reference import Mamba2State, initial_state, mamba2

MAMBA_SHAPES = [
    (1, 1, 1, 1, 2, 1),
    (4, 8, 2, 16, 4, 7),
    (6, 5, 3, 7, 3, 63),
    (8, 32, 8, 32, 4, 60),
    (2, 64, 1, 128, 4, 33),
]
MOE_SHAPES = [
    (1, 1, 16, 8, 1, 1, 1),
    (8, 3, 64, 24, 1, 1, 5),
    (7, 7, 33, 9, 1, 1, 63),
    (32, 22, 16, 40, 1, 1, 60),
    (12, 4, 20, 8, 4, 2, 17),
]


def generator(seed: Any) -> Any:
    return torch.Generator().manual_seed(seed)


def mamba_case(heads: Any, head_dim: Any, groups: Any, state: Any, kernel: Any, tokens: Any) -> Any:
    op = Mamba2(heads=heads, head_dim=head_dim, groups=groups, state_size=state, kernel=kernel, epsilon=1e-5)
    random = generator(0)

    def draw(*shape: Any) -> Any:
        return torch.randn(*shape, generator=random)

    parameters = {
        "conv_weight": draw(op.channels, 1, kernel) * 0.5,
        "conv_bias": draw(op.channels) * 0.1,
        "A_log": torch.log(1 + 15 * torch.rand(heads, generator=random)),
        "D": draw(heads),
        "dt_bias": draw(heads) - 2,
        "norm_weight": 1 + 0.1 * draw(op.inner),
    }
    state = Mamba2State(draw(kernel - 1, op.channels), draw(heads, head_dim, state))
    return op, draw(tokens, op.input_width), parameters, state


def mamba_by_definition(op: Any, projected: Any, parameters: Any, state: Any) -> Any:
    """The formulas with an index for everything, in float64."""
    double = {name: value.double() for name, value in parameters.items()}
    conv_state, ssm = state.conv_state_KC.double().clone(), state.ssm_state_HPN.double().clone()
    outputs = []
    for row in projected.double():
        z, current, dt_raw = row[: op.inner], row[op.inner : op.inner + op.channels], row[op.inner + op.channels :]
        window = torch.cat([conv_state, current[None]])
        mixed = (window * double["conv_weight"][:, 0, :].T).sum(0) + double["conv_bias"]
        mixed, conv_state = mixed / (1 + torch.exp(-mixed)), window[1:]
        y = torch.zeros(op.inner, dtype=torch.float64)
        for head in range(op.heads):
            group = head // (op.heads // op.groups)
            x = mixed[head * op.head_dim : (head + 1) * op.head_dim]
            b_start = op.inner + group * op.state_size
            c_start = op.inner + op.groups * op.state_size + group * op.state_size
            b, c = mixed[b_start : b_start + op.state_size], mixed[c_start : c_start + op.state_size]
            dt = torch.log1p(torch.exp(dt_raw[head] + double["dt_bias"][head]))
            ssm[head] = torch.exp(-dt * torch.exp(double["A_log"][head])) * ssm[head] + dt * torch.outer(x, b)
            y[head * op.head_dim : (head + 1) * op.head_dim] = ssm[head] @ c + double["D"][head] * x
        gated = (y * z / (1 + torch.exp(-z))).reshape(op.groups, -1)
        normed = gated / torch.sqrt((gated**2).mean(1, keepdim=True) + op.epsilon)
        outputs.append(normed.reshape(-1) * double["norm_weight"])
    return torch.stack(outputs).float(), Mamba2State(conv_state.float(), ssm.float())


@pytest.mark.parametrize("shape", MAMBA_SHAPES, ids=str)
def test_mamba2_reference_equals_its_definition(shape: Any) -> None:
    op, projected, parameters, state = mamba_case(*shape)
    found, found_state = mamba2(op, projected, parameters, state)
    expected, expected_state = mamba_by_definition(op, projected, parameters, state)
    assert torch.allclose(found, expected, atol=2e-4, rtol=1e-4)
    for ours, theirs in zip(found_state, expected_state, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", MAMBA_SHAPES, ids=str)
def test_mamba2_in_two_stretches_equals_one(shape: Any) -> None:
    op, projected, parameters, state = mamba_case(*shape)
    whole, whole_state = mamba2(op, projected, parameters, state)
    middle = len(projected) // 2
    first, carried = mamba2(op, projected[:middle], parameters, state)
    second, last_state = mamba2(op, projected[middle:], parameters, carried)
    assert torch.allclose(torch.cat([first, second]), whole, atol=1e-6)
    assert torch.allclose(last_state.ssm_state_HPN, whole_state.ssm_state_HPN, atol=1e-6)
    assert torch.equal(last_state.conv_state_KC, whole_state.conv_state_KC)


def test_mamba2_leaves_the_state_it_was_given_alone() -> None:
    op, projected, parameters, state = mamba_case(*MAMBA_SHAPES[1])
    before = Mamba2State(*(part.clone() for part in state))
    mamba2(op, projected, parameters, state)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(state, before, strict=True))


def test_mamba2_starts_from_zeros() -> None:
    op = mamba_case(*MAMBA_SHAPES[1])[0]
    for part, spec in zip(initial_state(op), op.states(), strict=True):
        assert part.shape == spec.shape
        assert not part.any()


def moe_case(experts: Any, top_k: Any, width: Any, inner: Any, groups: Any, top_groups: Any, tokens: Any) -> Any:
    op = LatentMoe(
        experts=experts,
        top_k=top_k,
        width=width,
        inner=inner,
        groups=groups,
        top_groups=top_groups,
        normalize=True,
        scaling_factor=2.5,
    )
    random = generator(1)

    def draw(*shape: Any) -> Any:
        return torch.randn(*shape, generator=random)

    up, down = draw(experts, inner, width) * width**-0.5, draw(experts, width, inner) * inner**-0.5
    return op, draw(tokens, experts), draw(tokens, width), draw(experts) * 0.3, up, down


@pytest.mark.parametrize("shape", MOE_SHAPES, ids=str)
def test_latent_moe_reference_equals_its_definition(shape: Any) -> None:
    op, logits, rows, bias, up, down = moe_case(*shape)
    found = latent_moe(op, logits, rows, bias, lambda e, x: x @ up[e].T, lambda e, x: x @ down[e].T)
    for token in range(len(rows)):
        score = (1 / (1 + torch.exp(-logits[token].double()))).tolist()
        choice = [value + shift for value, shift in zip(score, bias.double().tolist(), strict=True)]
        size = op.experts // op.groups
        best = [sum(sorted(choice[g * size : (g + 1) * size])[-2:]) for g in range(op.groups)]
        groups = sorted(range(op.groups), key=lambda g: -best[g])[: op.top_groups]
        allowed = [e for e in range(op.experts) if e // size in groups]
        picked = sorted(allowed, key=lambda e: -choice[e])[: op.top_k]
        total = sum(score[e] for e in picked)
        expected = sum(
            2.5 * score[e] / total * (down[e].double() @ torch.relu(up[e].double() @ rows[token].double()) ** 2)
            for e in picked
        )
        assert torch.allclose(found[token].double(), expected, atol=1e-4)


def test_the_correction_bias_picks_but_never_weighs() -> None:
    op, logits, _, _, _, _ = moe_case(*MOE_SHAPES[1])
    picked, weights = route(op, torch.zeros_like(logits), torch.arange(op.experts).float())
    assert sorted(picked[0].tolist()) == [5, 6, 7]
    assert torch.allclose(weights, torch.full_like(weights, 2.5 / 3))


def bank(name: Any, values: Any) -> Any:
    spec = ParameterSpec(name=f"{name}.{{expert}}", shape=tuple(values.shape[1:]), copies=len(values))
    return spec, {f"{name}.{expert}": value for expert, value in enumerate(values)}


@pytest.mark.parametrize("kernels", _native.kernel_names())
@pytest.mark.parametrize("shape", MAMBA_SHAPES, ids=str)
def test_mamba2_native_equals_the_reference(shape: Any, kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRTNEMO_CPU", kernels)
    op, projected, parameters, _ = mamba_case(*shape)
    packed = {role: single(role, value) for role, value in parameters.items()}
    expected = mamba2(op, projected, parameters, initial_state(op))[0]
    whole = run_native(op, [projected], packed, ())
    assert torch.allclose(whole, expected, atol=1e-4, rtol=1e-4)
    for cuts in ((1,), (len(projected) // 2,), (1, 2, 5)):
        assert torch.equal(run_native(op, [projected], packed, cuts), whole)


@pytest.mark.parametrize("kernels", _native.kernel_names())
@pytest.mark.parametrize("shape", [*MOE_SHAPES, (512, 22, 24, 20, 1, 1, 9)], ids=str)
def test_latent_moe_native_equals_the_reference(shape: Any, kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRTNEMO_CPU", kernels)
    op, logits, rows, bias, up, down = moe_case(*shape)
    packed = {"correction_bias": single("bias", bias), "up": bank("up", up), "down": bank("down", down)}
    expected = latent_moe(op, logits, rows, bias, lambda e, x: x @ up[e].T, lambda e, x: x @ down[e].T)
    whole = run_native(op, [logits, rows], packed, ())
    assert torch.allclose(whole, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(run_native(op, [logits, rows], packed, (1, 4)), whole)


def test_mamba2_native_without_a_convolution_bias() -> None:
    op, projected, parameters, _ = mamba_case(*MAMBA_SHAPES[2])
    del parameters["conv_bias"]
    packed = {role: single(role, value) for role, value in parameters.items()}
    expected = mamba2(op, projected, parameters, initial_state(op))[0]
    assert torch.allclose(run_native(op, [projected], packed, (3,)), expected, atol=1e-4, rtol=1e-4)
