"""A deserialized or interpreted plan: tensors bound by name, then run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trtnemo.backends.tensorrt.lower.record import PlanRecord
from trtnemo.errors import EngineError
from trtnemo.trt.element import Element
from trtnemo.trt.tensor_spec import TensorSpec

DEVICE_TYPES: dict[Element, torch.dtype] = {
    Element.FLOAT32: torch.float32,
    Element.FLOAT16: torch.float16,
    Element.BFLOAT16: torch.bfloat16,
    Element.FP8: torch.uint8,
    Element.FP4: torch.uint8,  # two codes per byte
    Element.INT32: torch.int32,
    Element.INT64: torch.int64,
}


# Bytes: what TensorRT asks of every address, and what torch's allocator gives on a CPU
ALIGNMENT = {"cuda": 256, "cpu": 64}


class Plan:
    """A plan with an execution context of its own, which runs once at a time.

    `engine` is an ICudaEngine or an InterpretedEngine; a context that is bound to the same addresses each time can
    replay a captured CUDA graph.
    """

    def __init__(self, record: PlanRecord, engine: Any, context: Any, device: torch.device) -> None:
        self.record = record
        self.inputs = {spec.name: spec for spec in record.inputs}
        self.outputs = {spec.name: spec for spec in record.outputs}
        self._device = device
        self._context = context
        names = {engine.get_tensor_name(index) for index in range(engine.num_io_tensors)}
        if names != self.inputs.keys() | self.outputs.keys():
            odd = sorted(names ^ (self.inputs.keys() | self.outputs.keys()))
            raise EngineError(
                f"{record.name} has other tensors than its record: {odd[:4]}", remedy="Rebuild the engine"
            )
        self._aliases = {name: engine.get_aliased_input_tensor(name) for name in self.outputs}

    def alias(self, output: str) -> str:
        """Return the input whose memory an output shares; empty when there is none."""
        return str(self._aliases[output])

    def run(self, given: Mapping[str, Tensor], sizes: Mapping[str, int]) -> dict[str, Tensor]:
        """Return the outputs by name, states left out: they are updated where they lie.

        `sizes` are the lengths known at run time only; raises EngineError on one outside the profile.
        """
        copies = [self._bind(spec, given[name], sizes) for name, spec in self.inputs.items()]
        made = {}
        for name, spec in self.outputs.items():
            alias = self.alias(name)
            if alias:
                self._context.set_tensor_address(name, given[alias].data_ptr())
                continue
            made[name] = torch.empty(spec.shape(sizes), dtype=DEVICE_TYPES[spec.element], device=self._device)
            self._context.set_tensor_address(name, made[name].data_ptr())
        if not self._context.execute_async_v3(self._stream()):
            raise EngineError(f"TensorRT did not run {self.record.name}")
        del copies  # only now: memory freed on a stream serves what is enqueued on it later
        return made

    def _bind(self, spec: TensorSpec, tensor: Tensor, sizes: Mapping[str, int]) -> Tensor:
        """Bind an input and return what was bound: a copy where a part of one begins at an odd address."""
        shape = spec.shape(sizes)
        wanted = spec.element.nbytes(shape)
        if tensor.nbytes != wanted or not tensor.is_contiguous():
            raise EngineError(f"{self.record.name}: '{spec.name}' wants {wanted} bytes, was given {tensor.nbytes}")
        if spec.is_dynamic and not self._context.set_input_shape(spec.name, shape):
            raise EngineError(f"{self.record.name}: {list(shape)} of '{spec.name}' lies outside its profile")
        if tensor.data_ptr() % ALIGNMENT[self._device.type] and tensor.nbytes:
            if spec.source == "state":
                raise EngineError(f"{self.record.name}: '{spec.name}' begins at an address that no plan reads")
            tensor = tensor.clone()
        self._context.set_tensor_address(spec.name, tensor.data_ptr())
        return tensor

    def _stream(self) -> int:
        if self._device.type == "cpu":
            return 0
        return int(torch.cuda.current_stream(self._device).cuda_stream)
