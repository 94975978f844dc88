"""From a checkpoint to packed weights: streamed, a few tensors in memory at a time, bits kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from trtnemo.backends.cpu.packed import INDEX, LAYOUT, WEIGHTS, Form, PackedFormat, PackedIndex, PackedTensor
from trtnemo.checkpoint import WeightFormat
from trtnemo.checkpoint.format.codecs import decode_plain
from trtnemo.checkpoint.format.storage import RawTensor, StorageType
from trtnemo.errors import CheckpointError
from trtnemo.graph import Graph, ParameterSpec
from trtnemo.native import require_native

Bytes = npt.NDArray[np.uint8]
# called with (bytes done, bytes in all)
Progress = Callable[[int, int], None]

Item = TypeVar("Item")

_WORKERS, _AHEAD = 2, 4  # threads, and tensors that are read and packed before they are written
_FORMATS: dict[WeightFormat, PackedFormat] = {WeightFormat.FP8: "e4m3", WeightFormat.NVFP4: "nvfp4"}


class TensorSource(Protocol):
    """What packing reads: a checkpoint, or tensors made for the occasion."""

    @property
    def total_bytes(self) -> int:
        """Bytes of all tensors."""
        ...

    def read(self, name: str) -> RawTensor:
        """Return a tensor's bits."""
        ...


def pack_weights(checkpoint: TensorSource, graphs: Sequence[Graph], directory: Path, progress: Progress) -> PackedIndex:
    """Write every parameter of the graphs to `directory`, with an index; raises CheckpointError, MachineError."""
    native = require_native()
    specs = list({name: spec for graph in graphs for name, spec in graph.parameters.items()}.values())
    forms, total = parameter_forms(graphs), checkpoint.total_bytes
    tensors: dict[str, PackedTensor] = {}
    members = ((member, forms[spec.name]) for spec in specs for member in spec.members())
    with (directory / WEIGHTS).open("wb") as file, ThreadPoolExecutor(_WORKERS) as pool:
        writer = _Writer(file, native.ALIGNMENT)
        pieces = _run_ahead(pool, lambda member: _pack_member(checkpoint, *member), members)
        for spec in specs:
            own = islice(pieces, len(spec.members()))
            tensors[spec.name] = _write_parameter(spec, forms[spec.name], own, writer)
            progress(min(writer.position, total), total)
    index = PackedIndex(layout=LAYOUT, size=writer.position, tensors=tensors)
    (directory / INDEX).write_text(index.model_dump_json(), encoding="utf-8")
    return index


def parameter_forms(graphs: Sequence[Graph]) -> dict[str, Form]:
    """Return the form in which the ops that read each parameter want it; a tied head wants its table in tiles."""
    forms: dict[str, Form] = {}
    for graph in graphs:
        for node in graph.nodes:
            for role, name in node.parameters.items():
                form: Form = "vector"
                if role in node.op.matrix_roles:
                    form = "tiles"
                elif node.op.kind == "embedding":
                    form = "rows"
                forms[name] = "tiles" if "tiles" in (form, forms.get(name)) else form
    return forms


@dataclass
class _Writer:
    """A file whose pieces start at multiples of the alignment."""

    file: BinaryIO
    alignment: int
    position: int = field(default=0)

    def write(self, data: npt.NDArray[np.generic]) -> int:
        """Append data and padding; return where the data starts."""
        start = self.position
        self.file.write(_as_bytes(data).data)
        padding = -data.nbytes % self.alignment
        self.file.write(bytes(padding))
        self.position += data.nbytes + padding
        return start


@dataclass(frozen=True)
class _Piece:
    """One tensor as it is written; `scale` is the factor of all its values."""

    format: PackedFormat
    data: npt.NDArray[np.generic]
    scale: float = 1.0


def _run_ahead(pool: ThreadPoolExecutor, work: Callable[[Item], _Piece], items: Iterable[Item]) -> Iterator[_Piece]:
    """Yield the pieces in order, while the next few are read and packed: files are slow, and so is one core."""
    remaining = iter(items)
    waiting = deque(pool.submit(work, item) for item in islice(remaining, _AHEAD))
    while waiting:
        piece = waiting.popleft().result()
        waiting.extend(pool.submit(work, item) for item in islice(remaining, 1))
        yield piece


def _pack_member(checkpoint: TensorSource, spec: ParameterSpec, form: Form) -> _Piece:
    if form == "vector":
        values = decode_plain(checkpoint.read(spec.name))
        # a depthwise convolution: its taps one after the other, channels side by side
        return _Piece("float32", values[:, 0, :].T if values.ndim == 3 else values)
    if form == "rows":
        return _Piece(*_plain(checkpoint.read(spec.name)))
    format, weight, block_scales, scale = _read_member(checkpoint, spec)
    return _Piece(format, require_native().pack_matrix(format, *spec.shape, weight, block_scales), scale)


def _write_parameter(spec: ParameterSpec, form: Form, pieces: Iterable[_Piece], writer: _Writer) -> PackedTensor:
    start, stride, scales = writer.position, 0, []
    formats: set[PackedFormat] = set()
    rows, columns = spec.shape[0], spec.shape[-1]
    for piece in pieces:
        formats.add(piece.format)
        scales.append(piece.scale)
        writer.write(piece.data)
        if form == "tiles":
            stride = piece.data.nbytes
        if form == "vector":
            rows, columns = piece.data.size // piece.data.shape[-1], piece.data.shape[-1]
    if len(formats) > 1:
        raise CheckpointError("its experts are stored in several element types", where=spec.name)
    return PackedTensor(
        form=form,
        format=formats.pop(),
        rows=rows,
        columns=columns,
        offset=start,
        stride=stride,
        scales=tuple(scales),
    )


def _read_member(checkpoint: TensorSource, spec: ParameterSpec) -> tuple[PackedFormat, Bytes, Bytes | None, float]:
    raw = checkpoint.read(spec.name)
    if spec.format is WeightFormat.PLAIN:
        format, values = _plain(raw)
        return format, _as_bytes(values), None, 1.0
    is_blocked = spec.format is WeightFormat.NVFP4
    scale = decode_plain(checkpoint.read(f"{spec.module}.weight_scale{'_2' if is_blocked else ''}"))
    blocks = _as_bytes(checkpoint.read(f"{spec.module}.weight_scale").data) if is_blocked else None
    return _FORMATS[spec.format], _as_bytes(raw.data), blocks, float(scale.reshape(()))


def _plain(raw: RawTensor) -> tuple[PackedFormat, npt.NDArray[np.generic]]:
    """Return BF16 as its bits, and every other plain type as float32."""
    return ("bfloat16", raw.data) if raw.storage is StorageType.BF16 else ("float32", decode_plain(raw))


def _as_bytes(values: npt.NDArray[np.generic]) -> Bytes:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)
