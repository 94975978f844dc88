"""Plans on a GPU: deserialized once, with scratch memory that all share.

Compiled and type-checked only: no GPU has run this module yet (docs/gpu.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trtnemo.backends.tensorrt.lower.index import PlanIndex
from trtnemo.backends.tensorrt.plans import plan_file
from trtnemo.backends.tensorrt.run.plan import Plan
from trtnemo.errors import EngineError, MachineError
from trtnemo.trt.build import make_logger
from trtnemo.trt.library import Library

_REBUILD = "Rebuild the engine"


class DeserializedPlans:
    """Opens the plans of an engine directory; raises EngineError on a damaged plan or one for another device."""

    def __init__(
        self, directory: Path, index: PlanIndex, library: Library, device: torch.device, cuda_graphs: bool = True
    ) -> None:
        require_device(index, device)
        self._directory = directory
        self._index = index
        self._library = library
        self._device = device
        self._cuda_graphs = cuda_graphs
        self._messages: list[tuple[str, str]] = []
        self._runtime = library.module.Runtime(make_logger(library, self._messages))
        # plans run one after another on one stream, so that one piece of scratch memory serves them all
        self._scratch = [self._allocate(max(record.activation_bytes for record in index.plans))]
        self._engines: dict[str, Any] = {}

    def open(self, name: str) -> Plan:
        """Return a plan by name, in a context of its own."""
        if name not in self._engines:
            self._engines[name] = self._deserialize(name)
        record, engine = self._index.find(name), self._engines[name]
        captures = self._cuda_graphs and record.phase == "decode"  # a prefill's lengths change from run to run
        return Plan(record, engine, self._make_context(captures, engine), self._device)

    def _deserialize(self, name: str) -> Any:
        self._messages.clear()
        engine = self._runtime.deserialize_cuda_engine((self._directory / plan_file(name)).read_bytes())
        if engine is None:
            errors = [text for severity, text in self._messages if severity in ("ERROR", "INTERNAL_ERROR")]
            detail = errors[0][:200] if errors else "no reason given"
            raise EngineError(f"cannot be loaded: {detail}", where=plan_file(name), remedy=_REBUILD)
        return engine

    def _make_context(self, captures: bool, engine: Any) -> Any:
        module = self._library.module
        strategy = module.ExecutionContextAllocationStrategy.USER_MANAGED
        if hasattr(module, "CudaGraphStrategy"):
            config = engine.create_runtime_config()
            config.set_execution_context_allocation_strategy(strategy)
            graphs = module.CudaGraphStrategy
            config.cuda_graph_strategy = graphs.WHOLE_GRAPH_CAPTURE if captures else graphs.DISABLED
            context = engine.create_execution_context(config)
        else:
            context = engine.create_execution_context(strategy)
        if context is None:
            raise MachineError("the device has no memory left for an execution context")
        if engine.device_memory_size_v2 > self._scratch[-1].nbytes:  # more than the build said: inferred, never seen
            self._scratch.append(self._allocate(engine.device_memory_size_v2))
        context.set_device_memory(self._scratch[-1].data_ptr(), self._scratch[-1].nbytes)
        return context

    def _allocate(self, size: int) -> torch.Tensor:
        return torch.empty(max(size, 1), dtype=torch.uint8, device=self._device)


def require_device(index: PlanIndex, device: torch.device) -> None:
    """Raise EngineError unless the plans were built for the device's compute capability."""
    major, minor = torch.cuda.get_device_capability(device)
    if f"{major}.{minor}" != index.compute_capability:
        raise EngineError(
            f"its plans are for compute capability {index.compute_capability}, this GPU has {major}.{minor}",
            remedy=f"`trtnemo build --set hardware.compute_capability={major}.{minor}`",
        )
