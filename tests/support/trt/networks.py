"""Networks that tests write into a builder."""

from __future__ import annotations

from typing import Any

from trtnemo.trt.build import PlanBuilder
from trtnemo.trt.element import Element
from trtnemo.trt.library import find_library
from trtnemo.trt.writer import NetworkWriter

FLOAT = Element.FLOAT32


def start(capability: Any) -> Any:
    plans = PlanBuilder(find_library(), capability)
    network = plans.create_network()
    return plans, network, NetworkWriter(plans.library, network)


def write_product(net: Any, weight: Any) -> None:
    x = net.input("x", FLOAT, ("T", 32), "value")
    net.output("out", net.matmul(x, weight, transpose_right=True), ("T", 64))
