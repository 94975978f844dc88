"""Every kind of layer that our networks use, in torch, each by TensorRT's own operator pages.

Source: docs.nvidia.com/deeplearning/tensorrt, "Operators" (11.1), and the docstrings of the 1.7 bindings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trtnemo.errors import EngineError
from trtnemo.trt.element import Element, element_of
from trtnemo.trt.interpreter.values import BLOCK, TORCH_TYPES, Dequantized, Value, encode_fp4, resolve

# (layer, its inputs, None where one is absent) -> its outputs
LayerFunction = Callable[[Any, Sequence[Value]], list[Value]]
_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "EXP": torch.exp,
    "SQRT": torch.sqrt,
    "NEG": torch.neg,
    "NOT": torch.logical_not,
    "RECIP": torch.reciprocal,
    "ABS": torch.abs,
    "LOG": torch.log,
}
_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "SUM": torch.add,
    "SUB": torch.sub,
    "PROD": torch.mul,
    "DIV": torch.div,
    "MAX": torch.maximum,
    "MIN": torch.minimum,
    "GREATER": torch.gt,
    "LESS": torch.lt,
    "EQUAL": torch.eq,
    "AND": torch.logical_and,
    "OR": torch.logical_or,
}


def _type(layer: Any, index: int = 0) -> Element:
    return element_of(layer.get_output(index).dtype)


def _round(x: Tensor, layer: Any, index: int = 0) -> Tensor:
    return x.to(TORCH_TYPES[_type(layer, index)])


def activation(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """RELU, SIGMOID, or SOFTPLUS as alpha * log(exp(beta * x) + 1)."""
    x, kind = resolve(inputs[0]), layer.type.name
    if kind == "RELU":
        return [torch.relu(x)]
    if kind == "SIGMOID":
        return [torch.sigmoid(x)]
    if kind == "SOFTPLUS":
        return [layer.alpha * F.softplus(layer.beta * x)]
    raise EngineError(f"the interpreter has no activation {kind}", where=layer.name)


def cast(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """Another element type."""
    return [_round(resolve(inputs[0]), layer)]


def concatenation(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """Inputs side by side."""
    return [torch.cat([resolve(part) for part in inputs], dim=layer.axis)]


def constant(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """The constant's numbers."""
    values = torch.as_tensor(layer.weights.copy() if hasattr(layer.weights, "copy") else layer.weights)
    return [values.to(TORCH_TYPES[_type(layer)]).reshape(tuple(layer.shape))]


