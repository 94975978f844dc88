"""What a plan reads and writes: name, element type, dimensions, and where the tensor comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trtnemo.trt.element import Element

# A word is a length known at run time only:
# T rows of the step, B slots, R rows of a slot's grid, N rows wanted as logits, C rows of an expert.
Dim = int | str
Dims = Sequence[Dim]
# weight: a tensor of the checkpoint; state: a slot's memory, updated in place; step: indices of a step;
# value: what another plan gives or takes
Source = Literal["weight", "state", "step", "value"]


class TensorSpec(BaseModel):
    """One input or output of a plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    element: Element
    dims: tuple[Dim, ...]
    source: Source

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape with every word replaced."""
        return tuple(size if isinstance(size, int) else sizes[size] for size in self.dims)

    @property
    def is_dynamic(self) -> bool:
        """Whether a dimension is known at run time only."""
        return any(isinstance(size, str) for size in self.dims)
