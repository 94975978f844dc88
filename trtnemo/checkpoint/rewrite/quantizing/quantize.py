"""Quantize a checkpoint of any size tensor by tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trtnemo.checkpoint.auditing.audit import AuditReport, audit
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.format.encoder import Search
from trtnemo.checkpoint.format.writing import copy_text_files
from trtnemo.checkpoint.rewrite.quantizing.card import write_quantized_card
from trtnemo.checkpoint.rewrite.quantizing.pieces import plan_pieces
from trtnemo.checkpoint.rewrite.quantizing.quantization_files import MODELOPT, write_quantization
from trtnemo.checkpoint.rewrite.quantizing.scalars import Scalars, require_no_scalars
from trtnemo.checkpoint.rewrite.stream.run import (
    SHARD_BYTES,
    Report,
    Rewrite,
    Storages,
    require_place,
    write_stream,
)
from trtnemo.errors import UsageError


@dataclass(frozen=True)
class StreamedReport:
    """What was written, and how much of it an earlier run had left; cache_scales: of keys and values, written."""

    audit: AuditReport
    files: int
    files_kept: int
    cache_scales: int


def quantize_stream(
    source: Checkpoint,
    output: Path,
    target: QuantizationMap,
    *,
    scalars: Scalars | None = None,
    search: Search = "max",
    shard_bytes: int = SHARD_BYTES,
    force: bool = False,
    report: Report = lambda what, done, total: None,
) -> StreamedReport:
    """Write a quantized copy of a plain checkpoint to `output`, and return its audit.

    target: the format of each module; scalars: scales of inputs, keys and values, and where they are from; search: how
    scales of NVFP4 blocks are chosen (`format/encoder.py`); the others as `write_stream` has them. Raises
    CheckpointError, UsageError, and MachineError where the disk is too small.
    """
    require_place(output, {source.directory, *(scalars.read if scalars else ())}, force)
    audit(source).require()
    source.require_plain()
    if scalars is None:
        require_no_scalars(source.config, target)
    values = {} if scalars is None else scalars.values
    pieces = plan_pieces(source, target, values, search)
    if all(piece.format is WeightFormat.PLAIN for piece in pieces):
        raise UsageError("nothing would be quantized: the formats that are asked for leave every layer plain")
    origin = "none, weights alone are quantized" if scalars is None else scalars.origin

    def finish(directory: Path, storages: Storages) -> AuditReport:
        write_quantization(directory, source.raw_config, storages, f"{MODELOPT}+trtnemo")
        copy_text_files(source.directory, directory)
        write_quantized_card(directory, source, storages, origin, search)
        found = audit(Checkpoint.open(directory))
        found.require()
        return replace(found, directory=str(output))

    identity: dict[str, Any] = {
        "config": source.raw_config,
        "search": search,
        "constants": [piece.constants for piece in pieces if piece.constants],
    }
    done = write_stream(output, Rewrite(source.shards, pieces, identity, finish),
                        shard_bytes=shard_bytes, force=force, report=report)  # fmt: skip
    cache_scales = sum(name.endswith((".k_scale", ".v_scale")) for name in values)
    return StreamedReport(done.result, done.files, done.files_kept, cache_scales)
