"""Print how far the values of checkpoints are from the thresholds of `trtnemo check --deep` (docs/weights.md).

usage: python -m scripts.scan_margins CHECKPOINT...     (directories, or tiny)
"""

from __future__ import annotations

import sys
from statistics import median

from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.auditing.deep.measure import Measure
from trtnemo.checkpoint.auditing.deep.scan import scan
from trtnemo.checkpoint.format.storage import PLAIN, StorageType


def main(names: list[str]) -> int:
    """Print one line a checkpoint."""
    for name in names:
        found = scan(Checkpoint.open(name))
        measures = found.measures
        layers = [list(sizes.values()) for sizes in found.expert_sizes]
        sizes = [size / (median(layer) or 1.0) for layer in layers for size in layer] or [1.0]
        far = max((one.largest / one.rms_of_others for one in _matrices(measures)), default=0.0)
        packed = [one.codes for one in measures.values() if one.info.storage is StorageType.U8]
        flat = min((float(codes.max() / max(codes.min(), 1)) for codes in packed), default=0.0)
        scales = [one for key, one in measures.items() if key.endswith(".weight_scale") and one.info.shape]
        least = min((one.largest for one in scales), default=0.0)
        saturated = max((float(one.bytes[0x7E]) / one.elements for one in scales), default=0.0)
        print(
            f"{name}: largest number {far:.1f} times the rest; experts {min(sizes):.2f} to {max(sizes):.2f} times the "
            f"middle one; most over least code {flat:.2f}; largest block scale {least:g}; {saturated:.1%} 448"
        )
    return 0


def _matrices(measures: dict[str, Measure]) -> list[Measure]:
    plain = [one for one in measures.values() if one.info.storage in PLAIN and len(one.info.shape) == 2]
    return [one for one in plain if one.rms_of_others]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
