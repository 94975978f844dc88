"""The header of a safetensors file, read and checked without touching the weights.

Source of the format: huggingface/safetensors, README. Everything is validated before anything is allocated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from trtnemo.checkpoint.format.storage import StorageType, TensorInfo
from trtnemo.checkpoint.rules import found
from trtnemo.errors import HeaderError
from trtnemo.findings import Finding

MAXIMUM_HEADER_BYTES = 100_000_000
MAXIMUM_DIMENSION = 1 << 48


def read_header(path: Path, problems: list[Finding] | None = None) -> dict[str, TensorInfo]:
    """Return the tensors of one file by name; raises HeaderError on a file that lies about itself.

    Holes and overlaps, which leave every tensor readable, go into `problems` where it is given.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            prefix = file.read(8)
            if len(prefix) < 8:
                raise HeaderError("is truncated: it has no header", where=str(path), remedy="Download it again")
            length = int.from_bytes(prefix, "little")
            if length > min(MAXIMUM_HEADER_BYTES, size - 8):
                raise HeaderError(
                    f"claims a header of {length} bytes in a file of {size}",
                    where=str(path),
                    remedy="Download it again",
                )
            text = file.read(length)
    except OSError as error:
        raise HeaderError(f"cannot be read: {error.strerror}", where=str(path)) from None
    return parse_header(text, size - 8 - length, path, problems)


def parse_header(
    text: bytes, data_bytes: int, path: Path, problems: list[Finding] | None = None
) -> dict[str, TensorInfo]:
    """Return the tensors that a header of `text` describes over `data_bytes` bytes of data."""
    entries = _decode(text, path)
    entries.pop("__metadata__", None)
    data_start = 8 + len(text)
    file = str(path)
    tensors = {name: _tensor(name, entry, data_bytes, data_start, file) for name, entry in entries.items()}
    for problem in _cover_problems(tensors.values(), data_start, data_bytes, path):
        if problems is None:
            raise HeaderError(problem.message, where=f"{path.parent / problem.subject}", remedy="Download it again")
        problems.append(problem)
    return tensors


def _decode(text: bytes, path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            raise HeaderError("its header names a key twice", where=str(path))
        return result

    try:
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise HeaderError("its header is not JSON", where=str(path), remedy="Download it again") from None
    if not isinstance(entries, dict):
        raise HeaderError("its header is not a JSON object", where=str(path))
    return entries


def _tensor(name: str, entry: Any, data_bytes: int, data_start: int, file: str) -> TensorInfo:
    where = f"{file}: tensor {name}"
    if not name.isprintable():
        raise HeaderError("has a tensor whose name is not text", where=f"{file}: {name!r}")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise HeaderError("its entry is not {dtype, shape, data_offsets}", where=where)
    try:
        storage = StorageType(entry["dtype"])
    except ValueError:
        raise HeaderError(f"element type {entry['dtype']!r} is unknown", where=where) from None
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _whole_numbers(shape) or not _whole_numbers(offsets) or len(offsets) != 2:
        raise HeaderError("shape and offsets must be lists of whole numbers", where=where)
    begin, end = offsets
    if not 0 <= begin <= end <= data_bytes:
        raise HeaderError(
            f"its bytes {begin}..{end} lie outside the {data_bytes} in the file",
            where=where,
            remedy="The file is truncated: download it again",
        )
    if math.prod(shape) * storage.itemsize != end - begin:
        raise HeaderError(f"shape {shape} of {storage.value} does not fill {end - begin} bytes", where=where)
    return TensorInfo(name, storage, tuple(shape), file, data_start + begin, end - begin)


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= MAXIMUM_DIMENSION for item in value)


def _cover_problems(tensors: Iterable[TensorInfo], data_start: int, data_bytes: int, path: Path) -> Iterator[Finding]:
    """Yield where tensors overlap, leave a hole, or stop before the end of the file."""
    position = data_start
    for tensor in sorted(tensors, key=lambda item: (item.offset, item.offset + item.size)):
        subject = f"{path.name}: tensor {tensor.name}"
        if tensor.offset < position:
            yield found("bytes-overlap", subject, "its bytes overlap another tensor's")
        if tensor.offset > position:
            yield found("bytes-hole", subject, f"{tensor.offset - position} bytes before it belong to no tensor")
        position = max(position, tensor.offset + tensor.size)
    rest = data_start + data_bytes - position
    if rest:
        yield found("bytes-hole", path.name, f"{rest} bytes at its end belong to no tensor")
