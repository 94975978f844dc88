"""Make one piece: read its source a part at a time, and write codes and scales where they belong in the new file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.format.codecs import E2M1_MAX, E4M3_MAX
from trtnemo.checkpoint.format.encoder import encode_fp8, encode_nvfp4, largest_magnitude
from trtnemo.checkpoint.format.storage import StorageType, TensorInfo
from trtnemo.checkpoint.rewrite.stream.pieces import NewTensor, Piece
from trtnemo.checkpoint.rewrite.stream.sources import Sources
from trtnemo.errors import CheckpointError

PART = 16 << 20  # bytes that one thread reads at once, a multiple of a block of any element
PLAIN_TYPES = (StorageType.BF16, StorageType.F16, StorageType.F32)
Bytes = npt.NDArray[np.uint8]
Told = Callable[[int], None]


def write_piece(piece: Piece, sources: Sources, file: int, places: dict[str, int], told: Told) -> None:
    """Write a piece's tensors at their places in an open file; `told` hears of every part that was read.

    Raises CheckpointError for a weight that holds infinity or NaN, and for a source that shrank.
    """
    for name, value in piece.constants.items():
        _write(file, np.float32(value).tobytes(), places[name])
    if piece.format is WeightFormat.PLAIN:
        _copy(piece.source, sources, file, places[piece.outputs[0].name], told)
        return
    largest = max(_largest(info, sources) for info in piece.together)
    if piece.format is WeightFormat.FP8:
        _write_fp8(piece, sources, file, places, largest / E4M3_MAX, told)
    else:
        _write_nvfp4(piece, sources, file, places, largest / (E2M1_MAX * E4M3_MAX), told)


def _write_fp8(
    piece: Piece, sources: Sources, file: int, places: dict[str, int], scale: np.float32, told: Told
) -> None:
    weight, weight_scale = piece.outputs[:2]
    scale = _positive(scale)
    place = places[weight.name]
    for part in _parts(piece.source, sources, told):
        codes = encode_fp8(part, piece.source.storage, scale)
        _write(file, codes.data, place)
        place += len(codes)
    _write(file, scale.tobytes(), places[weight_scale.name])


def _write_nvfp4(
    piece: Piece, sources: Sources, file: int, places: dict[str, int], scale_2: np.float32, told: Told
) -> None:
    by_end: dict[str, NewTensor] = {output.name.rpartition(".")[2]: output for output in piece.outputs}
    scale_2 = _positive(scale_2)
    place, scale_place = places[by_end["weight"].name], places[by_end["weight_scale"].name]
    for part in _parts(piece.source, sources, told):
        packed, scales = encode_nvfp4(part, piece.source.storage, scale_2)
        _write(file, packed.data, place)
        _write(file, scales.data, scale_place)
        place, scale_place = place + len(packed), scale_place + len(scales)
    _write(file, scale_2.tobytes(), places[by_end["weight_scale_2"].name])


def _positive(scale: np.float32) -> np.float32:
    """Return a scale, or 1 where all numbers are 0: ModelOpt divides by 0 there, and stores what is no number."""
    return scale if scale > 0 else np.float32(1)


def _largest(info: TensorInfo, sources: Sources) -> np.float32:
    if info.storage not in PLAIN_TYPES:
        raise CheckpointError(f"is {info.storage.value}, and only plain weights are quantized", where=info.name)
    largest = max((largest_magnitude(part, info.storage) for part in _parts(info, sources)), default=np.float32(0))
    if not np.isfinite(largest):
        raise CheckpointError(
            "holds infinity or NaN, which no scale can carry",
            where=f"{info.file}: {info.name}",
            remedy="`trtnemo check` the source, and download the shard again",
        )
    return largest


def _parts(info: TensorInfo, sources: Sources, told: Told | None = None) -> Iterator[Bytes]:
    for begin in range(0, info.size, PART):
        part = sources.read(info, begin, min(PART, info.size - begin))
        yield part
        if told is not None:
            told(len(part))


def _copy(info: TensorInfo, sources: Sources, file: int, place: int, told: Told) -> None:
    for part in _parts(info, sources, told):
        _write(file, part.data, place)
        place += len(part)


def _write(file: int, data: bytes | memoryview, place: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(file, view, place)
        view, place = view[done:], place + done