def cumulative(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """An inclusive running sum along the axis that the second input names."""
    if layer.op.name != "SUM" or layer.exclusive or layer.reverse:
        raise EngineError("the interpreter knows inclusive forward sums only", where=layer.name)
    return [_round(torch.cumsum(resolve(inputs[0]), dim=int(resolve(inputs[1]))), layer)]


def dequantize(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """Codes times scale: a scalar, or one per block of 16 of the last dimension."""
    return [Dequantized(resolve(inputs[0]), inputs[1], _type(layer))]


def quantize(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """X / scale, clamped to FP8's range and rounded to the nearest, ties to even."""
    if _type(layer) is not Element.FP8:
        raise EngineError("the interpreter quantizes to FP8 only", where=layer.name)
    scaled = resolve(inputs[0]).float() / resolve(inputs[1]).float()
    return [scaled.clamp(-448, 448).to(torch.float8_e4m3fn)]


def dynamic_quantize(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """FP4 codes and FP8 scales per 16: scale = max / 6 under the global scale, rounded before it is divided out.

    That a scale is never below FP8's smallest number is ModelOpt's rule; TensorRT's is not known (docs/gpu.md).
    """
    x, global_scale = resolve(inputs[0]).float(), resolve(inputs[1]).float()
    blocks = x.reshape(*x.shape[:-1], -1, BLOCK)
    scale = (blocks.abs().amax(-1) / 6 / global_scale).clamp(2**-9, 448).to(torch.float8_e4m3fn)
    divisor = (scale.float() * global_scale)[..., None]
    return [encode_fp4(blocks / divisor).reshape(x.shape), scale]


def einsum(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """An einsum, summed in float32."""
    total = torch.einsum(layer.equation, *(resolve(part).float() for part in inputs))
    return [_round(total, layer)]


def elementwise(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """An elementwise operation; ranks agree and lengths of 1 spread."""
    left, right = resolve(inputs[0]), resolve(inputs[1])
    operation = _BINARY.get(layer.op.name)
    if operation is None:
        raise EngineError(f"the interpreter has no operation {layer.op.name}", where=layer.name)
    if left.ndim != right.ndim or left.dtype != right.dtype:
        raise EngineError(f"{layer.op.name} of {left.dtype} {left.ndim}d and {right.dtype} {right.ndim}d")
    return [operation(left, right)]


def gather(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """Rows by number along an axis; with one elementwise dimension, each batch entry takes its own."""
    data, indices = inputs[0], resolve(inputs[1]).long()
    if isinstance(data, Dequantized) and layer.axis == 0 and layer.num_elementwise_dims == 0:
        return [data.rows(indices)]
    data = resolve(data)
    if layer.num_elementwise_dims == 0:
        axis = layer.axis
        picked = data.index_select(axis, indices.reshape(-1))
        return [picked.reshape(*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])]
    if layer.axis != 1:
        raise EngineError("the interpreter gathers batches along axis 1 only", where=layer.name)
    return [torch.stack([row[index] for row, index in zip(data, indices, strict=True)])]


def identity(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """X."""
    return [inputs[0]]


def matrix_multiply(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """A product over the last two dimensions, summed in float32."""
    operands = []
    for value, operation in zip(inputs, (layer.op0, layer.op1), strict=True):
        x = resolve(value).float()
        operands.append(x.transpose(-1, -2) if operation.name == "TRANSPOSE" else x)
    return [_round(operands[0] @ operands[1], layer)]


def reduce(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """SUM, AVG, MAX or MIN over the axes of the mask, in float32; integers as they are."""
    x, kind = resolve(inputs[0]), layer.op.name
    x = x.float() if x.is_floating_point() else x
    axes = tuple(axis for axis in range(x.ndim) if layer.axes >> axis & 1)
    functions: dict[str, Callable[..., Tensor]] = {
        "SUM": torch.sum,
        "AVG": torch.mean,
        "MAX": torch.amax,
        "MIN": torch.amin,
    }
    if kind not in functions:
        raise EngineError(f"the interpreter does not reduce by {kind}", where=layer.name)
    return [_round(functions[kind](x, dim=axes, keepdim=layer.keep_dims), layer)]


def select(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """The second input where the first holds, else the third."""
    return [torch.where(resolve(inputs[0]), resolve(inputs[1]), resolve(inputs[2]))]


def shape(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """The lengths of x in INT64."""
    return [torch.tensor(resolve(inputs[0]).shape, dtype=torch.int64)]


def shuffle(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """A transpose, then a reshape (0 keeps a length, -1 takes the rest), then another transpose."""
    x = resolve(inputs[0]).permute(_order(layer.first_transpose, resolve(inputs[0]).ndim))
    sizes = [int(size) for size in resolve(inputs[1])] if len(inputs) > 1 else _reshape_dims(layer, x)
    x = x.reshape([x.shape[place] if size == 0 else size for place, size in enumerate(sizes)])
    return [x.permute(_order(layer.second_transpose, x.ndim))]


def _reshape_dims(layer: Any, x: Tensor) -> list[int]:
    dims = layer.reshape_dims  # None where no reshape was asked for
    return list(x.shape if dims is None else dims)


def _order(permutation: Any, rank: int) -> list[int]:
    return [permutation[place] for place in range(rank)]


def slice_(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """A stretch of every axis; its lengths may be an input."""
    x = resolve(inputs[0])
    lengths = [int(size) for size in resolve(inputs[2])] if len(inputs) > 2 else list(layer.shape)
    if any(step != 1 for step in layer.stride):
        raise EngineError("the interpreter slices by steps of one only", where=layer.name)
    for axis, (start, length) in enumerate(zip(layer.start, lengths, strict=True)):
        x = x.narrow(axis, start, length)
    return [x]


def top_k(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """The largest values along one axis, largest first, and their positions."""
    axis = int(layer.axes).bit_length() - 1
    if layer.op.name != "MAX":
        raise EngineError("the interpreter takes the largest only", where=layer.name)
    values, positions = torch.topk(resolve(inputs[0]), layer.k, dim=axis)
    return [values, positions.to(TORCH_TYPES[_type(layer, 1)])]


def unary(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """A function of each element."""
    function = _UNARY.get(layer.op.name)
    if function is None:
        raise EngineError(f"the interpreter has no operation {layer.op.name}", where=layer.name)
    return [function(resolve(inputs[0]))]


def unsqueeze(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """X with lengths of 1 at the places of the result that the second input names."""
    value = inputs[0]
    if isinstance(value, Dequantized):
        value = value.resolve()
    for axis in sorted(int(axis) for axis in resolve(inputs[1])):
        value = value.unsqueeze(axis)
    return [value]
