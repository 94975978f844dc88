"""Networks of a few layers, written and interpreted, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trtnemo.trt.build import PlanBuilder
from trtnemo.trt.element import Element
from trtnemo.trt.interpreter import InterpretedContext, InterpretedEngine
from trtnemo.trt.interpreter.values import TORCH_TYPES
from trtnemo.trt.library import find_library
from trtnemo.trt.tensor_spec import Dim
from trtnemo.trt.writer import NetworkWriter

_ELEMENTS = {dtype: element for element, dtype in TORCH_TYPES.items() if element is not Element.FP4}


@dataclass(frozen=True)
class Fp4:
    """FP4 codes as they lie in memory: two per byte of the last dimension, the low half first."""

    packed: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.packed.shape[:-1], self.packed.shape[-1] * 2)


Given = Tensor | np.ndarray | Fp4
# writes layers on the inputs and returns what shall be "out", or marks its outputs itself and returns None
Write = Callable[..., Any]


def fp4(codes: Any) -> Fp4:
    """Return codes 0 to 15, one per element, packed."""
    codes = torch.as_tensor(codes, dtype=torch.uint8)
    return Fp4(codes[..., ::2] | codes[..., 1::2] << 4)


def fp8(bits: Any) -> Tensor:
    """Return the bits of E4M3 numbers as such numbers."""
    return torch.as_tensor(bits, dtype=torch.uint8).view(torch.float8_e4m3fn)


@cache
def builder() -> PlanBuilder:
    return PlanBuilder(find_library(), (12, 0))


@dataclass(frozen=True)
class Interpreted:
    """An engine with the writer that holds its constants, and one context."""

    writer: NetworkWriter
    engine: InterpretedEngine
    context: InterpretedContext

    def run(self, **given: Given) -> dict[str, Tensor]:
        """Bind inputs by name, execute, and return the outputs; a state's output is its input's memory."""
        sizes: dict[str, int] = {}
        held = {}
        for name, spec in self.writer.inputs.items():
            shape = tuple(given[name].shape)
            sizes |= {dim: size for dim, size in zip(spec.dims, shape, strict=True) if isinstance(dim, str)}
            held[name] = _bytes_of(given[name])
            assert self.context.set_input_shape(name, shape)
            assert self.context.set_tensor_address(name, held[name].data_ptr())
        for name, spec in self.writer.outputs.items():
            alias = self.engine.get_aliased_input_tensor(name)
            held[name] = held[alias] if alias else torch.empty(spec.shape(sizes), dtype=TORCH_TYPES[spec.element])
            assert self.context.set_tensor_address(name, held[name].data_ptr())
        assert self.context.execute_async_v3(0)
        return {name: held[name] for name in self.writer.outputs}


def interpret(
    write: Write,
    inputs: Mapping[str, tuple[Element, Sequence[Dim]]],
    least: Mapping[str, int] | None = None,
    most: Mapping[str, int] | None = None,
) -> Interpreted:
    """Return the interpreted network; `least` and `most` are the profile's, by word."""
    network = builder().create_network()
    net = NetworkWriter(builder().library, network)
    tensors = {name: net.input(name, element, dims, "value") for name, (element, dims) in inputs.items()}
    made = write(net, **tensors)
    if made is not None:
        net.output("out", made, tuple(made.shape))
    profile = {}
    for name, spec in net.inputs.items():
        if spec.is_dynamic:
            low, high = spec.shape(least or {}), spec.shape(most or {})
            profile[name] = (low, high, high)
    engine = InterpretedEngine(net.library, network, profile)
    return Interpreted(net, engine, engine.create_execution_context())


def run(write: Write, dims: Mapping[str, Sequence[Dim]] | None = None, **given: Given) -> dict[str, Tensor]:
    """Write a network for the inputs given and run it; `dims` names those with lengths known at run time."""
    dims = dims or {}
    inputs = {}
    sizes: dict[str, int] = {}
    for name, value in given.items():
        shape = tuple(value.shape)
        sizes |= {dim: size for dim, size in zip(dims.get(name, ()), shape, strict=False) if isinstance(dim, str)}
        inputs[name] = (_element(value), tuple(dims.get(name, shape)))
    return interpret(write, inputs, dict.fromkeys(sizes, 1), sizes).run(**given)


def out(write: Write, dims: Mapping[str, Sequence[Dim]] | None = None, **given: Given) -> Tensor:
    """Return the only output of a network."""
    (found,) = run(write, dims, **given).values()
    return found


def _element(value: Given) -> Element:
    return Element.FP4 if isinstance(value, Fp4) else _ELEMENTS[torch.as_tensor(value).dtype]


def _bytes_of(value: Given) -> Tensor:
    if isinstance(value, Fp4):
        return value.packed.contiguous()
    tensor = torch.as_tensor(value)
    assert tensor.is_contiguous()
    return tensor
