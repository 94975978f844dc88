"""A network's layers in the order they run, each checked against the type and shape that TensorRT gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from trtnemo.trt.interpreter.instruction import Declared, Instruction, Values
from trtnemo.trt.interpreter.order import arrange
from trtnemo.trt.interpreter.values import Dequantized, Value, resolve
from trtnemo.trt.layer_class import open_layer


class Program:
    """The instructions of a network, constants computed once; `library` is its TensorRT module."""

    def __init__(self, module: Any, network: Any) -> None:
        instructions = [_open(module, network.get_layer(index)) for index in range(network.num_layers)]
        self.constants: Values = {}
        for instruction in instructions:
            if instruction.kind == "CONSTANT":
                instruction.run(self.constants)
        self.outputs = [Declared.of(network.get_output(index)) for index in range(network.num_outputs)]
        self.layers = len(instructions)
        self._steps = arrange([item for item in instructions if item.kind != "CONSTANT"])
        self._last_use = {name: index for index, step in enumerate(self._steps) for name in step.inputs if name}

    def find_aliases(self) -> dict[str, str]:
        """Return which output is updated in place, by the input whose memory it shares."""
        names = {output.name for output in self.outputs}
        updates = [step for step in self._steps if isinstance(step, Instruction) and step.kind == "KV_CACHE_UPDATE"]
        return {step.outputs[0].name: str(step.inputs[0]) for step in updates if step.outputs[0].name in names}

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Value]:
        """Return the network's outputs; states among the inputs are written in place."""
        values: Values = {**self.constants, **inputs}
        kept = {output.name for output in self.outputs}
        for index, step in enumerate(self._steps):
            if isinstance(step, Instruction) and step.kind == "KV_CACHE_UPDATE":
                _part_from(str(step.inputs[0]), values)
            step.run(values)
            for name in step.inputs:
                if name and self._last_use[name] == index and name not in kept:
                    values.pop(name, None)
        return {name: values[name] for name in kept}


def _part_from(cache: str, values: Values) -> None:
    """Copy what still shows a cache's memory, such as a reshape of it, before the cache is overwritten."""
    memory = _memory(values[cache])
    for name, value in values.items():
        if name != cache and _memory(value) == memory:
            values[name] = resolve(value).clone()


def _memory(value: Value) -> int:
    tensor = value.codes if isinstance(value, Dequantized) else value
    return tensor.untyped_storage().data_ptr()


def _open(module: Any, found: Any) -> Instruction:
    kind, layer = open_layer(module, found)
    inputs = [layer.get_input(place) for place in range(layer.num_inputs)]
    outputs = [layer.get_output(place) for place in range(layer.num_outputs)]
    return Instruction(
        kind,
        layer,
        str(layer.name),
        tuple(None if tensor is None else str(tensor.name) for tensor in inputs),
        tuple(Declared.of(tensor) for tensor in outputs),
    )
