"""From a network to a plan, the library that is found, and digests of networks."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

from tests.support.trt.interpreted import builder
from trtnemo.errors import EngineError, MachineError
from trtnemo.trt.build import PlanBuilder, Profile, make_logger
from trtnemo.trt.digest import network_digest
from trtnemo.trt.element import Element
from trtnemo.trt.library import MODULES, find_library
from trtnemo.trt.writer import NetworkWriter

FLOAT = Element.FLOAT32
PROFILE: Profile = {"x": ((1, 32), (4, 32), (8, 32))}


def start(capability: Any) -> Any:
    plans = PlanBuilder(find_library(), capability)
    network = plans.create_network()
    return plans, network, NetworkWriter(plans.library, network)


def write_product(net: Any, weight: Any) -> None:
    x = net.input("x", FLOAT, ("T", 32), "value")
    net.output("out", net.matmul(x, weight, transpose_right=True), ("T", 64))


def write_fp4_product(net: Any) -> None:
    codes = net.input("codes", Element.FP4, (64, 32), "weight")
    scales = net.input("scales", Element.FP8, (64, 2), "weight")
    write_product(net, net.dequantize(codes, net.dequantize(scales, net.constant(1.0), FLOAT), FLOAT))


@pytest.mark.parametrize("capability", [(12, 0), (12, 1), (8, 9)])
def test_a_network_becomes_a_plan_for_every_capability(capability: Any) -> None:
    plans, network, net = start(capability)
    write_product(net, net.constant(np.ones((64, 32), np.float32)))
    assert len(plans.build(network, PROFILE)) > 1000
    assert plans.activation_bytes > 0
    assert plans.constant_bytes >= 64 * 32 * 4


def test_what_the_builder_warns_of_is_reported() -> None:
    plans, network, net = start((12, 0))
    write_product(net, net.constant(np.ones((64, 32), np.float32)))
    builder, severity = plans._builder, plans.library.module.ILogger.Severity

    def build(network: Any, config: Any) -> Any:
        plans._logger.log(severity.WARNING, "too warm")
        plans._logger.log(severity.INFO, "quite warm")
        return builder.build_serialized_network(network, config)

    plans._builder = types.SimpleNamespace(
        create_builder_config=builder.create_builder_config,
        create_optimization_profile=builder.create_optimization_profile,
        build_serialized_network=build,
    )
    plans.build(network, PROFILE)
    assert "too warm" in plans.warnings
    assert "quite warm" not in plans.warnings


def test_a_builder_builds_several_networks_and_reports_each() -> None:
    plans = PlanBuilder(find_library(), (12, 0))
    sizes = []
    for columns in (64, 4096):
        network = plans.create_network()
        net = NetworkWriter(plans.library, network)
        x = net.input("x", FLOAT, ("T", 32), "value")
        weight = net.constant(np.ones((columns, 32), np.float32))
        net.output("out", net.matmul(x, weight, transpose_right=True), ("T", columns))
        plans.build(network, PROFILE)
        sizes.append(plans.constant_bytes)
    assert sizes[1] - sizes[0] == (4096 - 64) * 32 * 4


@pytest.mark.parametrize("capability", [(12, 0), (12, 1)])
def test_fp4_becomes_a_plan_where_the_card_has_it(capability: Any) -> None:
    plans, network, net = start(capability)
    write_fp4_product(net)
    assert len(plans.build(network, PROFILE)) > 1000


def test_fp4_for_a_card_without_it_is_refused_in_the_builders_words() -> None:
    plans, network, net = start((8, 9))
    write_fp4_product(net)
    with pytest.raises(EngineError, match=r"TensorRT for RTX refuses the network: .*sm89.*fp4_e2m1"):
        plans.build(network, PROFILE)


def test_a_builder_builds_on_after_a_refusal() -> None:
    plans, network, net = start((8, 9))
    write_fp4_product(net)
    with pytest.raises(EngineError):
        plans.build(network, PROFILE)
    network = plans.create_network()
    net = NetworkWriter(plans.library, network)
    write_product(net, net.constant(np.ones((64, 32), np.float32)))
    assert plans.build(network, PROFILE)


def test_a_refusal_tells_of_its_own_network_only() -> None:
    plans, network, net = start((8, 9))
    write_fp4_product(net)
    with pytest.raises(EngineError):
        plans.build(network, PROFILE)
    network = plans.create_network()
    net = NetworkWriter(plans.library, network)
    write_product(net, net.input("weight", FLOAT, (64, 32), "weight"))
    with pytest.raises(EngineError) as caught:
        plans.build(network, {})
    assert "fp4" not in caught.value.what


def test_a_dynamic_input_without_a_profile_is_refused_with_its_name() -> None:
    plans, network, net = start((12, 0))
    write_product(net, net.input("weight", FLOAT, (64, 32), "weight"))
    with pytest.raises(EngineError, match=r"refuses the network: .*\bx\b"):
        plans.build(network, {})


def test_a_long_refusal_is_cut() -> None:
    plans, network, _ = start((12, 0))
    plans._builder = types.SimpleNamespace(build_serialized_network=lambda network, config: None)
    plans._configure = lambda profile: plans.messages.append(("ERROR", "e" * 1000))
    with pytest.raises(EngineError) as caught:
        plans.build(network, {})
    assert len(caught.value.what) < 500
    assert caught.value.what.endswith("e ...")


def test_a_library_that_makes_no_builder_is_the_machines_fault() -> None:
    library = find_library()
    module = types.SimpleNamespace(ILogger=library.module.ILogger, Builder=lambda logger: None)
    with pytest.raises(MachineError, match="cannot create a builder on this machine"):
        PlanBuilder(type(library)("rtx", module, "1.7"), (12, 0))


def test_a_logger_keeps_what_it_is_told_with_its_severity() -> None:
    messages: list[tuple[str, str]] = []
    library = find_library()
    logger = make_logger(library, messages)
    logger.log(library.module.ILogger.Severity.WARNING, "too warm")
    assert messages == [("WARNING", "too warm")]


@pytest.mark.parametrize(
    ("flavor", "product", "remedy"),
    [
        ("auto", "TensorRT", "pip install 'trtnemo[tensorrt]'"),
        ("rtx", "TensorRT for RTX", "pip install 'trtnemo[tensorrt]'"),
        ("full", "full TensorRT", "pip install tensorrt"),
    ],
)
def test_a_missing_library_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, flavor: Any, product: str, remedy: str
) -> None:
    monkeypatch.setitem(MODULES, "rtx", ("no_such_rtx",))
    monkeypatch.setitem(MODULES, "full", ("no_such_full",))
    with pytest.raises(MachineError) as caught:
        find_library(flavor)
    assert caught.value.what.startswith(f"{product} is not installed (no_such_")
    assert caught.value.remedy == remedy
    assert caught.value.exit_code == 6


def test_full_tensorrt_is_taken_where_the_other_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    full: Any = types.ModuleType("pretended_full")
    full.Builder, full.__version__ = object, "11.1"
    monkeypatch.setitem(sys.modules, "pretended_full", full)
    monkeypatch.setitem(MODULES, "rtx", ("no_such_rtx",))
    monkeypatch.setitem(MODULES, "full", ("pretended_full",))
    found = find_library()
    assert (found.flavor, found.product, found.version) == ("full", "TensorRT", "11.1")
    with pytest.raises(MachineError, match="TensorRT for RTX is not installed"):
        find_library("rtx")


def test_a_module_without_a_builder_is_no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "empty_tensorrt", types.ModuleType("empty_tensorrt"))
    monkeypatch.setitem(MODULES, "rtx", ("empty_tensorrt",))
    with pytest.raises(MachineError, match="empty_tensorrt: holds no builder"):
        find_library("rtx")


def test_rtx_is_preferred_to_full_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pretended_rtx", "pretended_full"):
        module: Any = types.ModuleType(name)
        module.Builder, module.__version__ = object, "1"
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(MODULES, "rtx", ("pretended_rtx",))
    monkeypatch.setitem(MODULES, "full", ("pretended_full",))
    assert find_library().flavor == "rtx"
    assert find_library("full").flavor == "full"


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
