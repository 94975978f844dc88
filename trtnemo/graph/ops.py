"""The few coarse ops of the family; the two plugin ops stand in plugins/*/op.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from trtnemo.graph.op import Op, require
from trtnemo.graph.types import ROWS, DType, StateSpec, ValueType

Compute = Literal["weight_only", "w4a4", "w8a8"]


class Embedding(Op):
    """Rows of the embedding table; inputs: token_ids [tokens]; parameter: weight [vocabulary, width]."""

    kind: ClassVar[str] = "embedding"
    vocabulary: int
    width: int
    dtype: DType

    def infer(self, inputs: Sequence[ValueType]) -> ValueType:
        """Return [tokens, width]."""
        require(inputs[0].dtype is DType.INT64, "token ids are int64")
        return ValueType(dtype=self.dtype, shape=(*inputs[0].shape, self.width))


class RmsNorm(Op):
    """x * weight / sqrt(mean(x^2) + epsilon), in float32; parameter: weight [width]."""

    kind: ClassVar[str] = "rms_norm"
    epsilon: float

    def infer(self, inputs: Sequence[ValueType]) -> ValueType:
        """Return the input's type."""
        return inputs[0]


class Linear(Op):
    """x times the transposed weight [rows, columns]; parameter: weight, plain, FP8 or NVFP4.

    `weight_only` multiplies the decoded weight by x; `w4a4` and `w8a8` round x to the weight's own format first.
    """

    kind: ClassVar[str] = "linear"
    matrix_roles: ClassVar[tuple[str, ...]] = ("weight",)
    rows: int
    columns: int
    compute: Compute = "weight_only"
    out_dtype: DType

    def infer(self, inputs: Sequence[ValueType]) -> ValueType:
        """Return the input's shape with `rows` as width, in `out_dtype`."""
        require(inputs[0].width == self.columns, f"linear of {self.columns} columns over width {inputs[0].width}")
        return ValueType(dtype=self.out_dtype, shape=(*inputs[0].shape[:-1], self.rows))

    def products(self) -> int:
        """Return those of one row."""
        return self.rows * self.columns


class Relu2(Op):
    """max(x, 0) squared."""

    kind: ClassVar[str] = "relu2"

    def infer(self, inputs: Sequence[ValueType]) -> ValueType:
        """Return the input's type."""
        return inputs[0]


class Add(Op):
    """Elementwise sum of two values of one type."""

    kind: ClassVar[str] = "add"

    def infer(self, inputs: Sequence[ValueType]) -> ValueType:
        """Return the inputs' type."""
        require(inputs[0] == inputs[1], f"add of {inputs[0]} and {inputs[1]}")
        return inputs[0]


class Concat(Op):
    """Values side by side along the last dimension."""

    kind: ClassVar[str] = "concat"

    def infer(self, inputs: Sequence[ValueType]) -> ValueType:
        """Return the first input's type with the widths added."""
        return inputs[0].with_width(sum(item.width for item in inputs))


class SelectRows(Op):
    """The rows of the first input that the second, int64 [rows], names."""

    kind: ClassVar[str] = "select_rows"

    def infer(self, inputs: Sequence[ValueType]) -> ValueType:
        """Return [rows, width]."""
        require(inputs[1].dtype is DType.INT64, "row numbers are int64")
        return ValueType(dtype=inputs[0].dtype, shape=(ROWS, inputs[0].width))


class Attention(Op):
    """Causal grouped-query attention without positions; inputs: queries, keys, values; owns its KV cache.

    Scale is 1/sqrt(head_dim), softmax in float32; query head h reads KV head h // (query_heads / kv_heads).
    """

    kind: ClassVar[str] = "attention"
    query_heads: int
    kv_heads: int
    head_dim: int

    def infer(self, inputs: Sequence[ValueType]) -> ValueType:
        """Return the type of the queries."""
        queries, keys, values = (item.width for item in inputs)
        require(queries == self.query_heads * self.head_dim, f"queries are {queries} wide")
        require(keys == values == self.kv_heads * self.head_dim, f"keys are {keys} wide, values {values}")
        return inputs[0]

    def states(self) -> tuple[StateSpec, ...]:
        """Return keys and values, one row per token."""
        shape = (self.kv_heads, self.head_dim)
        return tuple(
            StateSpec(role=role, dtype=DType.BFLOAT16, shape=shape, per_token=True) for role in ("keys", "values")
        )
