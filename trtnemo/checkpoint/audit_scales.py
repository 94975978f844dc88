"""The values of scales: one that is not a positive number spoils every answer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.codecs import decode_e4m3, decode_plain
from trtnemo.checkpoint.expected import ExpectedTensor
from trtnemo.checkpoint.finding import Finding, found
from trtnemo.checkpoint.storage import StorageType, TensorInfo


def scale_findings(checkpoint: Checkpoint, expected: dict[str, ExpectedTensor]) -> Iterator[Finding]:
    """Yield the scales with values that no scale can have; those of wrong type or shape are told elsewhere."""
    for item in expected.values():
        info = checkpoint.tensors.get(item.name)
        if item.is_scale and info is not None and info.storage in item.storages and info.shape == item.shape:
            yield from _scale_findings(checkpoint, info)


def _scale_findings(checkpoint: Checkpoint, info: TensorInfo) -> Iterator[Finding]:
    raw = checkpoint.read(info.name)
    is_fp8 = info.storage is StorageType.F8_E4M3
    values = decode_e4m3(raw.data.astype(np.uint8)) if is_fp8 else decode_plain(raw)
    bad, low = ~np.isfinite(values), values <= 0
    if bad.any():
        yield found("scale-not-finite", info.name, f"{int(bad.sum())} of {values.size} values are not finite")
    elif low.any():
        yield found("scale-not-positive", info.name, f"{int(low.sum())} of {values.size} values are not positive")
