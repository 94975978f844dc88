"""One layer of a network, ready to run, and what TensorRT declares of its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trtnemo.errors import EngineError
from trtnemo.trt.element import Element, element_of
from trtnemo.trt.interpreter.kinds import KINDS
from trtnemo.trt.interpreter.values import TORCH_TYPES, Dequantized, Value

Values = dict[str, Value]


@dataclass(frozen=True)
class Declared:
    """What TensorRT says of a tensor: name, element type, lengths (-1 where known at run time only)."""

    name: str
    element: Element
    shape: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Any) -> Declared:
        """Return what a library's ITensor declares."""
        return cls(str(tensor.name), element_of(tensor.dtype), tuple(tensor.shape))

    def check(self, value: Value, layer: str) -> None:
        """Raise EngineError unless the value keeps the declaration."""
        shape = tuple(value.codes.shape if isinstance(value, Dequantized) else value.shape)
        wanted = TORCH_TYPES[self.element]
        found = TORCH_TYPES[value.element] if isinstance(value, Dequantized) else value.dtype
        fits = len(shape) == len(self.shape) and all(
            want in (-1, have) for want, have in zip(self.shape, shape, strict=True)
        )
        if found is not wanted or not fits:
            raise EngineError(
                f"gives {found} {list(shape)} where TensorRT infers {self.element.value} {list(self.shape)}",
                where=layer,
            )


@dataclass(frozen=True)
class Instruction:
    """One layer, ready to run: `kind` is TensorRT's LayerType."""

    kind: str
    layer: Any
    name: str
    inputs: tuple[str | None, ...]
    outputs: tuple[Declared, ...]

    def run(self, values: Values) -> None:
        """Compute the layer's outputs; raises EngineError on one that is not what was declared."""
        given = [None if name is None else values[name] for name in self.inputs]
        made = KINDS[self.kind](self.layer, given)  # type: ignore[arg-type]
        for declared, value in zip(self.outputs, made, strict=True):
            declared.check(value, self.name)
            values[declared.name] = value
