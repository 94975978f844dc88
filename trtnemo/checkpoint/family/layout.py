"""In which tensors a linear layer is stored: ModelOpt's here, other tools' in `tools`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE, WeightFormat
from trtnemo.checkpoint.format.storage import StorageType


@dataclass(frozen=True)
class Part:
    """One tensor of a linear layer by the end of its name; `follows` says which side of the weight it is cut along."""

    suffix: str
    shape: tuple[int, ...]
    storages: tuple[StorageType, ...]
    is_scale: bool = False
    optional: bool = False
    follows: Literal["both", "rows", "columns"] = "both"


class Layout(Protocol):
    """How a linear layer of so many rows (outputs) and columns (inputs) is stored."""

    def __hash__(self) -> int:
        """Be a key: layouts are values."""

    @property
    def format(self) -> WeightFormat:
        """What the weight's numbers are."""

    def parts(self, rows: int, columns: int, plain: StorageType) -> tuple[Part, ...]:
        """Return its tensors, the weight first; `plain` is the element type of what is not quantized."""


@dataclass(frozen=True)
class ModelOptLayout:
    """A layer as ModelOpt's export names it; a plain one is the same everywhere.

    Source: modelopt.torch.export (0.47.0) and the headers of the releases.
    """

    format: WeightFormat
    quantizes_inputs: bool = True

    def parts(self, rows: int, columns: int, plain: StorageType) -> tuple[Part, ...]:
        """Return weight, block scales, the weight's scale and the input's."""
        if self.format is WeightFormat.PLAIN:
            return (Part("weight", (rows, columns), (plain,)),)
        inputs = scalar("input_scale", optional=not self.quantizes_inputs)
        if self.format is WeightFormat.FP8:
            return Part("weight", (rows, columns), (StorageType.F8_E4M3,)), scalar("weight_scale"), inputs
        return (
            Part("weight", (rows, columns // 2), (StorageType.U8,)),
            Part("weight_scale", (rows, columns // BLOCK_SIZE), (StorageType.F8_E4M3,), is_scale=True),
            scalar("weight_scale_2"),
            inputs,
        )


PLAIN = ModelOptLayout(WeightFormat.PLAIN)
modelopt_layout = lru_cache(maxsize=None)(ModelOptLayout)  # tens of thousands of experts share a few


def scalar(suffix: str, shape: tuple[int, ...] = (), *, optional: bool = False) -> Part:
    """Return a single float32 scale."""
    return Part(suffix, shape, (StorageType.F32,), is_scale=True, optional=optional)


@lru_cache(maxsize=4096)
def parts_of(layout: Layout, rows: int, columns: int, plain: StorageType) -> tuple[Part, ...]:
    """Return the parts of a layout, computed once for the thousands of experts that are alike."""
    return layout.parts(rows, columns, plain)
