"""Make one piece: read its source a part at a time, and write codes and scales where they belong in the new file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE, WeightFormat
from trtnemo.checkpoint.format.codecs import E2M1_MAX, E4M3_MAX
from trtnemo.checkpoint.format.encoder import SCALE_MAX, Search, encode_fp8, encode_nvfp4, largest_magnitude
from trtnemo.checkpoint.format.storage import PLAIN, TensorInfo
from trtnemo.checkpoint.reading import buffers
from trtnemo.checkpoint.reading.buffers import Buffers, Bytes
from trtnemo.checkpoint.reading.sources import Sources
from trtnemo.checkpoint.rewrite.stream.pieces import Piece
from trtnemo.errors import CheckpointError

Told = Callable[[int], None]


@dataclass(frozen=True)
class PieceWriter:
    """Writes pieces into an open file, several at once; `told` hears of every part that was read."""

    sources: Sources
    file: int
    places: dict[str, int]
    told: Told
    search: Search = "max"
    _buffers: Buffers = field(default_factory=Buffers)

    def write(self, piece: Piece) -> None:
        """Write a piece; raises CheckpointError for a weight with infinity or NaN, and for a source that shrank."""
        for name, value in piece.constants.items():
            self._put(np.float32(value).tobytes(), self.places[name])
        if piece.format is WeightFormat.PLAIN:
            self._copy(piece)
            return
        largest = max(self._largest(info) for info in piece.together)
        if piece.format is WeightFormat.FP8:
            self._write_fp8(piece, _positive(largest / E4M3_MAX))
        else:
            self._write_nvfp4(piece, _positive(largest / (E2M1_MAX * SCALE_MAX[self.search])))

    def _copy(self, piece: Piece) -> None:
        place = self._place(piece, "")
        for part in self._parts(piece.source):
            self._put(part.data, place)
            place += len(part)
            self.told(len(part))

    def _write_fp8(self, piece: Piece, scale: np.float32) -> None:
        storage, place = piece.source.storage, self._place(piece, ".weight")
        for part in self._parts(piece.source):
            codes = self._buffers.take("codes", len(part) // storage.itemsize)
            encode_fp8(part, storage, scale, codes)
            self._put(codes.data, place)
            place += len(codes)
            self.told(len(part))
        self._put(scale.tobytes(), self._place(piece, ".weight_scale"))

    def _write_nvfp4(self, piece: Piece, scale_2: np.float32) -> None:
        storage = piece.source.storage
        place, scale_place = self._place(piece, ".weight"), self._place(piece, ".weight_scale")
        for part in self._parts(piece.source):
            count = len(part) // storage.itemsize
            packed = self._buffers.take("codes", count // 2)
            scales = self._buffers.take("scales", count // BLOCK_SIZE)
            encode_nvfp4(part, storage, scale_2, packed, scales, self.search)
            self._put(packed.data, place)
            self._put(scales.data, scale_place)
            place, scale_place = place + len(packed), scale_place + len(scales)
            self.told(len(part))
        self._put(scale_2.tobytes(), self._place(piece, ".weight_scale_2"))

    def _place(self, piece: Piece, ending: str) -> int:
        """Return the first byte of a piece's tensor whose name ends so."""
        return self.places[next(output.name for output in piece.outputs if output.name.endswith(ending))]

    def _largest(self, info: TensorInfo) -> np.float32:
        if info.storage not in PLAIN:
            raise CheckpointError(f"is {info.storage.value}, and only plain weights are quantized", where=info.name)
        largest = max((largest_magnitude(part, info.storage) for part in self._parts(info)), default=np.float32(0))
        if not np.isfinite(largest):
            raise CheckpointError(
                "holds infinity or NaN, which no scale can carry",
                where=f"{info.file}: {info.name}",
                remedy="`trtnemo check` the source, and download the shard again",
            )
        return largest

    def _parts(self, info: TensorInfo) -> Iterator[Bytes]:
        for begin in range(0, info.size, buffers.PART):
            part = self._buffers.take("read", min(buffers.PART, info.size - begin))
            wanted = (info.name, begin, len(part))
            if self._buffers.held != wanted:  # a small tensor is still there from the search for its largest number
                self._buffers.held = None
                self.sources.read(info, begin, part)
                self._buffers.held = wanted
            yield part

    def _put(self, data: bytes | memoryview, place: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self.file, view, place)
            view, place = view[done:], place + done


def _positive(scale: np.float32) -> np.float32:
    """Return a scale, or 1 where all numbers are 0: ModelOpt divides by 0 there, and stores what is no number."""
    return scale if scale > 0 else np.float32(1)
