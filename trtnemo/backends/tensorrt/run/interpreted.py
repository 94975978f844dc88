"""Plans without a GPU: each network is written again and executed layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from trtnemo.backends.tensorrt.lower.emit import emit
from trtnemo.backends.tensorrt.lower.index import PlanIndex
from trtnemo.backends.tensorrt.lower.networks import NetworkSpec
from trtnemo.backends.tensorrt.run.plan import Plan
from trtnemo.errors import EngineError
from trtnemo.trt.build import PlanBuilder
from trtnemo.trt.interpreter import InterpretedEngine
from trtnemo.trt.library import Library
from trtnemo.trt.writer import NetworkWriter


class InterpretedPlans:
    """Opens the plans of an index; raises EngineError where this program would no longer write the same network."""

    def __init__(self, index: PlanIndex, networks: Mapping[str, NetworkSpec], library: Library) -> None:
        major, _, minor = index.compute_capability.partition(".")
        self._builder = PlanBuilder(library, (int(major), int(minor)))
        self._index = index
        self._networks = networks
        self._engines: dict[str, InterpretedEngine] = {}
        self._writers: list[NetworkWriter] = []  # constants live as long as their writers

    def open(self, name: str) -> Plan:
        """Return a plan by name, in a context of its own."""
        if name not in self._engines:
            self._engines[name] = self._write(name)
        engine = self._engines[name]
        return Plan(self._index.find(name), engine, engine.create_execution_context(), torch.device("cpu"))

    def _write(self, name: str) -> InterpretedEngine:
        spec = self._networks.get(name)
        if spec is None:
            raise _stale(name)
        net, record = emit(spec, self._index.settings, self._builder)
        if record.network_digest != self._index.find(name).network_digest:
            raise _stale(name)
        self._writers.append(net)
        return InterpretedEngine(self._builder.library, net.network, spec.profile(net, self._index.settings))


def _stale(name: str) -> EngineError:
    what = "was built from another network than this version of trtnemo or TensorRT writes"
    return EngineError(what, where=name, remedy="Rebuild the engine")
