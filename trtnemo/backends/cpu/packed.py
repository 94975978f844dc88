"""Which weights a packed file holds, where, and in which form; weights.json beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from trtnemo.errors import EngineError

LAYOUT: Literal["cpu-v1"] = "cpu-v1"
WEIGHTS = "weights.bin"
INDEX = "weights.json"

Form = Literal["tiles", "rows", "vector"]
PackedFormat = Literal["float32", "bfloat16", "e4m3", "nvfp4"]


class PackedTensor(BaseModel):
    """One parameter in the file.

    form: tiles of 16 interleaved rows, plain rows (embedding tables), or a float32 vector; offset: of its first byte;
    stride: bytes from expert to expert; scales: one factor for each expert, or one alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Form
    format: PackedFormat
    rows: int
    columns: int
    offset: int
    stride: int
    scales: tuple[float, ...] = (1.0,)


class PackedIndex(BaseModel):
    """All parameters by their names in the checkpoint; `size` is the file's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: str
    size: int
    tensors: dict[str, PackedTensor]

    def tensor(self, name: str) -> PackedTensor:
        """Return one parameter; raises EngineError."""
        if name not in self.tensors:
            raise EngineError(f"{name} is not among the packed weights", where=INDEX, remedy="Rebuild the engine")
        return self.tensors[name]


def read_index(directory: Path) -> PackedIndex:
    """Return the index of an engine's packed weights; raises EngineError, also on another layout version."""
    try:
        index = PackedIndex.model_validate_json((directory / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        detail = str(error).splitlines()[0]
        raise EngineError(f"cannot be read: {detail}", where=INDEX, remedy="Rebuild the engine") from None
    if index.layout != LAYOUT:
        raise EngineError(
            f"weights are packed as {index.layout!r}; this version reads {LAYOUT}",
            where=str(directory),
            remedy="Rebuild the engine",
        )
    return index
