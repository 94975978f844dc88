"""A network's digest: the same for the same network, another for every other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.trt.interpreted import builder
from tests.support.trt.networks import start, write_product
from trtnemo.trt.digest import network_digest
from trtnemo.trt.element import Element
from trtnemo.trt.writer import NetworkWriter

FLOAT = Element.FLOAT32


def digest_of(write: Any) -> Any:
    network = builder().create_network()
    net = NetworkWriter(builder().library, network)
    x = net.input("x", FLOAT, (4, 8), "value")
    with net.scope("layers.0"):
        made = write(net, x)
    net.output("out", made, tuple(made.shape))
    return network_digest(builder().library.module, network)


def kind_of(net: Any, group: Any, name: Any) -> Any:
    return getattr(getattr(net.library.module, group), name)


def cumulative(axis: Any = 1, exclusive: Any = False, reverse: Any = False) -> Any:
    def write(net: Any, x: Any) -> Any:
        position = net.constant(axis, Element.INT32)
        kind = kind_of(net, "CumulativeOperation", "SUM")
        return net.name(net.network.add_cumulative(x, position, kind, exclusive, reverse)).get_output(0)

    return write


def shuffle(first: Any = (0, 1), dims: Any = (8, 4), second: Any = (0, 1)) -> Any:
    def write(net: Any, x: Any) -> Any:
        layer = net.network.add_shuffle(x)
        order = net.library.module.Permutation
        layer.first_transpose, layer.reshape_dims, layer.second_transpose = order(first), dims, order(second)
        return net.name(layer).get_output(0)

    return write


def gather(axis: Any = 0, batched: Any = False) -> Any:
    def write(net: Any, x: Any) -> Any:
        return net.gather(x, net.constant([[0, 1]] * 4, Element.INT32), axis, batched)

    return write


def sliced(start: Any = (0, 0), shape: Any = (2, 2), stride: Any = (1, 1)) -> Any:
    return lambda net, x: net.name(net.network.add_slice(x, start, shape, stride)).get_output(0)


def matmul(left: Any = "NONE", right: Any = "TRANSPOSE") -> Any:
    def write(net: Any, x: Any) -> Any:
        square = net.slice(x, 1, 0, 4)
        sides = (kind_of(net, "MatrixOperation", side) for side in (left, right))
        first, second = sides
        return net.name(net.network.add_matrix_multiply(square, first, square, second)).get_output(0)

    return write


def softplus(alpha: Any = 1.0, beta: Any = 1.0) -> Any:
    def write(net: Any, x: Any) -> Any:
        layer = net.network.add_activation(x, kind_of(net, "ActivationType", "SOFTPLUS"))
        layer.alpha, layer.beta = alpha, beta
        return net.name(layer).get_output(0)

    return write


def attention(mask: Any = "LOWER_RIGHT", decomposable: Any = True) -> Any:
    def write(net: Any, x: Any) -> Any:
        q = net.reshape(x, (1, 1, 4, 8))
        kinds = kind_of(net, "AttentionNormalizationOp", "SOFTMAX"), kind_of(net, "CausalMaskKind", mask)
        layer = net.network.add_attention_v2(q, q, q, *kinds)
        layer.key_value_lengths, layer.decomposable = net.constant([4], Element.INT32), decomposable
        return net.reshape(net.name(layer).get_output(0), (4, 8))

    return write


def looped(output: Any = "CONCATENATE", axis: Any = 0, reverse: Any = False, trips: Any = 4) -> Any:
    def write(net: Any, x: Any) -> Any:
        count = net.constant(trips, Element.INT32)
        loop = net.loop(count)
        row = net.name(loop.add_iterator(x, 0, reverse)).get_output(0)
        total = net.name(loop.add_recurrence(net.constant([0.0] * 8)))
        after = net.add(total.get_output(0), row)
        total.set_input(1, after)
        kind = kind_of(net, "LoopOutput", output)
        if output == "LAST_VALUE":
            return net.name(loop.add_loop_output(total.get_output(0), kind)).get_output(0)
        layer = net.name(loop.add_loop_output(after, kind, axis))
        layer.set_input(1, count)
        return layer.get_output(0)

    return write


def constant(value: Any, element: Any = FLOAT) -> Any:
    return lambda net, x: net.add(x, net.cast(net.constant([[value]], element), FLOAT))


PAIRS = {
    "elementwise op": (lambda net, x: net.add(x, x), lambda net, x: net.multiply(x, x)),
    "elementwise operands": (
        lambda net, x: net.subtract(net.activation("RELU", x), x),
        lambda net, x: net.subtract(x, net.activation("RELU", x)),
    ),
    "unary op": (lambda net, x: net.unary("EXP", x), lambda net, x: net.unary("ABS", x)),
    "activation": (lambda net, x: net.activation("RELU", x), lambda net, x: net.activation("SIGMOID", x)),
    "softplus alpha": (softplus(), softplus(alpha=2.0)),
    "softplus beta": (softplus(), softplus(beta=2.0)),
    "constant": (constant(1.0), constant(1.0000001)),
    "constant type": (constant(1, Element.INT32), constant(1, Element.INT64)),
    "cast": (
        lambda net, x: net.cast(net.cast(x, Element.BFLOAT16), FLOAT),
        lambda net, x: net.cast(net.cast(x, Element.FLOAT16), FLOAT),
    ),
    "reduce op": (lambda net, x: net.reduce("SUM", x, 0), lambda net, x: net.reduce("AVG", x, 0)),
    "reduce axis": (lambda net, x: net.reduce("SUM", x, 0), lambda net, x: net.reduce("SUM", x, 1)),
    "reduce keep": (lambda net, x: net.reduce("SUM", x, 0), lambda net, x: net.reduce("SUM", x, 0, True)),
    "cumulative axis": (cumulative(), cumulative(axis=0)),
    "cumulative exclusive": (cumulative(), cumulative(exclusive=True)),
    "cumulative reverse": (cumulative(), cumulative(reverse=True)),
    "top-k k": (lambda net, x: net.top_k(x, 2, 1)[0], lambda net, x: net.top_k(x, 3, 1)[0]),
    "top-k axis": (lambda net, x: net.top_k(x, 2, 1)[0], lambda net, x: net.top_k(x, 2, 0)[0]),
    "top-k output": (
        lambda net, x: net.top_k(x, 2, 1)[0],
        lambda net, x: net.cast(net.top_k(x, 2, 1)[1], FLOAT),
    ),
    "gather axis": (gather(), gather(axis=1)),
    "gather batched": (gather(axis=1), gather(axis=1, batched=True)),
    "concatenation axis": (lambda net, x: net.concat([x, x], 0), lambda net, x: net.concat([x, x], 1)),
    "einsum": (lambda net, x: net.einsum("ij,kj->ik", x, x), lambda net, x: net.einsum("ij,kj->ki", x, x)),
    "matmul left": (matmul(), matmul(left="TRANSPOSE")),
    "matmul right": (matmul(), matmul(right="NONE")),
    "first transpose": (shuffle(), shuffle(first=(1, 0))),
    "reshape": (shuffle(), shuffle(dims=(2, 16))),
    "second transpose": (shuffle(), shuffle(second=(1, 0))),
    "slice start": (sliced(), sliced(start=(1, 0))),
    "slice shape": (sliced(), sliced(shape=(2, 3))),
    "slice stride": (sliced(), sliced(stride=(1, 2))),
    "unsqueeze": (lambda net, x: net.unsqueeze(x, 0), lambda net, x: net.unsqueeze(x, 1)),
    "attention mask": (attention(), attention(mask="UPPER_LEFT")),
    "attention decomposable": (attention(), attention(decomposable=False)),
    "loop output": (looped(), looped(output="LAST_VALUE")),
    "loop output axis": (looped(), looped(axis=1)),
    "loop order": (looped(), looped(reverse=True)),
    "loop trips": (looped(), looped(trips=3)),
    "one layer more": (lambda net, x: net.unary("ABS", x), lambda net, x: net.unary("ABS", net.unary("ABS", x))),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_digest_is_that_of_the_network_and_of_no_other(name: str) -> None:
    one, other = PAIRS[name]
    assert digest_of(one) == digest_of(one)
    assert digest_of(one) != digest_of(other)
    assert digest_of(other) == digest_of(other)


def test_a_digest_does_not_depend_on_the_builder() -> None:
    digests = set()
    for capability in ((12, 0), (8, 9)):
        plans, network, net = start(capability)
        write_product(net, net.constant(np.ones((64, 32), np.float32)))
        digests.add(network_digest(plans.library.module, network))
    assert len(digests) == 1


def test_a_digest_tells_inputs_apart_by_shape_and_type() -> None:
    digests = set()
    for element, shape in ((FLOAT, (4, 8)), (FLOAT, (4, 9)), (Element.BFLOAT16, (4, 8)), (FLOAT, ("T", 8))):
        plans, network, net = start((12, 0))
        net.output("out", net.input("x", element, shape, "value"), shape)
        digests.add(network_digest(plans.library.module, network))
    assert len(digests) == 4
