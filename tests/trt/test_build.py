"""From a network to a plan, the library that is found, and digests of networks."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

from tests.support.trt.networks import start, write_product
from trtnemo.errors import EngineError, MachineError
from trtnemo.trt.build import PlanBuilder, Profile, make_logger
from trtnemo.trt.element import Element
from trtnemo.trt.library import MODULES, find_library
from trtnemo.trt.writer import NetworkWriter

FLOAT = Element.FLOAT32
PROFILE: Profile = {"x": ((1, 32), (4, 32), (8, 32))}


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
