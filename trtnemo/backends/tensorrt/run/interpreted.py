"""Plans without a GPU: each network is written again and executed layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from trtnemo.backends.tensorrt.lower.emit import Emitted, emit
from trtnemo.backends.tensorrt.lower.index import PlanIndex
from trtnemo.backends.tensorrt.lower.networks import NetworkSpec
from trtnemo.backends.tensorrt.run.plan import Plan
from trtnemo.errors import EngineError
from trtnemo.trt.build import PlanBuilder
from trtnemo.trt.interpreter import InterpretedEngine
from trtnemo.trt.library import Library


class InterpretedPlans:
    """Opens the plans of an index; raises EngineError where this program would no longer write the same network."""

    def __init__(self, index: PlanIndex, networks: Mapping[str, NetworkSpec], library: Library) -> None:
        major, _, minor = index.compute_capability.partition(".")
        self._builder = PlanBuilder(library, (int(major), int(minor)))
        self._index = index
        self._networks = networks
        self._opened: dict[str, Plan] = {}
        self._emitted: list[Emitted] = []  # constants live as long as their writers

    def open(self, name: str) -> Plan:
        """Return a plan by name."""
        if name not in self._opened:
            emitted = emit(self._networks[name], self._index.settings, self._builder)
            record = self._index.find(name)
            if emitted.record.network_digest != record.network_digest:
                raise EngineError(
                    "was built from another network than this version of trtnemo or TensorRT writes",
                    where=name,
                    remedy="Rebuild the engine",
                )
            self._emitted.append(emitted)
            engine = InterpretedEngine(self._builder.library, emitted.network, emitted.profile)
            self._opened[name] = Plan(record, engine, torch.device("cpu"))
        return self._opened[name]
