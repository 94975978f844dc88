"""Convert a checkpoint of any size to another layout, with no number changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from trtnemo.checkpoint.auditing.audit import AuditReport, audit
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.format.writing import copy_text_files
from trtnemo.checkpoint.rewrite.card import write_card
from trtnemo.checkpoint.rewrite.converting.to_fused import plan_fused
from trtnemo.checkpoint.rewrite.converting.to_hub import plan_hub
from trtnemo.checkpoint.rewrite.quantizing.quantization_files import MODELOPT, layer_map, write_quantization
from trtnemo.checkpoint.rewrite.repair_config import repaired_config
from trtnemo.checkpoint.rewrite.stream.run import (
    SHARD_BYTES,
    Report,
    Rewrite,
    Storages,
    require_place,
    write_stream,
)
from trtnemo.errors import CheckpointError, UsageError
from trtnemo.files.json_file import write_json

Layout = Literal["hub", "fused"]
_PLANS = {"hub": plan_hub, "fused": plan_fused}
_NO_HEAD = "mtp-missing"


@dataclass(frozen=True)
class ConvertReport:
    """What was written; done: how many tensors, by what was done to them; audit: of the hub's layout alone."""

    done: dict[str, int]
    tensors: int
    bytes: int
    files: int
    files_kept: int
    has_head: bool
    audit: AuditReport | None


def convert_stream(
    source: Checkpoint,
    output: Path,
    layout: Layout,
    *,
    shard_bytes: int = SHARD_BYTES,
    force: bool = False,
    report: Report = lambda what, done, total: None,
) -> ConvertReport:
    """Write a copy of a checkpoint in another layout to `output`.

    layout: `hub`, one tensor an expert and ModelOpt's scales, or `fused`, transformers 5's. The other arguments are as
    `write_stream` has them. What comes out in the hub's layout is audited; a missing MTP head alone is no failure.
    Raises CheckpointError, UsageError where nothing is to be done, and MachineError where the disk is too small.
    """
    require_place(output, {source.directory}, force)
    source.require_weights()
    pieces, done = _PLANS[layout](source)
    if set(done) <= {"copied"}:
        raise UsageError(f"is in the layout '{layout}' already", where=source.place)

    def finish(directory: Path, storages: Storages) -> AuditReport | None:
        config = source.raw_config if layout == "fused" else repaired_config(source, set(), None, keeps_head=True)
        config = {key: value for key, value in config.items() if key != "quantization_config"}
        if layer_map(storages):
            write_quantization(directory, config, storages, f"{MODELOPT}+trtnemo")
        else:
            write_json(directory / "config.json", config)
        copy_text_files(source.directory, directory)
        write_card(directory, source.directory, "finetune", "Converted from",
                   f"Layout: {layout}. No number was changed.")  # fmt: skip
        return _judged(directory, output) if layout == "hub" else None

    identity: dict[str, Any] = {"layout": layout, "config": source.raw_config}
    written = write_stream(output, Rewrite(source.shards, pieces, identity, finish),
                           shard_bytes=shard_bytes, force=force, report=report)  # fmt: skip
    outputs = [output for piece in pieces for output in piece.outputs]
    return ConvertReport(
        done=dict(done),
        tensors=len(outputs),
        bytes=sum(output.size for output in outputs),
        files=written.files,
        files_kept=written.files_kept,
        has_head=any(output.name.startswith("mtp.") for output in outputs),
        audit=written.result,
    )


def _judged(directory: Path, output: Path) -> AuditReport:
    """Return the audit of what was written; raises CheckpointError for more than a head that is not there."""
    found = audit(Checkpoint.open(directory))
    other = next((finding for finding in found.errors if finding.rule != _NO_HEAD), None)
    if other is not None:
        raise CheckpointError(f"what would be written is no whole checkpoint: {other.subject}: {other.message}",
                              where=str(output))  # fmt: skip
    return replace(found, directory=str(output))
