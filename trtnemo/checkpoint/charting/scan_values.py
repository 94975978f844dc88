"""What a picture shows of a scanned tensor: how large its numbers are, how many are zero, how far its scales reach."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trtnemo.checkpoint.auditing.deep.measure import Counts, Measure
from trtnemo.checkpoint.auditing.deep.scan import Scan
from trtnemo.checkpoint.family.expected import ExpectedTensor
from trtnemo.checkpoint.format.codecs import e4m3_values
from trtnemo.checkpoint.format.storage import PLAIN, StorageType

_LARGEST = 0x7E  # the code of 448


@dataclass(frozen=True)
class ScanValues:
    """One tensor; nothing where it cannot be said.

    rms: the root of the mean square of what is stored, scales included; of NVFP4 about that, the product of the codes'
    and the block scales'. zeros: their share. spread: largest by median block scale. saturated: the share of block
    scales at 448.
    """

    rms: float | None = None
    zeros: float | None = None
    spread: float | None = None
    saturated: float | None = None


def scan_values(scan: Scan) -> dict[str, ScanValues]:
    """Return the values of every tensor that is there as config and map promise it, by name, scales left out."""
    return {
        name: _values(item, scan.measures, scan.scales.get(name))
        for name, item in scan.expected.items()
        if not item.is_scale and name in scan.measures and item.is_met_by(scan.measures[name].info)
    }


def _values(item: ExpectedTensor, measures: Mapping[str, Measure], scale: float | None) -> ScanValues:
    one = measures[item.name]
    if one.info.storage in PLAIN:
        return ScanValues(_finite(one.rms), one.zeros / max(one.elements, 1))
    if one.info.storage not in (StorageType.U8, StorageType.F8_E4M3):
        return ScanValues()
    zeros = one.zeros / max(one.elements, 1)
    blocks = measures.get(f"{item.module}.weight_scale")
    if blocks is None or blocks.info.storage is not StorageType.F8_E4M3:
        return ScanValues(None if scale is None else _finite(one.rms * scale), zeros)
    rms = None if scale is None else _finite(one.rms * blocks.rms * scale)
    return ScanValues(rms, zeros, _spread(blocks.bytes), float(blocks.bytes[_LARGEST]) / max(blocks.elements, 1))


def _spread(counts: Counts) -> float | None:
    """Return the largest by the median of block scales that are counted by code; nothing where the median is 0."""
    magnitudes = np.abs(e4m3_values())
    order = np.argsort(magnitudes)  # what is no number comes last
    order = order[: int(np.count_nonzero(~np.isnan(magnitudes)))]
    sums = np.cumsum(counts[order])
    if not sums[-1]:
        return None
    middle = float(magnitudes[order[int(np.searchsorted(sums, (int(sums[-1]) + 1) // 2))]])
    largest = float(magnitudes[order[counts[order] > 0]].max())
    return largest / middle if middle else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
