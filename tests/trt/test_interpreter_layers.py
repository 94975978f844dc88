"""Every kind of layer against numpy or torch's own operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.trt.interpreted import builder, interpret, out, run
from tests.support.trt.layer_cases import CASES, normal
from trtnemo.errors import EngineError
from trtnemo.trt.element import Element
from trtnemo.trt.interpreter.kinds import BOUNDARIES, KINDS
from trtnemo.trt.layer_class import CLASSES, open_layer
from trtnemo.trt.writer import NetworkWriter

EVERY = [pytest.param(kind, case, id=f"{kind} {case.name}") for kind, cases in CASES.items() for case in cases]


def kinds_of(network: Any) -> Any:
    return {open_layer(builder().library.module, network.get_layer(index))[0] for index in range(network.num_layers)}


@pytest.mark.parametrize(("kind", "case"), EVERY)
def test_layer_computes_what_its_oracle_computes(kind: str, case: Any) -> None:
    made = []

    def write(net: Any, **inputs: Any) -> Any:
        made.append(net.network)
        return case.write(net, **inputs)

    given = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in case.given.items()}
    found = run(write, case.dims, **given)
    assert kind in kinds_of(made[0])
    expected = case.expected if isinstance(case.expected, dict) else dict.fromkeys(found, case.expected)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        wanted = torch.as_tensor(value)
        assert found[name].shape == wanted.shape
        if case.close:
            torch.testing.assert_close(found[name], wanted.to(found[name].dtype), rtol=2e-6, atol=2e-6)
        else:
            assert found[name].dtype is wanted.dtype
            assert torch.equal(found[name].float(), wanted.float())


def test_every_kind_of_layer_has_a_case() -> None:
    assert set(CASES) == {*KINDS, *BOUNDARIES} == set(CLASSES)


def bfloat16(*shape: Any) -> Any:
    return torch.from_numpy(normal(*shape)).bfloat16()


SUMS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "matmul": (lambda net, x, y: net.matmul(x, y, transpose_right=True), lambda x, y: x @ y.T),
    "einsum": (lambda net, x, y: net.einsum("ik,jk->ij", x, y), lambda x, y: torch.einsum("ik,jk->ij", x, y)),
}


@pytest.mark.parametrize("name", SUMS)
def test_products_of_bfloat16_are_summed_in_float32_and_rounded_once(name: str) -> None:
    write, exact = SUMS[name]
    # 256 + 1 is not a bfloat16 number: a sum kept in bfloat16 would stay at 256
    x, y = torch.ones(2, 640).bfloat16(), torch.ones(3, 640).bfloat16()
    assert torch.equal(out(write, x=x, y=y), torch.full((2, 3), 640.0).bfloat16())
    x, y = bfloat16(4, 512), bfloat16(5, 512)
    found = out(write, x=x, y=y)
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found, exact(x.double(), y.double()).bfloat16(), rtol=2**-7, atol=1e-4)


def test_an_einsum_of_three_rounds_nothing_between_its_products() -> None:
    x, y, z = bfloat16(256, 4), bfloat16(256, 4), bfloat16(256, 4)
    found = out(lambda net, x, y, z: net.einsum("ij,ij,ij->ij", x, y, z), x=x, y=y, z=z)
    assert torch.equal(found, (x.double() * y.double() * z.double()).bfloat16())


def test_reductions_of_bfloat16_are_summed_in_float32() -> None:
    found = out(lambda net, x: net.reduce("SUM", x, 1), x=torch.ones(2, 640).bfloat16())
    assert torch.equal(found, torch.full((2,), 640.0).bfloat16())
    found = out(lambda net, x: net.reduce("AVG", x, 1), x=torch.ones(2, 640).bfloat16())
    assert torch.equal(found, torch.ones(2).bfloat16())


@pytest.mark.parametrize("kind", ["SUM", "MAX"])
def test_integers_are_reduced_exactly(kind: str) -> None:
    x = np.array([[2**24, 1], [3, 2**24 + 1]], np.int32)  # float32 has no 2^24 + 1
    found = out(lambda net, x: net.reduce(kind, x, 1), x=x)
    assert found.dtype is torch.int32
    assert found.tolist() == {"SUM": x.sum(1), "MAX": x.max(1)}[kind].tolist()


def test_elementwise_results_in_bfloat16_are_rounded_to_it() -> None:
    found = out(lambda net, x, y: net.add(x, y), x=torch.tensor([256.0]).bfloat16(), y=torch.tensor([1.0]).bfloat16())
    assert found.item() == 256


def test_several_axes_are_reduced_at_once() -> None:
    def write(net: Any, x: Any) -> Any:
        kind = net.library.module.ReduceOperation.SUM
        return net.name(net.network.add_reduce(x, kind, 0b101, False)).get_output(0)

    x = normal(3, 4, 5)
    torch.testing.assert_close(out(write, x=x).numpy(), x.sum((0, 2)), rtol=1e-5, atol=1e-6)


def test_reshape_takes_lengths_of_other_tensors_at_run_time() -> None:
    def write(net: Any, x: Any, like: Any) -> None:
        net.output("out", net.reshape_like(x, [(like, 0), (like, 1), 2]), ("B", "R", 2))

    x, like = normal(12, 2), np.zeros((3, 4, 5), np.float32)
    found = out(write, {"x": ("T", 2), "like": ("B", "R", 5)}, x=x, like=like)
    assert np.array_equal(found, x.reshape(3, 4, 2))


def test_reshape_keeps_a_length_known_at_run_time_and_takes_the_rest() -> None:
    def write(net: Any, x: Any) -> None:
        net.output("out", net.reshape(x, (0, -1, 2)), ("T", 3, 2))

    x = normal(5, 6)
    assert np.array_equal(out(write, {"x": ("T", 6)}, x=x), x.reshape(5, 3, 2))


def test_a_transpose_comes_before_the_reshape_and_another_after_it() -> None:
    def write(net: Any, x: Any) -> Any:
        layer = net.network.add_shuffle(x)
        order = net.library.module.Permutation
        layer.first_transpose, layer.reshape_dims, layer.second_transpose = order([1, 0]), (2, 2, 3), order([2, 0, 1])
        return net.name(layer).get_output(0)

    x = normal(3, 4)
    assert np.array_equal(out(write, x=x), x.T.reshape(2, 2, 3).transpose(2, 0, 1))


@pytest.mark.parametrize("rows", [1, 4])
def test_slices_take_their_length_from_another_tensor_at_run_time(rows: int) -> None:
    def write(net: Any, x: Any, like: Any) -> None:
        net.output("out", net.slice(x, 1, 2, (like, 1)), ("B", "R", 3))

    x, like = normal(2, 7, 3), np.zeros((2, rows), np.float32)
    found = out(write, {"x": ("B", "S", 3), "like": ("B", "R")}, x=x, like=like)
    assert np.array_equal(found, x[:, 2 : 2 + rows])


def test_top_k_gives_the_largest_first_with_their_positions() -> None:
    def write(net: Any, x: Any) -> None:
        values, positions = net.top_k(x, 3, 1)
        net.output("values", values, (2, 3))
        net.output("positions", positions, (2, 3))

    found = run(write, x=np.array([[1, 5, -2, 4], [-1, -7, -3, -2]], np.float32))
    assert found["values"].tolist() == [[5, 4, 1], [-1, -2, -3]]
    assert found["positions"].tolist() == [[1, 3, 0], [0, 3, 2]]
    assert found["positions"].dtype is torch.int32


def test_running_sums_follow_the_axis_and_carry_no_other_row() -> None:
    x = np.array([[[1, 10], [2, 20], [4, 40]]] * 2, np.float32)
    found = out(lambda net, x: net.cumulative_sum(x, 1), x=x)
    assert found.tolist() == [[[1, 10], [3, 30], [7, 70]]] * 2


@pytest.mark.parametrize("trips", [1, 2, 9])
def test_a_loop_runs_as_many_trips_as_its_input_is_long(trips: int) -> None:
    case = CASES["TRIP_LIMIT"][0]
    x, start = normal(trips, 4), normal(4)
    found = run(case.write, case.dims, x=x, start=start)
    for row in range(trips):
        start = start * np.float32(0.5) + x[row]
        assert np.array_equal(found["rows"][row], start)
    assert np.array_equal(found["last"], start)


def test_a_loop_takes_and_gives_rows_along_other_axes() -> None:
    def write(net: Any, x: Any) -> Any:
        count = net.constant(3, Element.INT32)
        loop = net.loop(count)
        column = net.name(loop.add_iterator(x, 1)).get_output(0)
        kind = net.library.module.LoopOutput.CONCATENATE
        layer = net.name(loop.add_loop_output(net.unary("NEG", column), kind, 1))
        layer.set_input(1, count)
        return layer.get_output(0)

    x = normal(2, 3, 4)
    assert np.array_equal(out(write, x=x), -x)


def test_a_loop_over_another_length_than_its_trips_is_refused() -> None:
    def write(net: Any, x: Any) -> Any:
        loop = net.loop(net.constant(2, Element.INT32))
        total = net.name(loop.add_recurrence(net.constant([0.0] * 4)))
        row = net.name(loop.add_iterator(x, 0)).get_output(0)
        total.set_input(1, net.add(total.get_output(0), row))
        last = loop.add_loop_output(total.get_output(0), net.library.module.LoopOutput.LAST_VALUE)
        return net.name(last).get_output(0)

    with pytest.raises(EngineError, match="iterates over 3 in 2 trips"):
        out(write, x=normal(3, 4))


def test_a_loop_takes_what_was_made_before_it_and_feeds_what_comes_after() -> None:
    def write(net: Any, x: Any) -> Any:
        loop = net.loop(net.constant(3, Element.INT32))
        total = net.name(loop.add_recurrence(net.multiply(x, net.constant([2.0]))))
        total.set_input(1, net.add(total.get_output(0), x))
        last = loop.add_loop_output(total.get_output(0), net.library.module.LoopOutput.LAST_VALUE)
        return net.unary("NEG", net.name(last).get_output(0))

    assert out(write, x=np.array([1, -3], np.float32)).tolist() == [-5, 15]


def write_reversed_sum(net: Any, x: Any) -> Any:
    kind = net.library.module.CumulativeOperation.SUM
    layer = net.network.add_cumulative(x, net.constant(0, Element.INT32), kind, False, True)
    return net.name(layer).get_output(0)


def write_smallest(net: Any, x: Any) -> Any:
    layer = net.network.add_topk(x, net.library.module.TopKOperation.MIN, 1, 2)
    return net.name(layer).get_output(0)


def write_steps(net: Any, x: Any) -> Any:
    return net.name(net.network.add_slice(x, (0, 0), (1, 2), (1, 2))).get_output(0)


REFUSED = {
    "inclusive forward sums": write_reversed_sum,
    "largest only": write_smallest,
    "steps of one": write_steps,
    "no activation TANH": lambda net, x: net.activation("TANH", x),
    "no operation POW": lambda net, x: net.binary("POW", x, x),
    "no operation SIN": lambda net, x: net.unary("SIN", x),
    "not reduce by PROD": lambda net, x: net.reduce("PROD", x, 1),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_a_layer_can_do_beyond_our_use_is_refused_by_name(message: Any) -> None:
    with pytest.raises(EngineError, match=message):
        out(REFUSED[message], x=normal(2, 4))


def test_layers_that_our_networks_never_use_are_refused() -> None:
    def write(net: Any, x: Any) -> Any:
        return net.name(net.network.add_softmax(x)).get_output(0)

    with pytest.raises(EngineError, match="SOFTMAX is not one that our networks use"):
        interpret(write, {"x": (Element.FLOAT32, (2, 4))})


IMPOSSIBLE = {
    "top_k": lambda net, x: net.top_k(x, 100_000, 1),
    "attention": lambda net, x: net.attention(x, x, x, x),
    "einsum": lambda net, x: net.einsum("ab,cd", x),
    "concat": lambda net, x: net.concat([], 0),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_the_writer_says_where_tensorrt_takes_no_layer(name: str) -> None:
    net = NetworkWriter(builder().library, builder().create_network())
    x = net.input("x", Element.FLOAT32, (2, 4), "value")
    with net.scope("block"), pytest.raises(EngineError, match="block: TensorRT rejected this layer"):
        IMPOSSIBLE[name](net, x)
