"""float16 recurrent states, stochastically rounded: no drift over thousands of steps, every bit a sequence's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.support.backends.executors import make_native
from tests.support.backends.native_op import run_native, single
from trtnemo import _native
from trtnemo.backends import make_batch
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.plugins.mamba2.reference import initial_state, mamba2

STEPS = 10_000


def slow_case(tokens: Any) -> Any:
    """A layer whose second head remembers some two thousand steps, so that each adds less than half a unit of float16.

    The first head passes its input through: beside it, the norm over both shows how large the second one's state is.
    """
    op = Mamba2(heads=2, head_dim=16, groups=1, state_size=16, kernel=2, epsilon=1e-5)
    random = torch.Generator().manual_seed(0)
    projected = torch.randn(tokens, op.input_width, generator=random) * 0.3
    projected[:, op.inner : op.inner + op.channels] += 1.0  # x, B and C of one sign: the state grows
    parameters = {
        "conv_weight": torch.tensor([0.2, 0.8]).repeat(op.channels, 1)[:, None, :],
        "conv_bias": torch.zeros(op.channels),
        "A_log": torch.tensor([5.0, -2.0]),
        "D": torch.tensor([20.0, 0.0]),
        "dt_bias": torch.full((op.heads,), -5.5),
        "norm_weight": torch.ones(op.inner),
    }
    projected[:, -op.heads :] *= 0.1
    return op, projected, parameters


def packed(parameters: Any) -> Any:
    return {role: single(role, value) for role, value in parameters.items()}


def scans(graph: Any) -> Any:
    return [node.op for node in graph.nodes if isinstance(node.op, Mamba2)]


def without_norm(op: Any, projected: Any, parameters: Any, rounds: Any) -> Any:
    """Return the mean of the state after each 1,000 steps, in float64 arithmetic, rounded after each as told."""
    state, means = torch.zeros(op.heads, op.head_dim, op.state_size, dtype=torch.float64), []
    channels = projected[:, op.inner : op.inner + op.channels].double()
    mixed = 0.8 * channels + 0.2 * torch.cat([torch.zeros(1, op.channels, dtype=torch.float64), channels[:-1]])
    mixed = torch.nn.functional.silu(mixed)
    dt = torch.nn.functional.softplus(projected[:, -op.heads :].double() - 5.5)
    decay = torch.exp(-dt * torch.exp(parameters["A_log"].double()))
    for t in range(len(projected)):
        x = mixed[t, : op.inner].reshape(op.heads, op.head_dim)
        b = mixed[t, op.inner : op.inner + op.state_size]
        state = decay[t, :, None, None] * state + (dt[t, :, None] * x)[:, :, None] * b
        state = rounds(state)
        if t % 1000 == 999:
            means.append(state[1].mean().item())
    return np.array(means)


def test_nearest_rounding_drifts_here() -> None:
    """What the next test guards against is real: the state stops growing when a step is below half a unit."""
    op, projected, parameters = slow_case(STEPS)
    exact = without_norm(op, projected, parameters, lambda state: state)
    nearest = without_norm(op, projected, parameters, lambda state: state.half().double())
    assert np.abs(nearest / exact - 1)[-1] > 0.05


def test_ten_thousand_steps_do_not_drift() -> None:
    op, projected, parameters = slow_case(STEPS)
    exact = mamba2(op, projected, parameters, initial_state(op))[0]
    cuts = range(500, STEPS, 500)
    found = run_native(op, [projected], packed(parameters), cuts, ssm_state="float16")
    late = slice(STEPS - 1000, STEPS)
    gap = (found - exact)[late].pow(2).mean().sqrt() / exact[late].pow(2).mean().sqrt()
    assert gap < 0.01


@pytest.mark.parametrize("kernels", _native.kernel_names())
def test_its_bits_depend_neither_on_chunks_nor_on_kernels(kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    op, projected, parameters = slow_case(60)
    whole = run_native(op, [projected], packed(parameters), (), ssm_state="float16")
    monkeypatch.setenv("TRTNEMO_CPU", kernels)
    for cuts in ((), (1, 2, 3), (29,)):
        assert torch.equal(run_native(op, [projected], packed(parameters), cuts, ssm_state="float16"), whole)
    assert not torch.equal(run_native(op, [projected], packed(parameters), ()), whole)


def test_states_take_half_the_room_and_verification_leaves_the_same_bits(make_checkpoint: Any) -> None:
    directory = make_checkpoint("mixed")
    executor = make_native(directory, ssm_state="float16")
    tokens = np.random.default_rng(0).integers(0, 4096, 60).tolist()
    alone = executor.forward(make_batch([(0, 0, tokens, False)])).logits
    executor.forward(make_batch([(1, 0, tokens[:20], False)]))
    executor.forward(make_batch([(1, 20, [*tokens[20:24], 1, 2], True)]))
    executor.commit(1, 4)
    assert np.array_equal(executor.forward(make_batch([(1, 24, tokens[24:], False)])).logits, alone[24:])
    wide = make_native(directory)
    wide.forward(make_batch([(0, 0, tokens, False)]))
    floats = sum(op.heads * op.head_dim * op.state_size for op in scans(executor.target))
    assert wide.snapshot(0).nbytes - executor.snapshot(0).nbytes == 2 * floats
