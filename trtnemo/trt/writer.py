"""Writing an INetworkDefinition: one small method per layer, names and constants kept in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from trtnemo.errors import EngineError
from trtnemo.trt.element import Element, element_of
from trtnemo.trt.library import Library
from trtnemo.trt.tensor_spec import Dims, Source, TensorSpec

# ITensor of whichever library is in use; none of them ships types
ITensor = Any
Shape = Sequence[int]


class NetworkWriter:
    """Appends layers to a strongly typed network; every layer's name begins with the scope it was written in.

    A dimension of -1 is dynamic. Broadcasting follows TensorRT: ranks must agree, lengths of 1 spread.
    """

    def __init__(self, library: Library, network: Any) -> None:
        self.library = library
        self.network = network
        self.inputs: dict[str, TensorSpec] = {}
        self.outputs: dict[str, TensorSpec] = {}
        self._kept: list[npt.NDArray[Any]] = []  # the builder reads constants from this memory
        self._scopes: list[str] = []
        self._count = 0

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Name the layers written inside after `name`."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def input(self, name: str, element: Element, dims: Dims, source: Source) -> ITensor:
        """Declare an input; a dimension that is a word is known at run time only."""
        self.inputs[name] = TensorSpec(name=name, element=element, dims=tuple(dims), source=source)
        shape = tuple(size if isinstance(size, int) else -1 for size in dims)
        return self.network.add_input(name, self.library.data_type(element), shape)

    def output(self, name: str, x: ITensor, dims: Dims) -> None:
        """Mark an output under a name of its own."""
        marked = self._out(self.network.add_identity(x))
        self._mark(name, marked, dims, "value")

    def output_in_place(self, name: str, x: ITensor, dims: Dims) -> None:
        """Mark the output of a cache update, which must be bound where its cache is bound."""
        self._mark(name, x, dims, "state")

    def element(self, x: ITensor) -> Element:
        """Return the element type of a tensor."""
        return element_of(x.dtype)

    def constant(self, values: npt.ArrayLike, element: Element = Element.FLOAT32) -> ITensor:
        """Return a constant; FLOAT32, INT32 or INT64."""
        array = np.ascontiguousarray(np.asarray(values, np.dtype(element.value)))
        array = array.reshape(np.shape(values))
        self._kept.append(array)
        return self._out(self.network.add_constant(array.shape, self.library.module.Weights(array)))

    def cast(self, x: ITensor, element: Element) -> ITensor:
        """Return x in another element type; x itself when it has it already."""
        if self.element(x) is element:
            return x
        return self._out(self.network.add_cast(x, self.library.data_type(element)))

    def binary(self, operation: str, left: ITensor, right: ITensor) -> ITensor:
        """Return an elementwise result: SUM, SUB, PROD, DIV, MAX, MIN, GREATER, LESS, EQUAL, ..."""
        kind = getattr(self.library.module.ElementWiseOperation, operation)
        return self._out(self.network.add_elementwise(left, right, kind))

    def add(self, left: ITensor, right: ITensor) -> ITensor:
        """Return the sum."""
        return self.binary("SUM", left, right)

    def subtract(self, left: ITensor, right: ITensor) -> ITensor:
        """Return the difference."""
        return self.binary("SUB", left, right)

    def multiply(self, left: ITensor, right: ITensor) -> ITensor:
        """Return the product, element by element."""
        return self.binary("PROD", left, right)

    def divide(self, left: ITensor, right: ITensor) -> ITensor:
        """Return the quotient."""
        return self.binary("DIV", left, right)

    def unary(self, operation: str, x: ITensor) -> ITensor:
        """Return EXP, LOG, SQRT, RECIP, NEG, NOT, ... of x."""
        return self._out(self.network.add_unary(x, getattr(self.library.module.UnaryOperation, operation)))

    def activation(self, kind: str, x: ITensor) -> ITensor:
        """Return RELU, SIGMOID or SOFTPLUS (log(1 + exp(x))) of x."""
        layer = self._taken(self.network.add_activation(x, getattr(self.library.module.ActivationType, kind)))
        if kind == "SOFTPLUS":
            layer.alpha, layer.beta = 1.0, 1.0
        return self._out(layer)

    def reduce(self, operation: str, x: ITensor, axis: int, keep: bool = False) -> ITensor:
        """Return SUM, AVG, MAX or MIN over one axis."""
        kind = getattr(self.library.module.ReduceOperation, operation)
        return self._out(self.network.add_reduce(x, kind, 1 << (axis % len(x.shape)), keep))

    def cumulative_sum(self, x: ITensor, axis: int) -> ITensor:
        """Return the inclusive running sum along an axis."""
        kind = self.library.module.CumulativeOperation.SUM
        position = self.constant(axis, Element.INT32)
        return self._out(self.network.add_cumulative(x, position, kind, False, False))

    def matmul(self, left: ITensor, right: ITensor, transpose_right: bool = False) -> ITensor:
        """Return the matrix product over the last two dimensions."""
        operation = self.library.module.MatrixOperation
        second = operation.TRANSPOSE if transpose_right else operation.NONE
        return self._out(self.network.add_matrix_multiply(left, operation.NONE, right, second))

    def einsum(self, equation: str, *operands: ITensor) -> ITensor:
        """Return an einsum."""
        return self._out(self.network.add_einsum(list(operands), equation))

    def gather(self, x: ITensor, indices: ITensor, axis: int, batched: bool = False) -> ITensor:
        """Return rows of x by number along an axis; `batched`: the first dimension belongs to both."""
        layer = self._taken(self.network.add_gather(x, indices, axis))
        layer.num_elementwise_dims = int(batched)
        return self._out(layer)

    def reshape(self, x: ITensor, shape: Shape) -> ITensor:
        """Return x in another shape; 0 keeps a dimension, one -1 takes what is left."""
        layer = self._taken(self.network.add_shuffle(x))
        layer.reshape_dims = tuple(shape)
        return self._out(layer)

    def reshape_like(self, x: ITensor, parts: Sequence[int | tuple[ITensor, int]]) -> ITensor:
        """Return x reshaped; a part is a number, or (tensor, axis) for that tensor's length at run time."""
        layer = self._taken(self.network.add_shuffle(x))
        layer.set_input(1, self.shape_of(parts))
        return self._out(layer)

    def transpose(self, x: ITensor, order: Sequence[int]) -> ITensor:
        """Return x with its dimensions in another order."""
        layer = self._taken(self.network.add_shuffle(x))
        layer.first_transpose = self.library.module.Permutation(list(order))
        return self._out(layer)

    def unsqueeze(self, x: ITensor, *axes: int) -> ITensor:
        """Return x with dimensions of length 1 at those places of the result."""
        return self._out(self.network.add_unsqueeze(x, self.constant(list(axes), Element.INT64)))

    def concat(self, parts: Sequence[ITensor], axis: int) -> ITensor:
        """Return the parts side by side."""
        layer = self._taken(self.network.add_concatenation(list(parts)))
        layer.axis = axis
        return self._out(layer)

    def slice(self, x: ITensor, axis: int, start: int, length: int | tuple[ITensor, int]) -> ITensor:
        """Return `length` entries of one axis from `start`; a length may be another tensor's, at run time."""
        rank = len(x.shape)
        begin = [0] * rank
        begin[axis] = start
        layer = self._taken(self.network.add_slice(x, tuple(begin), (1,) * rank, (1,) * rank))
        parts: list[int | tuple[ITensor, int]] = [
            length if place == axis else (size if size >= 0 else (x, place)) for place, size in enumerate(x.shape)
        ]
        if all(isinstance(part, int) for part in parts):
            layer.shape = tuple(int(part) for part in parts)  # type: ignore[arg-type]
        else:
            layer.set_input(2, self.shape_of(parts))
        return self._out(layer)

    def shape_of(self, parts: Sequence[int | tuple[ITensor, int]]) -> ITensor:
        """Return a shape as an INT64 tensor, from numbers and lengths known at run time."""
        pieces = []
        for part in parts:
            if isinstance(part, int):
                pieces.append(self.constant([part], Element.INT64))
                continue
            tensor, axis = part
            shape = self._out(self.network.add_shape(tensor))
            pieces.append(self._out(self.network.add_slice(shape, (axis,), (1,), (1,))))
        return self.concat(pieces, 0)

    def select(self, condition: ITensor, yes: ITensor, no: ITensor) -> ITensor:
        """Return `yes` where the condition holds, else `no`."""
        return self._out(self.network.add_select(condition, yes, no))

    def top_k(self, x: ITensor, count: int, axis: int) -> tuple[ITensor, ITensor]:
        """Return the largest values along an axis and their INT32 positions, largest first."""
        layer = self._taken(self.network.add_topk(x, self.library.module.TopKOperation.MAX, count, 1 << axis))
        indices = layer.get_output(1)
        self._out(layer)
        return layer.get_output(0), indices

    def dequantize(self, codes: ITensor, scale: ITensor, element: Element) -> ITensor:
        """Return codes times scale: a scalar, or one per block of 16 of the last dimension."""
        return self._out(self.network.add_dequantize(codes, scale, self.library.data_type(element)))

    def quantize(self, x: ITensor, scale: ITensor, element: Element) -> ITensor:
        """Return x / scale rounded and clamped to FP8; the scale must be a constant."""
        return self._out(self.network.add_quantize(x, scale, self.library.data_type(element)))

    def dynamic_quantize(self, x: ITensor, global_scale: ITensor) -> tuple[ITensor, ITensor]:
        """Return FP4 codes and FP8 scales per 16 of the last dimension; x has 2 or 3, global_scale is a constant."""
        types = (self.library.data_type(Element.FP4), self.library.data_type(Element.FP8))
        layer = self._taken(self.network.add_dynamic_quantize(x, len(x.shape) - 1, 16, *types))
        layer.set_input(1, global_scale)
        self._out(layer)
        return layer.get_output(0), layer.get_output(1)

    def cache_update(self, cache: ITensor, update: ITensor, write_indices: ITensor) -> ITensor:
        """Write `update` [b, d, s_new, h] into `cache` [b, d, s, h] in place from write_indices [b] on."""
        mode = self.library.module.KVCacheMode.LINEAR
        return self._out(self.network.add_kv_cache_update(cache, update, write_indices, mode))

    def attention(self, query: ITensor, key: ITensor, value: ITensor, key_lengths: ITensor) -> ITensor:
        """Return causal attention [b, heads, rows, dim], aligned so that the last row sees all `key_lengths` keys.

        The scale is the caller's: multiply the query by it.
        """
        module = self.library.module
        softmax, kind = module.AttentionNormalizationOp.SOFTMAX, module.CausalMaskKind.LOWER_RIGHT
        layer = self._taken(self.network.add_attention_v2(query, key, value, softmax, kind))
        layer.key_value_lengths = key_lengths
        layer.decomposable = True
        return self._out(layer)

    def loop(self, trips: ITensor) -> Any:
        """Return an ILoop that runs `trips` (a scalar INT32) times."""
        loop = self.network.add_loop()
        limit = loop.add_trip_limit(trips, self.library.module.TripLimit.COUNT)
        self.name(limit)
        return loop

    def name(self, layer: Any) -> Any:
        """Give a layer its name and return it."""
        layer.name = "/".join([*self._scopes, str(self._count)])
        self._count += 1
        return layer

    def _mark(self, name: str, x: ITensor, dims: Dims, source: Source) -> None:
        x.name = name
        self.outputs[name] = TensorSpec(name=name, element=self.element(x), dims=tuple(dims), source=source)
        self.network.mark_output(x)

    def _taken(self, layer: Any) -> Any:
        if layer is None:
            where = "/".join(self._scopes) or None
            raise EngineError("TensorRT rejected this layer; see its log", where=where)
        return layer

    def _out(self, layer: Any) -> ITensor:
        return self.name(self._taken(layer)).get_output(0)
