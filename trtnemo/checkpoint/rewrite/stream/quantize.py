"""Quantize a checkpoint tensor by tensor: read at the disk's speed, in bounded memory, going on where it was killed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trtnemo.checkpoint.auditing.audit import AuditReport, audit
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.format.encoder import Search
from trtnemo.checkpoint.format.headers import INDEX
from trtnemo.checkpoint.format.writing import copy_text_files
from trtnemo.checkpoint.reading.sources import Sources
from trtnemo.checkpoint.reading.threads import Progress, in_threads
from trtnemo.checkpoint.rewrite.quantization_files import write_quantization
from trtnemo.checkpoint.rewrite.stream.card import write_card
from trtnemo.checkpoint.rewrite.stream.pieces import plan_pieces
from trtnemo.checkpoint.rewrite.stream.scalars import read_scalars, require_no_scalars
from trtnemo.checkpoint.rewrite.stream.shard import Shard, cut_shards
from trtnemo.checkpoint.rewrite.stream.staging import Staging, flushed_meanwhile, open_staging
from trtnemo.checkpoint.rewrite.stream.write import PieceWriter
from trtnemo.errors import CheckpointError, UsageError
from trtnemo.files.json_file import write_json
from trtnemo.files.staging import check_output, refuse_own_place

SHARD_BYTES = 5_000_000_000  # as the hub's own are cut
MODELOPT = "0.47.0"  # whose bits are written
Report = Callable[[str, int, int], None]


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
    scales_from: Checkpoint | None = None,
    search: Search = "max",
    shard_bytes: int = SHARD_BYTES,
    force: bool = False,
    report: Report = lambda what, done, total: None,
) -> StreamedReport:
    """Write a quantized copy of a plain checkpoint to `output`, and return its audit.

    target: the format of each module; scales_from: a checkpoint of the same network, whose input, key and value scales
    are taken; search: how scales of NVFP4 blocks are chosen (`format/encoder.py`). report hears of (file, bytes read,
    bytes to read). A run that is killed leaves whole files, and the same call goes on behind them. Raises
    CheckpointError, UsageError, and MachineError where the disk is too small.
    """
    check_output(output, force, "config.json", CheckpointError)
    read = [checkpoint.directory for checkpoint in (source, scales_from) if checkpoint is not None]
    refuse_own_place(output, read, CheckpointError)
    audit(source).require()
    source.require_plain()
    if scales_from is None:
        require_no_scalars(source.config, target)
    scalars = {} if scales_from is None else read_scalars(source.config, target, scales_from)
    pieces = plan_pieces(source, target, scalars)
    if all(piece.format is WeightFormat.PLAIN for piece in pieces):
        raise UsageError("nothing would be quantized: the formats that are asked for leave every layer plain")
    shards = cut_shards(pieces, shard_bytes)
    with open_staging(output) as staging, Sources(str(path) for path in source.shards) as sources:
        staging.adopt(_fingerprint(source, shards, sources, search))
        left = [shard for shard in shards if not staging.holds(shard)]
        staging.require_space(left)
        _write_shards(staging, shards, left, sources, search, report)
        sources.require_unchanged()
        staging.keep_only(shards)
        _write_files(source, staging.directory, shards, scales_from, search)
        found = audit(Checkpoint.open(staging.directory))
        found.require()
        check_output(output, force, "config.json", CheckpointError)  # which may have appeared meanwhile
        staging.finish(output)
    return StreamedReport(
        audit=replace(found, directory=str(output)),
        files=len(shards),
        files_kept=len(shards) - len(left),
        cache_scales=sum(name.endswith((".k_scale", ".v_scale")) for name in scalars),
    )


def _fingerprint(source: Checkpoint, shards: list[Shard], sources: Sources, search: Search) -> dict[str, Any]:
    """Return all that decides what is written: another plan begins with nothing."""
    return {
        "trtnemo": version("trtnemo"),
        "config": source.raw_config,
        "search": search,
        "files": {Path(path).name: state for path, state in sources.states.items()},
        "shards": [[shard.name, shard.header.decode("latin-1")] for shard in shards],
        "constants": [piece.constants for shard in shards for piece in shard.pieces if piece.constants],
    }


def _write_shards(
    staging: Staging, shards: list[Shard], left: list[Shard], sources: Sources, search: Search, report: Report
) -> None:
    total = sum(_bytes_read(shard) for shard in shards)
    done = total - sum(_bytes_read(shard) for shard in left)
    for shard in left:
        begin = done

        def fill(file: int, shard: Shard = shard, begin: int = begin) -> None:
            progress = Progress(lambda what, read: report(what, begin + read, total))
            writer = PieceWriter(sources, file, shard.places, lambda read: progress.add(shard.name, read), search)
            with flushed_meanwhile(file):
                in_threads(writer.write, shard.pieces)

        staging.write(shard, fill)
        sources.require_unchanged()
        done += _bytes_read(shard)


def _bytes_read(shard: Shard) -> int:
    return sum(piece.source.size for piece in shard.pieces)


def _write_files(
    source: Checkpoint, directory: Path, shards: list[Shard], scales_from: Checkpoint | None, search: Search
) -> None:
    """Write all that is not weights: index, configuration, tokenizer, template and card; raises CheckpointError."""
    storages = {tensor.name: tensor.storage for shard in shards for tensor in shard.tensors}
    try:
        write_quantization(directory, source.raw_config, storages, f"{MODELOPT}+trtnemo")
        copy_text_files(source.directory, directory)
        write_card(directory, source, storages, scales_from, search)
        if len(shards) > 1:
            write_json(directory / INDEX, _index(shards))
    except OSError as error:
        raise CheckpointError(
            f"cannot be written: {error.strerror}",
            where=str(error.filename or directory),
            remedy="The same command goes on with what is written already",
        ) from None


def _index(shards: list[Shard]) -> Mapping[str, Any]:
    total = sum(tensor.size for shard in shards for tensor in shard.tensors)
    weights = {tensor.name: shard.name for shard in shards for tensor in shard.tensors}
    return {"metadata": {"total_size": total}, "weight_map": dict(sorted(weights.items()))}
