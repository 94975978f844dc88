"""Types of the values that flow through a graph."""

from __future__ import annotations

from enum import Enum

from pydantic import BaseModel, ConfigDict

TOKENS = "tokens"  # rows of a ragged step: every token of every segment
ROWS = "rows"  # rows wanted as logits
Dimension = int | str


class DType(str, Enum):
    """Element type of a value; an executor may compute wider, never narrower."""

    INT64 = "int64"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Record(BaseModel):
    """Base of everything that is written into graph.json: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ValueType(Record):
    """Element type and shape; a dimension is a number, `tokens` or `rows`."""

    dtype: DType
    shape: tuple[Dimension, ...]

    @property
    def width(self) -> int:
        """The last dimension, which is a number in every value of two dimensions."""
        last = self.shape[-1]
        if not isinstance(last, int):
            raise TypeError(f"{self.shape} has no fixed width")
        return last

    def with_width(self, width: int) -> ValueType:
        """Return this type with another last dimension."""
        return ValueType(dtype=self.dtype, shape=(*self.shape[:-1], width))


class StateSpec(Record):
    """One piece of a sequence's memory: its shape per slot, or per token of the sequence when it grows."""

    role: str
    dtype: DType
    shape: tuple[int, ...]
    per_token: bool
