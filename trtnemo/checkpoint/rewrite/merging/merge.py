"""Merge LoRA adapters into a plain checkpoint of any size, tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trtnemo.checkpoint.auditing.audit import AuditReport, audit
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.format.writing import copy_text_files
from trtnemo.checkpoint.rewrite.card import public_name, write_card
from trtnemo.checkpoint.rewrite.merging.adapter import Adapter
from trtnemo.checkpoint.rewrite.merging.merged import Merged, Tally
from trtnemo.checkpoint.rewrite.merging.plan import plan_merge
from trtnemo.checkpoint.rewrite.stream.run import (
    SHARD_BYTES,
    Report,
    Rewrite,
    Storages,
    require_place,
    write_stream,
)
from trtnemo.errors import UsageError
from trtnemo.files.json_file import write_json


@dataclass(frozen=True)
class MergeReport:
    """What was written: weights that adapters were added to, tensors they replaced, and weights they left as they were.

    unchanged: of the files that this run wrote; an adapter that was never trained changes nothing.
    """

    audit: AuditReport
    files: int
    files_kept: int
    merged: int
    replaced: int
    unchanged: int


def merge_stream(
    base: Checkpoint,
    output: Path,
    adapters: Sequence[Adapter],
    *,
    shard_bytes: int = SHARD_BYTES,
    force: bool = False,
    report: Report = lambda what, done, total: None,
) -> MergeReport:
    """Write a copy of a plain checkpoint with adapters added to its weights, and return its audit.

    Sums are taken in float32 and rounded once. The other arguments are as `write_stream` has them. Raises
    CheckpointError, and MachineError where the disk is too small.
    """
    require_place(output, {base.directory, *(adapter.directory for adapter in adapters)}, force)
    if len({adapter.directory.resolve() for adapter in adapters}) < len(adapters):
        raise UsageError("the same adapter is given twice")
    audit(base).require()
    base.require_plain()
    tally = Tally()
    pieces = plan_merge(base, adapters, tally)

    def finish(directory: Path, storages: Storages) -> AuditReport:
        write_json(directory / "config.json", base.raw_config)
        copy_text_files(base.directory, directory)
        names = ", ".join(f"`{public_name(adapter.directory)}`" for adapter in adapters)
        write_card(directory, base.directory, "finetune", f"The LoRA adapters {names} are merged into",
                   "Sums were taken in float32 and rounded once.")  # fmt: skip
        found = audit(Checkpoint.open(directory))
        found.require()
        return replace(found, directory=str(output))

    identity = {"adapters": [adapter.settings.model_dump() for adapter in adapters], "config": base.raw_config}
    files = [*base.shards, *(adapter.file for adapter in adapters)]
    done = write_stream(output, Rewrite(files, pieces, identity, finish),
                        shard_bytes=shard_bytes, force=force, report=report)  # fmt: skip
    changed = [piece for piece in pieces if isinstance(piece, Merged)]
    return MergeReport(
        audit=done.result,
        files=done.files,
        files_kept=done.files_kept,
        merged=sum(bool(piece.deltas) for piece in changed),
        replaced=sum(len(adapter.replaced) for adapter in adapters),
        unchanged=len(tally.unchanged),
    )
