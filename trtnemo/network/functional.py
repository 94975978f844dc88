"""Ops as functions of tensors; each records one node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trtnemo.graph import DType, ParameterSpec, Tensor, current_recorder
from trtnemo.graph.op import Op
from trtnemo.graph.ops import Add, Attention, Compute, Concat, Embedding, Linear, Relu2, RmsNorm, SelectRows


def embedding(path: str, token_ids: Tensor, weight: ParameterSpec, dtype: DType) -> Tensor:
    """Return the embedding rows of token ids [tokens]."""
    vocabulary, width = weight.shape
    op = Embedding(vocabulary=vocabulary, width=width, dtype=dtype)
    return current_recorder().record(path, op, [token_ids], {"weight": weight})


def rms_norm(path: str, x: Tensor, weight: ParameterSpec, epsilon: float) -> Tensor:
    """Return x normalized over its last dimension."""
    return current_recorder().record(path, RmsNorm(epsilon=epsilon), [x], {"weight": weight})


def linear(path: str, x: Tensor, weight: ParameterSpec, compute: Compute, out_dtype: DType) -> Tensor:
    """Return x times the transposed weight."""
    rows, columns = weight.shape
    op = Linear(rows=rows, columns=columns, compute=compute, out_dtype=out_dtype)
    return current_recorder().record(path, op, [x], {"weight": weight})


def relu2(path: str, x: Tensor) -> Tensor:
    """Return max(x, 0) squared."""
    return current_recorder().record(path, Relu2(), [x])


def add(path: str, left: Tensor, right: Tensor) -> Tensor:
    """Return the elementwise sum."""
    return current_recorder().record(path, Add(), [left, right])


def concat(path: str, *tensors: Tensor) -> Tensor:
    """Return the tensors side by side."""
    return current_recorder().record(path, Concat(), tensors)


def select_rows(path: str, x: Tensor, rows: Tensor) -> Tensor:
    """Return the named rows of x."""
    return current_recorder().record(path, SelectRows(), [x, rows])


def attention(path: str, queries: Tensor, keys: Tensor, values: Tensor, op: Attention) -> Tensor:
    """Return causal attention over the sequence's KV cache."""
    return current_recorder().record(path, op, [queries, keys, values])


def plugin(path: str, op: Op, inputs: Sequence[Tensor], parameters: Mapping[str, ParameterSpec]) -> Tensor:
    """Return the output of a plugin's op."""
    return current_recorder().record(path, op, list(inputs), parameters)
