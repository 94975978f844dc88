"""Tensors by their headers: what is missing, unexpected, or of another shape, type or format than promised."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from trtnemo.checkpoint.auditing.other_layout import find_other_layout
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.expected import EMBEDDINGS, ExpectedTensor, expected_tensors
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.format.storage import StorageType, TensorInfo
from trtnemo.checkpoint.rules import found
from trtnemo.findings import Finding

Expected = dict[str, ExpectedTensor]
_STORED = {StorageType.U8: WeightFormat.NVFP4, StorageType.F8_E4M3: WeightFormat.FP8}


def settle_formats(checkpoint: Checkpoint) -> tuple[Expected, list[Finding]]:
    """Return what must be there in the formats that the weights are stored in, and where the map says otherwise.

    So a layer that the map names wrongly is reported once, not once for each of its scales.
    """
    expected = {item.name: item for item in expected_tensors(checkpoint.config, checkpoint.quantization)}
    stored, mismatches = {}, []
    for item in expected.values():
        info = checkpoint.tensors.get(item.name)
        if item.weight_format is None or info is None:
            continue
        actual = _STORED.get(info.storage, WeightFormat.PLAIN)
        if actual.stores_like(item.weight_format):
            continue
        stored[item.module] = actual
        promised = (
            f"{item.weight_format.value}, as the map says" if checkpoint.quantizations else "plain: there is no map"
        )
        mismatches.append(found("format-mismatch", item.name, f"is stored as {actual.value}, not {promised}"))
    if stored:
        layers = {**checkpoint.quantization.layers, **stored}
        truth = dataclasses.replace(checkpoint.quantization, layers=layers)
        expected = {item.name: item for item in expected_tensors(checkpoint.config, truth)}
    return expected, mismatches


def tensor_findings(checkpoint: Checkpoint, expected: Expected) -> Iterator[Finding]:
    """Yield what differs between the headers and what must be there."""
    tensors, unreadable = checkpoint.tensors, checkpoint.headers.unreadable
    seen = (tensors, unreadable, checkpoint.headers.unlisted)
    has_head = any(name.startswith("mtp.") for names in seen for name in names)
    if checkpoint.config.has_mtp and not has_head:
        yield found("mtp-missing", "config.json", "promises an MTP head, and no mtp.* tensor is there")
    other = find_other_layout(checkpoint, expected)
    if other.names:
        yield found("layout-other", other.names[0], f"is another layout's name, as {len(other.names):,} tensors have")
    for item in expected.values():
        info = tensors.get(item.name)
        if item.name in other.means:
            continue
        if info is not None:
            yield from _shape_findings(info, item)
        elif item.name in checkpoint.headers.unlisted:
            place = Path(checkpoint.headers.unlisted[item.name].file).name
            yield found("index-incomplete", item.name, f"is in {place}, which the index does not name")
        elif not item.optional and item.name not in unreadable and (has_head or not item.name.startswith("mtp.")):
            yield found("tensor-missing", item.name, "is missing")
    for name in sorted(tensors.keys() - expected.keys() - set(other.names)):
        yield found("tensor-unexpected", name, "belongs to no layer of this network in its declared format")
    yield from _kv_scales(checkpoint, expected)


def _shape_findings(info: TensorInfo, item: ExpectedTensor) -> Iterator[Finding]:
    if info.storage not in item.storages:
        allowed = " or ".join(storage.value for storage in item.storages)
        yield found("tensor-dtype", item.name, f"is {info.storage.value}, expected {allowed}")
    elif info.shape != item.shape and not (item.shape == (1,) and info.shape == ()):
        hint = "; config.json and the embedding disagree on vocab_size" if item.name == EMBEDDINGS else ""
        yield found("tensor-shape", item.name, f"is {_shape(info.shape)}, expected {_shape(item.shape)}{hint}")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _kv_scales(checkpoint: Checkpoint, expected: Expected) -> Iterator[Finding]:
    """Yield the KV scales that some layers lack while others have them; all or none is as it should be."""
    names = [name for name in expected if name.endswith((".k_scale", ".v_scale"))]
    missing = [name for name in names if name not in checkpoint.tensors]
    if len(missing) < len(names):
        for name in missing:
            yield found("kv-scale-missing", name, "is missing, other layers have theirs")
