"""Both plugins as ops of torch: what torch itself requires of an op, and the numbers of the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trtnemo.errors import MachineError
from trtnemo.graph import ParameterSpec
from trtnemo.kernels.outside.launchers import launcher_for
from trtnemo.kernels.weight import empty_weight
from trtnemo.plugins.latent_moe import torch_op as moe
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.latent_moe.reference import latent_moe
from trtnemo.plugins.mamba2 import torch_op as mamba
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.plugins.mamba2.reference import initial_state, mamba2

CPU = torch.device("cpu")


class MambaCase:
    def __init__(self) -> None:
        self.op = Mamba2(heads=4, head_dim=8, groups=2, state_size=16, kernel=4, epsilon=1e-5)
        draw = torch.Generator().manual_seed(0)
        op = self.op
        self.parameters = {
            "conv_weight": torch.randn(op.channels, 1, 4, generator=draw) * 0.5,
            "conv_bias": torch.randn(op.channels, generator=draw) * 0.1,
            "A_log": torch.log(1 + 15 * torch.rand(4, generator=draw)),
            "D": torch.randn(4, generator=draw),
            "dt_bias": torch.randn(4, generator=draw) - 2,
            "norm_weight": 1 + 0.1 * torch.randn(op.inner, generator=draw),
        }
        self.rows = torch.randn(5, op.input_width, generator=draw)

    def arguments(self) -> tuple[Any, ...]:
        op, found = self.op, self.parameters
        few = torch.tensor([[1, 0, 5, 0, 0, 0, 5, 0]], dtype=torch.int32)
        state = torch.zeros(2, 4, 8, 16), torch.zeros(2, 16, op.channels + 4)
        conv = found["conv_weight"].reshape(op.channels, 4).contiguous()
        vectors = (found["conv_bias"], found["A_log"], found["D"], found["dt_bias"], found["norm_weight"])
        return (self.rows, few, few[:0], *state, conv, *vectors, 2, 1e-5)


def moe_arguments() -> tuple[Any, Any, Any]:
    op = LatentMoe(experts=8, top_k=3, width=64, inner=24, groups=1, top_groups=1, normalize=True, scaling_factor=2.5)
    draw = torch.Generator().manual_seed(1)
    rows, logits, bias = (torch.randn(*size, generator=draw) for size in ((5, 64), (5, 8), (8,)))
    banks, values = [], []
    for shape in ((24, 64), (64, 24)):
        value = torch.randn(8, *shape, generator=draw) * shape[1] ** -0.5
        packed = empty_weight(ParameterSpec(name="w.weight", shape=shape, copies=8), CPU)
        words = torch.zeros(packed.words.shape)
        words[:, : shape[0], : shape[1]] = value
        banks += [words, packed.scales, torch.ones(packed.scale.shape)]
        values.append(value)
    up, down = values
    expected = latent_moe(op, logits, rows, bias, lambda e, x: x @ up[e].T, lambda e, x: x @ down[e].T)
    return (rows, logits, bias, *banks, 24, 0, 0, 3, 1, 1, True, 2.5), expected, op


def test_mamba2_gives_what_the_reference_does_and_moves_its_states() -> None:
    case = MambaCase()
    arguments = case.arguments()
    found = torch.ops.trtnemo.mamba2(*arguments)
    expected, state = mamba2(case.op, case.rows, case.parameters, initial_state(case.op))
    assert torch.allclose(found, expected, atol=1e-4, rtol=1e-4)
    assert torch.allclose(arguments[3][1], state[1], atol=1e-4)
    assert not arguments[3][0].any()  # of another slot


def test_latent_moe_gives_what_the_reference_does() -> None:
    arguments, expected, _ = moe_arguments()
    assert torch.allclose(torch.ops.trtnemo.latent_moe(*arguments), expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", ["test_schema", "test_faketensor", "test_autograd_registration"])
def test_torch_accepts_them_as_ops(check: str) -> None:
    torch.library.opcheck(mamba.mamba2, MambaCase().arguments(), test_utils=check)
    torch.library.opcheck(moe.latent_moe, moe_arguments()[0], test_utils=check)


def test_shapes_that_do_not_go_together_are_refused() -> None:
    arguments = MambaCase().arguments()
    with pytest.raises(ValueError, match="do not go with the state"):
        mamba.mamba2(arguments[0][:, 1:], *arguments[1:])
    with pytest.raises(ValueError, match="power of two"):
        mamba.mamba2(*arguments[:4], arguments[4][:, :5].contiguous(), *arguments[5:])
    given = list(moe_arguments()[0])
    given[10] = 7
    with pytest.raises(ValueError, match="7 is no format"):
        moe.latent_moe(*given)


def strided(value: Any) -> Any:
    """Return equal values whose elements are apart, as a slice of a pool that all layers share is."""
    pool = torch.zeros(*value.shape, 2, dtype=value.dtype)
    pool[..., 0] = value
    return pool[..., 0]


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (0, strided, "projected is .* its columns beside each other"),
        (0, lambda x: x[0], "must be a matrix"),
        (0, lambda x: x.int(), "must be a matrix of floats"),
        (1, lambda x: x.long(), "few is int64, and must be int32"),
        (1, lambda x: x[:, :6].contiguous(), "must have 8 columns"),
        (3, strided, "ssm_state is a view with strides"),
        (3, lambda x: x.transpose(2, 3).contiguous().transpose(2, 3), "ssm_state is a view"),
        (3, lambda x: x.bfloat16(), "ssm_state is bfloat16, and must be float32 or float16"),
        (3, lambda x: x[0], "ssm_state has four dimensions"),
        (4, strided, "ring is a view"),
        (5, lambda x: x[:, None, :], "conv_weight two"),  # as checkpoints have it
        (7, lambda x: x.bfloat16(), "a_log is bfloat16, and must be float32"),
    ],
)
def test_tensors_that_kernels_would_read_wrongly_are_refused(place: int, change: Any, message: str) -> None:
    arguments = list(MambaCase().arguments())
    arguments[place] = change(arguments[place])
    with pytest.raises(ValueError, match=message):
        torch.ops.trtnemo.mamba2(*arguments)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (0, strided, "rows is a view"),
        (1, lambda x: x.bfloat16(), "logits is bfloat16"),
        (1, lambda x: x[:, :7].contiguous(), "do not go together"),
        (3, lambda x: x.transpose(1, 2), "up_words is a view"),
        (5, lambda x: x.double(), "up_scale is float64"),
    ],
)
def test_banks_that_kernels_would_read_wrongly_are_refused(place: int, change: Any, message: str) -> None:
    arguments = list(moe_arguments()[0])
    arguments[place] = change(arguments[place])
    with pytest.raises(ValueError, match=message):
        torch.ops.trtnemo.latent_moe(*arguments)


def test_a_step_without_rows_gives_none() -> None:
    """As servers run one to measure memory."""
    rows, few, many, *rest = MambaCase().arguments()
    assert torch.ops.trtnemo.mamba2(rows[:0], few[:0], many, *rest).shape == (0, 32)
    rows, logits, *rest = moe_arguments()[0]
    assert torch.ops.trtnemo.latent_moe(rows[:0], logits[:0], *rest).shape == (0, 64)


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_model_moves_the_states_that_it_was_given() -> None:
    """In one graph: a compiler that copies what an op changes must write it back."""
    plain, given = MambaCase().arguments(), MambaCase().arguments()

    def model(*arguments: Any) -> Any:
        return torch.ops.trtnemo.mamba2(arguments[0] * 1.0, *arguments[1:]) + arguments[3].sum()

    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(*given), model(*plain))
    assert torch.equal(given[3], plain[3])
    assert torch.equal(given[4], plain[4])
    assert given[3][1].any()


def test_a_device_without_kernels_is_refused() -> None:
    with pytest.raises(MachineError, match="not on 'meta'"):
        launcher_for(torch.device("meta"))
