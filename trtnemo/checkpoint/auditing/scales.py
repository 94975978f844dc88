"""The values of scales: one that is not a positive number spoils every answer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.expected import ExpectedTensor
from trtnemo.checkpoint.format.codecs import decode_e4m3, decode_plain
from trtnemo.checkpoint.format.storage import StorageType, TensorInfo
from trtnemo.checkpoint.rules import found
from trtnemo.findings import Finding

_SPARSE_BYTES = 1 << 20


def never_written(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Yield one finding where a tenth of the shards' bytes at most are on the disk."""
    states = [path.stat() for path in checkpoint.shards]
    size, written = sum(state.st_size for state in states), sum(state.st_blocks * 512 for state in states)
    if size > _SPARSE_BYTES and written * 10 < size:
        message = f"{written:,} of {size:,} bytes are on the disk, the rest reads as zeros: scales are not judged"
        yield found("never-written", "the shards", message)


def scale_findings(checkpoint: Checkpoint, expected: dict[str, ExpectedTensor]) -> Iterator[Finding]:
    """Yield the scales with values that no scale can have; those of wrong type or shape are reported elsewhere."""
    for item in expected.values():
        info = checkpoint.tensors.get(item.name)
        if item.is_scale and info is not None and item.is_met_by(info):
            yield from _scale_findings(checkpoint, info)


def _scale_findings(checkpoint: Checkpoint, info: TensorInfo) -> Iterator[Finding]:
    raw = checkpoint.read(info.name)
    is_fp8 = info.storage is StorageType.F8_E4M3
    values = decode_e4m3(raw.data.astype(np.uint8)) if is_fp8 else decode_plain(raw)
    bad, low = ~np.isfinite(values), values < 0 if is_fp8 else values <= 0
    if bad.any():
        yield found("scale-not-finite", info.name, f"{int(bad.sum())} of {values.size} values are not finite")
    elif low.any():
        yield found("scale-not-positive", info.name, f"{int(low.sum())} of {values.size} values are not positive")
    elif not values.all():
        yield found("block-scale-zero", info.name, f"{int((values == 0).sum())} of {values.size} values are zero")
