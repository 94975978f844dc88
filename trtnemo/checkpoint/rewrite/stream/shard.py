"""One file of the new checkpoint: which pieces it holds, and where each tensor lies in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trtnemo.checkpoint.format.writing import encode_header
from trtnemo.checkpoint.rewrite.stream.piece import NewTensor, Piece


@dataclass(frozen=True)
class Shard:
    """A file by name, its header as it is written, and the first byte of each tensor by name."""

    name: str
    pieces: tuple[Piece, ...]
    header: bytes
    places: dict[str, int]
    size: int

    @property
    def tensors(self) -> Iterator[NewTensor]:
        """Yield what it holds."""
        return (output for piece in self.pieces for output in piece.outputs)

    @property
    def bytes_read(self) -> int:
        """Return the bytes that are read for it."""
        return sum(piece.bytes_read for piece in self.pieces)


def cut_shards(pieces: Sequence[Piece], shard_bytes: int) -> list[Shard]:
    """Return the files that hold all pieces in order, each of at most so many bytes, or of one piece."""
    groups: list[list[Piece]] = [[]]
    size = 0
    for piece in pieces:
        own = sum(output.size for output in piece.outputs)
        if groups[-1] and size + own > shard_bytes:
            groups.append([])
            size = 0
        groups[-1].append(piece)
        size += own
    count = len(groups)
    if count == 1:
        return [_shard("model.safetensors", groups[0])]
    return [_shard(f"model-{number:05d}-of-{count:05d}.safetensors", group) for number, group in enumerate(groups, 1)]


def _shard(name: str, pieces: Sequence[Piece]) -> Shard:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    begin, places = 0, {}
    # wide elements first: each tensor then lies at a multiple of its element's size
    ordered = sorted((output for piece in pieces for output in piece.outputs), key=lambda one: -one.storage.itemsize)
    for output in ordered:
        end = begin + output.size
        header[output.name] = {
            "dtype": output.storage.value,
            "shape": list(output.shape),
            "data_offsets": [begin, end],
        }
        places[output.name] = begin
        begin = end
    text = encode_header(header)
    places = {tensor: len(text) + place for tensor, place in places.items()}
    return Shard(name, tuple(pieces), text, places, len(text) + begin)
