"""Weights by the names they have in the checkpoint; a graph holds names and shapes, never numbers."""

from __future__ import annotations

from collections.abc import Iterator

from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE, WeightFormat
from trtnemo.graph.types import Record

EXPERT = "{expert}"


class ParameterSpec(Record):
    """A tensor of the checkpoint, or a bank of equal ones whose name holds `{expert}`.

    `shape` is the logical one: NVFP4 weights are [rows, columns] here and [rows, columns/2] bytes in the file.
    """

    name: str
    shape: tuple[int, ...]
    format: WeightFormat = WeightFormat.PLAIN
    copies: int | None = None
    input_scale: bool = False

    @property
    def module(self) -> str:
        """The name without its last part, to which the names of scales are added."""
        return self.name.rpartition(".")[0]

    def members(self) -> list[ParameterSpec]:
        """Return the single tensors of a bank, or the parameter itself."""
        if self.copies is None:
            return [self]
        names = [self.name.replace(EXPERT, str(index)) for index in range(self.copies)]
        return [self.model_copy(update={"name": name, "copies": None}) for name in names]

    def stored(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield name and stored shape of every tensor that this parameter (not a bank) stands for."""
        if self.format is WeightFormat.PLAIN:
            yield self.name, self.shape
            return
        rows, columns = self.shape
        if self.format is WeightFormat.FP8:
            yield self.name, self.shape
            yield f"{self.module}.weight_scale", ()
        else:
            yield self.name, (rows, columns // 2)
            yield f"{self.module}.weight_scale", (rows, columns // BLOCK_SIZE)
            yield f"{self.module}.weight_scale_2", ()
        if self.input_scale:
            yield f"{self.module}.input_scale", ()
