"""The calls of an execution context, what they refuse, and the order in which layers run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.support.trt.interpreted import interpret, out, run
from tests.support.trt.layer_cases import normal
from trtnemo.errors import EngineError
from trtnemo.trt.element import Element
from trtnemo.trt.interpreter.kinds import KINDS

FLOAT = Element.FLOAT32


def write_product(net: Any, x: Any, y: Any) -> None:
    net.output("out", net.multiply(x, y), ("T", 4))


def make_product() -> Any:
    """Return x [T, 4] times y [1, 4] for two to five rows."""
    return interpret(write_product, {"x": (FLOAT, ("T", 4)), "y": (FLOAT, (1, 4))}, {"T": 2}, {"T": 5})


def write_cache(net: Any, cache: Any, update: Any, start: Any) -> None:
    net.output_in_place("cache.after", net.cache_update(cache, update, start), tuple(cache.shape))


CACHE_INPUTS = {
    "cache": (FLOAT, (1, 1, 4, 2)),
    "update": (FLOAT, (1, 1, 1, 2)),
    "start": (Element.INT32, (1,)),
}


def make_cache() -> Any:
    return interpret(write_cache, CACHE_INPUTS)


@pytest.mark.parametrize("rows", [2, 3, 5])
def test_shapes_within_the_profile_are_taken(rows: int) -> None:
    made = make_product()
    assert made.context.set_input_shape("x", (rows, 4))
    x, y = normal(rows, 4), normal(1, 4)
    assert np.array_equal(made.run(x=x, y=y)["out"], x * y)


@pytest.mark.parametrize("shape", [(1, 4), (6, 4), (3, 5), (3,), (3, 4, 1), (0, 4)], ids=str)
def test_shapes_outside_the_profile_are_answered_with_false(shape: Any) -> None:
    assert make_product().context.set_input_shape("x", shape) is False


def test_a_refused_shape_leaves_the_one_before() -> None:
    made = make_product()
    x, y = normal(3, 4), normal(1, 4)
    found = made.run(x=x, y=y)["out"]
    found.zero_()
    assert not made.context.set_input_shape("x", (1, 4))
    assert made.context.execute_async_v3(0)
    assert np.array_equal(found, x * y)


def test_a_static_input_takes_its_own_shape_only() -> None:
    context = make_product().context
    assert context.set_input_shape("y", (1, 4))
    assert not context.set_input_shape("y", (2, 4))


def test_unknown_tensors_are_answered_with_false() -> None:
    context = make_product().context
    assert context.set_input_shape("z", (3, 4)) is False
    assert context.set_input_shape("out", (3, 4)) is False
    assert context.set_tensor_address("z", 64) is False


def test_an_engine_tells_its_tensors_inputs_first() -> None:
    made = make_product()
    names = [made.engine.get_tensor_name(index) for index in range(made.engine.num_io_tensors)]
    assert names == ["x", "y", "out"]
    assert made.engine.get_tensor_profile_shape("x", 0) == [(2, 4), (5, 4), (5, 4)]
    assert made.engine.get_tensor_profile_shape("y", 0) == [(1, 4)] * 3
    assert made.engine.get_aliased_input_tensor("out") == ""


@pytest.mark.parametrize("missing", ["x", "y", "out"])
def test_a_tensor_without_an_address_is_refused_by_name(missing: str) -> None:
    context = make_product().context
    context.set_input_shape("x", (3, 4))
    memory = {"x": torch.zeros(3, 4), "y": torch.zeros(1, 4), "out": torch.zeros(3, 4)}
    for name, tensor in memory.items():
        if name != missing:
            context.set_tensor_address(name, tensor.data_ptr())
    with pytest.raises(EngineError, match=rf"without an address: \['{missing}'\]; without a shape: \[\]"):
        context.execute_async_v3(0)


def test_a_dynamic_input_without_a_shape_is_refused_by_name() -> None:
    context = make_product().context
    memory = {"x": torch.zeros(3, 4), "y": torch.zeros(1, 4), "out": torch.zeros(3, 4)}
    for name, tensor in memory.items():
        context.set_tensor_address(name, tensor.data_ptr())
    with pytest.raises(EngineError, match=r"without an address: \[\]; without a shape: \['x'\]"):
        context.execute_async_v3(0)


def test_contexts_of_one_engine_keep_their_own_shapes_and_addresses() -> None:
    made = make_product()
    x, y = normal(3, 4), normal(1, 4)
    found = made.run(x=x, y=y)["out"]
    other = made.engine.create_execution_context()
    with pytest.raises(EngineError, match="without an address"):
        other.execute_async_v3(0)
    found.zero_()
    assert made.context.execute_async_v3(0)
    assert np.array_equal(found, x * y)


def test_a_run_reads_what_lies_at_its_addresses_now() -> None:
    made = make_product()
    x, y = torch.ones(3, 4), torch.ones(1, 4)
    found = made.run(x=x, y=y)["out"]
    x.fill_(7)
    assert made.context.execute_async_v3(0)
    assert torch.equal(found, torch.full((3, 4), 7.0))


def test_an_output_updated_in_place_must_be_bound_where_its_cache_is() -> None:
    made = make_cache()
    assert made.engine.get_aliased_input_tensor("cache.after") == "cache"
    cache, elsewhere = torch.zeros(1, 1, 4, 2), torch.zeros(1, 1, 4, 2)
    given = {"cache": cache, "update": torch.ones(1, 1, 1, 2), "start": torch.tensor([2], dtype=torch.int32)}
    assert made.run(**given)["cache.after"] is cache
    made.context.set_tensor_address("cache.after", elsewhere.data_ptr())
    with pytest.raises(EngineError, match=r"'cache\.after' must lie where 'cache' lies"):
        made.context.execute_async_v3(0)
    assert cache.sum() == 2
    assert elsewhere.sum() == 0


@pytest.mark.parametrize("start", [-1, 4])
def test_a_write_outside_the_cache_raises_and_names_the_layer(start: int) -> None:
    cache = torch.zeros(1, 1, 4, 2)
    with pytest.raises(EngineError, match=f"^0: 1 rows from {start} do not fit a cache of 4"):
        make_cache().run(cache=cache, update=torch.ones(1, 1, 1, 2), start=torch.tensor([start], dtype=torch.int32))
    assert cache.sum() == 0


WRONG = {
    "type": (lambda layer, inputs: [inputs[0].double()], r"torch\.float64 \[2, 3\]"),
    "length": (lambda layer, inputs: [inputs[0][:1]], r"torch\.float32 \[1, 3\]"),
    "rank": (lambda layer, inputs: [inputs[0][None]], r"torch\.float32 \[1, 2, 3\]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_result_that_tensorrt_does_not_infer_raises_and_names_the_layer(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    function, given = WRONG[name]
    monkeypatch.setitem(KINDS, "UNARY", function)

    def write(net: Any, x: Any) -> Any:
        with net.scope("layers.3"), net.scope("mixer"):
            return net.unary("NEG", x)

    with pytest.raises(EngineError, match=rf"layers\.3/mixer/0: gives {given} where TensorRT infers float32 \[2, 3\]"):
        out(write, x=normal(2, 3))


def test_a_length_known_at_run_time_may_be_any_but_the_others_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "UNARY", lambda layer, inputs: [inputs[0][:, :2]])

    def write(net: Any, x: Any) -> None:
        net.output("out", net.unary("NEG", x), ("T", 3))

    with pytest.raises(EngineError, match=r"gives torch.float32 \[5, 2\] where TensorRT infers float32 \[-1, 3\]"):
        out(write, {"x": ("T", 3)}, x=normal(5, 3))


def test_layers_run_after_what_they_read_however_they_are_listed() -> None:
    order: list[str] = []

    def write(net: Any, x: Any, like: Any) -> None:
        net.output("out", net.reshape_like(x, [(like, 0), 2]), ("B", 2))
        order.extend(net.network.get_layer(index).type.name for index in range(net.network.num_layers))

    x, like = normal(6), np.zeros((3, 1), np.float32)
    found = out(write, {"like": ("B", 1)}, x=x, like=like)
    assert order.index("SHUFFLE") < order.index("SHAPE")
    assert np.array_equal(found, x.reshape(3, 2))


# readers of a cache: of its numbers, of another view of them, of a part, and the numbers themselves as an output
READERS = {
    "a sum": lambda net, cache: net.add(cache, net.constant([[[[0.0]]]])),
    "a reshape": lambda net, cache: net.add(net.reshape(cache, (4, 2)), net.constant([[0.0]])),
    "a transpose": lambda net, cache: net.unary("NEG", net.unary("NEG", net.transpose(cache, (0, 1, 3, 2)))),
    "a slice": lambda net, cache: net.add(net.slice(cache, 2, 1, 3), net.constant([[[[0.0]]]])),
    "an unsqueeze": lambda net, cache: net.add(net.unsqueeze(cache, 0), net.constant([[[[[0.0]]]]])),
    "a view of a view": lambda net, cache: net.unary("ABS", net.reshape(net.slice(cache, 2, 1, 3), (-1,))),
    "itself": lambda net, cache: cache,
    "a view as an output": lambda net, cache: net.reshape(cache, (8,)),
}
SEEN = {
    "a reshape": lambda x: x.reshape(4, 2),
    "a transpose": lambda x: x.transpose(2, 3),
    "a slice": lambda x: x[:, :, 1:],
    "an unsqueeze": lambda x: x[None],
    "a view of a view": lambda x: x[:, :, 1:].reshape(-1),
    "a view as an output": lambda x: x.reshape(8),
}


@pytest.mark.parametrize("first", [False, True], ids=["update listed first", "reader listed first"])
@pytest.mark.parametrize("reader", READERS)
def test_readers_of_a_cache_see_what_it_held_before_it_was_written(reader: Any, first: bool) -> None:
    def write(net: Any, cache: Any, update: Any, start: Any) -> Any:
        seen = READERS[reader](net, cache) if first else None
        write_cache(net, cache, update, start)
        return READERS[reader](net, cache) if seen is None else seen

    cache = torch.arange(1.0, 9.0).reshape(1, 1, 4, 2)
    before = cache.clone()
    found = run(write, cache=cache, update=-torch.ones(1, 1, 1, 2), start=torch.tensor([2], dtype=torch.int32))
    assert torch.equal(found["out"], SEEN.get(reader, lambda x: x)(before))
    assert cache[0, 0, 2].tolist() == [-1, -1]
    assert torch.equal(cache[0, 0, :2], before[0, 0, :2])


def test_readers_of_an_updated_cache_see_the_update_and_those_of_the_cache_do_not() -> None:
    def write(net: Any, cache: Any, update: Any, start: Any) -> None:
        zero = net.constant([[[[0.0]]]])
        after = net.cache_update(cache, update, start)
        net.output_in_place("cache.after", after, tuple(cache.shape))
        net.output("new", net.add(net.transpose(after, (0, 1, 2, 3)), zero), tuple(cache.shape))
        net.output("old", net.add(net.transpose(cache, (0, 1, 2, 3)), zero), tuple(cache.shape))

    cache = torch.zeros(1, 1, 4, 2)
    found = run(write, cache=cache, update=torch.ones(1, 1, 1, 2), start=torch.tensor([2], dtype=torch.int32))
    assert found["old"].sum() == 0
    assert found["new"].tolist() == cache.tolist() == [[[[0, 0], [0, 0], [1, 1], [0, 0]]]]


def test_a_loop_sees_a_cache_as_it_was_before_it_was_written() -> None:
    def write(net: Any, cache: Any, update: Any, start: Any, x: Any) -> Any:
        write_cache(net, cache, update, start)
        loop = net.loop(net.constant(3, Element.INT32))
        total = net.name(loop.add_recurrence(x))
        total.set_input(1, net.add(total.get_output(0), cache))
        last = loop.add_loop_output(total.get_output(0), net.library.module.LoopOutput.LAST_VALUE)
        return net.name(last).get_output(0)

    cache, x = torch.ones(1, 1, 4, 2), torch.zeros(1, 1, 4, 2)
    start = torch.tensor([2], dtype=torch.int32)
    found = run(write, cache=cache, update=9 * torch.ones(1, 1, 1, 2), start=start, x=x)
    assert torch.equal(found["out"], 3 * torch.ones(1, 1, 4, 2))
    assert cache.sum() == 6 + 18


def test_what_follows_a_loop_sees_a_cache_as_it_was_before_it_was_written() -> None:
    def write(net: Any, cache: Any, update: Any, start: Any, x: Any) -> Any:
        write_cache(net, cache, update, start)
        loop = net.loop(net.constant(2, Element.INT32))
        total = net.name(loop.add_recurrence(x))
        total.set_input(1, net.add(total.get_output(0), x))
        last = loop.add_loop_output(total.get_output(0), net.library.module.LoopOutput.LAST_VALUE)
        return net.add(net.name(last).get_output(0), cache)

    cache, x = torch.ones(1, 1, 4, 2), torch.ones(1, 1, 4, 2)
    start = torch.tensor([2], dtype=torch.int32)
    found = run(write, cache=cache, update=9 * torch.ones(1, 1, 1, 2), start=start, x=x)
    assert torch.equal(found["out"], 4 * torch.ones(1, 1, 4, 2))


def test_two_updates_of_one_cache_are_refused() -> None:
    def write(net: Any, cache: Any, update: Any, start: Any) -> None:
        write_cache(net, cache, update, start)
        net.output_in_place("again", net.cache_update(cache, update, start), tuple(cache.shape))

    with pytest.raises(EngineError, match="waits for a layer that waits for it"):
        interpret(write, CACHE_INPUTS)
