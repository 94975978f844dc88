"""mamba2's kernels, interpreted, over odd shapes, with carried state and tokens under verification."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trtnemo.kernels.launch import Launcher
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.plugins.mamba2.reference import initial_state, mamba2
from trtnemo.plugins.mamba2.triton.run import Mamba2Weights, new_state, run

CPU = torch.device("cpu")
# heads, head_dim, groups, state_size, kernel; as the native form's in tests/plugins
SHAPES = [(1, 1, 1, 1, 2), (4, 8, 2, 16, 4), (6, 5, 3, 7, 3), (8, 40, 8, 23, 4), (2, 64, 1, 128, 4)]


class Kernels:
    """An op with parameters, and the state of three slots full of numbers that are none."""

    def __init__(self, shape: Any) -> None:
        heads, head_dim, groups, state, kernel = shape
        self.op = Mamba2(heads=heads, head_dim=head_dim, groups=groups, state_size=state, kernel=kernel, epsilon=1e-5)
        self.draw = torch.Generator().manual_seed(0)
        self.parameters = {
            "conv_weight": self.numbers(self.op.channels, 1, kernel) * 0.5,
            "conv_bias": self.numbers(self.op.channels) * 0.1,
            "A_log": torch.log(1 + 15 * torch.rand(heads, generator=self.draw)),
            "D": self.numbers(heads),
            "dt_bias": self.numbers(heads) - 2,
            "norm_weight": 1 + 0.1 * self.numbers(self.op.inner),
        }
        found = self.parameters
        conv = found["conv_weight"].reshape(self.op.channels, kernel).contiguous()
        self.weights = Mamba2Weights(conv, found["conv_bias"], found["A_log"], found["D"], found["dt_bias"])
        self.state = new_state(self.op, 3, 32, torch.float32, CPU)
        self.state.ssm_state.fill_(float("nan"))
        self.state.ring.fill_(float("nan"))
        self.launch = Launcher(CPU, "mma")

    def numbers(self, *shape: int) -> Any:
        return torch.randn(*shape, generator=self.draw)

    def step(self, rows: Any, few: Any = (), many: Any = ()) -> Any:
        """Return the normalized output of a step; segments are (slot, start, tokens, length, replay, stays)."""
        few_table, many_table = [
            torch.tensor([[*item, item[2], 0] for item in part], dtype=torch.int32).reshape(-1, 8)
            for part in (few, many)
        ]
        out, squares = run(self.launch, self.op, rows, few_table, many_table, self.state, self.weights, torch.float32)
        grouped = out.reshape(len(rows), self.op.groups, -1)
        mean = squares.sum(-1, keepdim=True) * (self.op.groups / self.op.inner)
        return (grouped * torch.rsqrt(mean + 1e-5)).reshape(out.shape) * self.parameters["norm_weight"]

    def whole(self, rows: Any) -> Any:
        return mamba2(self.op, rows, self.parameters, initial_state(self.op))[0]


def require_close(found: Any, expected: Any) -> None:
    assert torch.allclose(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_prompt_then_tokens_equal_the_reference(shape: Any) -> None:
    kernels = Kernels(shape)
    rows = kernels.numbers(46, kernels.op.input_width)
    expected = kernels.whole(rows)
    require_close(kernels.step(rows[:37], many=[(1, 0, 37, 0, 0, 0)]), expected[:37])
    require_close(kernels.step(rows[37:38], few=[(1, 0, 1, 37, 0, 0)]), expected[37:38])
    require_close(kernels.step(rows[38:41], few=[(1, 0, 3, 38, 0, 0)]), expected[38:41])
    require_close(kernels.step(rows[41:46], many=[(1, 0, 5, 41, 0, 0)]), expected[41:46])


@pytest.mark.parametrize("accepted", [0, 2, 4])
def test_accepted_tokens_are_replayed_and_the_others_forgotten(accepted: int) -> None:
    kernels = Kernels(SHAPES[1])
    kept = kernels.numbers(12 + accepted + 2, kernels.op.input_width)
    expected = kernels.whole(kept)
    kernels.step(kept[:12], many=[(2, 0, 12, 0, 0, 0)])
    drafts = torch.cat([kept[12 : 12 + accepted], kernels.numbers(4 - accepted, kernels.op.input_width)])
    verified = kernels.step(drafts, few=[(2, 0, 4, 12, 0, 1)])
    require_close(verified[:accepted], expected[12 : 12 + accepted])
    after = kernels.step(kept[12 + accepted :], few=[(2, 0, 2, 12 + accepted, accepted, 1)])
    require_close(after, expected[12 + accepted :])


def test_sequences_of_one_step_do_not_touch_each_other() -> None:
    kernels = Kernels(SHAPES[1])
    rows = kernels.numbers(30, kernels.op.input_width)
    both = kernels.step(rows, few=[(0, 0, 3, 0, 0, 0)], many=[(2, 3, 27, 0, 0, 0)])
    require_close(both, torch.cat([kernels.whole(rows[:3]), kernels.whole(rows[3:])]))
