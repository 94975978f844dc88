"""The numbers that a tensor stands for, some rows at a time, whatever format its codes have."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trtnemo.checkpoint.auditing.tensors import settle_formats
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE, WeightFormat
from trtnemo.checkpoint.format.codecs import decode_fp8, decode_nvfp4, decode_plain
from trtnemo.checkpoint.format.storage import PLAIN, RawTensor, TensorInfo
from trtnemo.checkpoint.reading.sources import Sources
from trtnemo.errors import CheckpointError

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Numbers:
    """A tensor by name, as rows of numbers; block_scales and scale where its format has them."""

    name: str
    rows: int
    columns: int
    format: WeightFormat
    info: TensorInfo
    block_scales: TensorInfo | None = None
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    def codes(self, sources: Sources, first: int, count: int) -> npt.NDArray[np.uint8]:
        """Return the bytes of some rows."""
        return _rows(self.info, sources, self.rows, first, count)

    def decoded(self, codes: npt.NDArray[np.uint8], sources: Sources, first: int, count: int) -> Float32:
        """Return some rows, whose bytes are `codes`, as float32."""
        if self.format is WeightFormat.PLAIN:
            raw = RawTensor(self.info.storage, codes.view(self.info.storage.raw_dtype))
            return decode_plain(raw).reshape(count, self.columns)
        scale = np.float32(self.scale)
        if self.block_scales is None:
            return decode_fp8(codes.reshape(count, self.columns), scale)
        blocks = _rows(self.block_scales, sources, self.rows, first, count)
        return decode_nvfp4(codes.reshape(count, -1), blocks.reshape(count, self.columns // BLOCK_SIZE), scale)


def numbers_of(checkpoint: Checkpoint) -> tuple[dict[str, Numbers], tuple[str, ...]]:
    """Return (every tensor by name but the scales of weights, which are in the numbers; those that are not decoded).

    A tensor that config and map do not promise so is read as it is stored, where its numbers are plain. Raises
    CheckpointError.
    """
    checkpoint.require_decodable()
    expected, _ = settle_formats(checkpoint)
    found: dict[str, Numbers] = {}
    scales = {
        f"{item.module}.{ending}"
        for item in expected.values()
        if item.weight_format not in (None, WeightFormat.PLAIN)
        for ending in ("weight_scale", "weight_scale_2")
    }
    for name, info in checkpoint.tensors.items():
        item = expected.get(name)
        kind = WeightFormat.PLAIN if item is None else item.weight_format or WeightFormat.PLAIN
        is_promised = item is not None and item.is_met_by(info)
        if name in scales:
            continue
        if not is_promised or kind is WeightFormat.PLAIN:
            if info.storage in PLAIN:
                rows = info.shape[0] if len(info.shape) > 1 else 1
                found[name] = Numbers(name, rows, math.prod(info.shape) // max(rows, 1), WeightFormat.PLAIN, info)
            continue
        module = name.rpartition(".")[0]
        scale = _scalar(checkpoint, f"{module}.weight_scale{'_2' if kind.is_nvfp4 else ''}")
        blocks = checkpoint.tensors.get(f"{module}.weight_scale") if kind.is_nvfp4 else None
        columns = info.shape[1] * (2 if kind.is_nvfp4 else 1)
        if kind.is_nvfp4 and (blocks is None or blocks.shape != (info.shape[0], columns // BLOCK_SIZE)):
            raise CheckpointError("has no block scales that fit it", where=f"{checkpoint.place}: {name}")
        found[name] = Numbers(name, info.shape[0], columns, kind, info, blocks, scale)
    return found, tuple(sorted(checkpoint.tensors.keys() - found.keys() - scales))


def _scalar(checkpoint: Checkpoint, name: str) -> float:
    values = decode_plain(checkpoint.read(name)).reshape(-1)
    if len(values) != 1:
        raise CheckpointError(f"holds {len(values)} numbers, and one is meant", where=f"{checkpoint.place}: {name}")
    return float(values[0])


def _rows(info: TensorInfo, sources: Sources, rows: int, first: int, count: int) -> npt.NDArray[np.uint8]:
    width = info.size // max(rows, 1)
    part = np.empty(count * width, np.uint8)
    sources.read(info, first * width, part)
    return part
