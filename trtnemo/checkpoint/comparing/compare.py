"""Compare two checkpoints number by number, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.comparing.numbers import Numbers, numbers_of
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.reading.sources import Sources
from trtnemo.checkpoint.reading.threads import Progress, in_threads

PART = 4 << 20  # numbers of one tensor at a time and thread
Report = Callable[[str, int, int], None]


def decibels(signal: float, noise: float) -> float | None:
    """Return signal to noise in decibels; nothing where one is no number, or the signal is all zeros."""
    if not math.isfinite(noise) or not math.isfinite(signal) or signal == 0:
        return None
    return 10 * math.log10(signal / noise) if noise else math.inf


@dataclass(frozen=True)
class TensorDifference:
    """How one tensor differs: as decoded numbers, the first checkpoint's being the signal.

    largest: of the differences; codes_moved: how many codes are others, where both store the same format.
    """

    name: str
    formats: tuple[str, str]
    elements: int
    signal: float
    noise: float
    largest: float
    codes_moved: int | None

    @property
    def snr_db(self) -> float | None:
        """Signal to noise in decibels: nothing where a difference is no number, or the first is all zeros."""
        return decibels(self.signal, self.noise)


@dataclass(frozen=True)
class CheckpointDifference:
    """Two checkpoints side by side: tensors of one alone, of other shapes, and those whose numbers or codes differ.

    unread: tensors of types that are not decoded here, in either.
    """

    compared: int
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    other_shapes: tuple[str, ...]
    differing: tuple[TensorDifference, ...]
    unread: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether all was compared, and nothing differs."""
        return not (self.only_first or self.only_second or self.other_shapes or self.differing or self.unread)


def compare_checkpoints(
    first: Checkpoint, second: Checkpoint, report: Report = lambda what, done, total: None
) -> CheckpointDifference:
    """Return how two checkpoints differ, those tensors first that differ most; raises CheckpointError, UsageError."""
    for checkpoint in (first, second):
        checkpoint.require_weights()
    (ours, our_unread), (theirs, their_unread) = numbers_of(first), numbers_of(second)
    both = [name for name in ours if name in theirs]
    same_shape = [name for name in both if ours[name].shape == theirs[name].shape]
    total = sum(math.prod(ours[name].shape) for name in same_shape)
    progress = Progress(lambda what, done: report(what, done, total))
    with ExitStack() as stack:
        sources = [stack.enter_context(Sources(str(path) for path in one.shards)) for one in (first, second)]

        def compare(name: str) -> TensorDifference:
            found = _compare(ours[name], theirs[name], sources[0], sources[1])
            progress.add(name, found.elements)
            return found

        found = in_threads(compare, same_shape, each=1)  # decoding keeps the processors busy
        for source in sources:
            source.require_unchanged()
    differing = [one for one in found if one.noise != 0 or one.codes_moved]
    return CheckpointDifference(
        compared=len(same_shape),
        only_first=tuple(name for name in ours if name not in theirs),
        only_second=tuple(name for name in theirs if name not in ours),
        other_shapes=tuple(name for name in both if ours[name].shape != theirs[name].shape),
        differing=tuple(sorted(differing, key=_order)),
        unread=tuple(sorted({*our_unread, *their_unread})),
    )


def _order(one: TensorDifference) -> float:
    return -math.inf if one.snr_db is None else one.snr_db


def _compare(one: Numbers, other: Numbers, ours: Sources, theirs: Sources) -> TensorDifference:
    signal = noise = largest = 0.0
    moved = 0
    counts_codes = one.format.stores_like(other.format) and one.info.storage is other.info.storage
    for row, count in _parts(one):
        codes = one.codes(ours, row, count), other.codes(theirs, row, count)
        if counts_codes:
            moved += _moved(one, *codes)
        a, b = one.decoded(codes[0], ours, row, count), other.decoded(codes[1], theirs, row, count)
        with np.errstate(invalid="ignore", over="ignore"):  # infinity less infinity: such a tensor is told as no number
            difference = np.abs(np.subtract(a, b, dtype=np.float64))
            difference[(a == b) | (np.isnan(a) & np.isnan(b))] = 0  # infinities and NaN that are alike
            difference[np.isnan(difference)] = np.inf
            signal += float(np.square(a, dtype=np.float64).sum())
            noise += float(np.square(difference).sum())
        largest = max(largest, float(difference.max(initial=0)))
    formats = (_stored(one), _stored(other))
    elements = math.prod(one.shape)
    return TensorDifference(one.name, formats, elements, signal, noise, largest, moved if counts_codes else None)


def _moved(one: Numbers, ours: npt.NDArray[np.uint8], theirs: npt.NDArray[np.uint8]) -> int:
    """Return how many numbers are stored by other bits."""
    if one.format.is_nvfp4:
        other = ours ^ theirs
        return int(np.count_nonzero(other & 0x0F) + np.count_nonzero(other & 0xF0))
    width = one.info.storage.itemsize if one.format is WeightFormat.PLAIN else 1
    return int((ours.reshape(-1, width) != theirs.reshape(-1, width)).any(1).sum())


def _stored(one: Numbers) -> str:
    return one.info.storage.value if one.format is WeightFormat.PLAIN else one.format.value


def _parts(one: Numbers) -> Iterator[tuple[int, int]]:
    rows = max(PART // max(one.columns, 1), 1)
    for row in range(0, one.rows, rows):
        yield row, min(rows, one.rows - row)
