"""From a checkpoint to packed weights: streamed, one tensor in memory at a time, bits kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from trtnemo.checkpoint import Checkpoint, WeightFormat
from trtnemo.checkpoint.codecs import decode_plain
from trtnemo.checkpoint.storage import RawTensor, StorageType
from trtnemo.errors import CheckpointError
from trtnemo.graph import Graph, ParameterSpec
from trtnemo.lowering.cpu.native import require_native
from trtnemo.lowering.cpu.packed import INDEX, LAYOUT, WEIGHTS, Form, PackedFormat, PackedIndex, PackedTensor

Bytes = npt.NDArray[np.uint8]
# called with (bytes done, bytes in all)
Progress = Callable[[int, int], None]

_FORMATS: dict[WeightFormat, PackedFormat] = {WeightFormat.FP8: "e4m3", WeightFormat.NVFP4: "nvfp4"}
_MATRIX_OPS = {"linear", "latent_moe"}
_MATRIX_ROLES = {"weight", "up", "down"}


def pack_weights(checkpoint: Checkpoint, graphs: Sequence[Graph], directory: Path, progress: Progress) -> PackedIndex:
    """Write every parameter of the graphs to `directory`, with an index; raises CheckpointError, MachineError."""
    native = require_native()
    specs = {name: spec for graph in graphs for name, spec in graph.parameters.items()}
    forms, total = parameter_forms(graphs), checkpoint.total_bytes
    tensors: dict[str, PackedTensor] = {}
    with (directory / WEIGHTS).open("wb") as file:
        writer = _Writer(file, native.ALIGNMENT)
        for name, spec in specs.items():
            tensors[name] = _pack_parameter(checkpoint, spec, forms[name], writer)
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
                if node.op.kind in _MATRIX_OPS and role in _MATRIX_ROLES:
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


def _pack_parameter(checkpoint: Checkpoint, spec: ParameterSpec, form: Form, writer: _Writer) -> PackedTensor:
    if form == "vector":
        return _pack_vector(checkpoint, spec, writer)
    if form == "rows":
        format, values = _plain(checkpoint.read(spec.name))
        rows, columns = spec.shape
        return PackedTensor(form=form, format=format, rows=rows, columns=columns, offset=writer.write(values), stride=0)
    return _pack_matrices(checkpoint, spec, writer)


def _pack_vector(checkpoint: Checkpoint, spec: ParameterSpec, writer: _Writer) -> PackedTensor:
    values = decode_plain(checkpoint.read(spec.name))
    if values.ndim == 3:  # a depthwise convolution: its taps one after the other, channels side by side
        values = values[:, 0, :].T
    columns = values.shape[-1]
    offset = writer.write(values)
    return PackedTensor(
        form="vector", format="float32", rows=values.size // columns, columns=columns, offset=offset, stride=0
    )


def _pack_matrices(checkpoint: Checkpoint, spec: ParameterSpec, writer: _Writer) -> PackedTensor:
    start, stride, scales = writer.position, 0, []
    formats: set[PackedFormat] = set()
    for format, packed, scale in _packed_members(checkpoint, spec):
        stride = packed.nbytes
        formats.add(format)
        scales.append(scale)
        writer.write(packed)
    if len(formats) > 1:
        raise CheckpointError("its experts are stored in several element types", where=spec.name)
    rows, columns = spec.shape
    return PackedTensor(
        form="tiles",
        format=formats.pop(),
        rows=rows,
        columns=columns,
        offset=start,
        stride=stride,
        scales=tuple(scales),
    )


def _packed_members(checkpoint: Checkpoint, spec: ParameterSpec) -> Iterator[tuple[PackedFormat, Bytes, float]]:
    native = require_native()
    for member in spec.members():
        format, weight, block_scales, scale = _read_member(checkpoint, member)
        rows, columns = member.shape
        yield format, native.pack_matrix(format, rows, columns, weight, block_scales), scale


def _read_member(checkpoint: Checkpoint, spec: ParameterSpec) -> tuple[PackedFormat, Bytes, Bytes | None, float]:
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
