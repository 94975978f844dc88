"""What a picture shows of a tensor that two checkpoints have: signal to noise, and how many codes moved."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.comparing.compare import CheckpointDifference


@dataclass(frozen=True)
class DifferenceValues:
    """One tensor that was compared; snr_db: nothing where a difference is no number, infinite where numbers are equal.

    moved: the share of codes that are others, nothing where both store other formats.
    """

    snr_db: float | None
    moved: float | None


def difference_values(
    first: Checkpoint, second: Checkpoint, found: CheckpointDifference, names: Iterable[str]
) -> dict[str, DifferenceValues]:
    """Return the values of those tensors among `names` that both have and that were compared."""
    differing = {one.name: one for one in found.differing}
    apart = {*found.only_first, *found.only_second, *found.other_shapes, *found.unread}
    values: dict[str, DifferenceValues] = {}
    for name in names:
        ours, theirs, one = first.tensors.get(name), second.tensors.get(name), differing.get(name)
        if one is not None:
            moved = None if one.codes_moved is None else one.codes_moved / max(one.elements, 1)
            values[name] = DifferenceValues(one.snr_db, moved)
        elif ours is not None and theirs is not None and name not in apart:
            values[name] = DifferenceValues(math.inf, 0.0 if ours.storage is theirs.storage else None)
    return values
