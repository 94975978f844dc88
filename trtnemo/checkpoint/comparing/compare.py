"""Compare two checkpoints number by number, in bounded memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.comparing.numbers import Numbers, numbers_of
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.reading.sources import Sources
from trtnemo.errors import UsageError

PART = 4 << 20  # numbers of one tensor at a time and thread
Report = Callable[[str, int, int], None]


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
        if not math.isfinite(self.noise) or not math.isfinite(self.signal) or self.signal == 0:
            return None
        return 10 * math.log10(self.signal / self.noise) if self.noise else math.inf


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
        if checkpoint.listing is not None:
            raise UsageError("only its headers were fetched", where=checkpoint.place, remedy="`trtnemo fetch` has all")
    (ours, our_unread), (theirs, their_unread) = numbers_of(first), numbers_of(second)
    both = [name for name in ours if name in theirs]
    same_shape = [name for name in both if ours[name].shape == theirs[name].shape]
    total, done, lock = sum(math.prod(ours[name].shape) for name in same_shape), 0, Lock()
    with ExitStack() as stack:
        sources = [stack.enter_context(Sources(str(path) for path in one.shards)) for one in (first, second)]

        def compare(name: str) -> TensorDifference:
            nonlocal done
            found = _compare(ours[name], theirs[name], sources[0], sources[1])
            with lock:
                done += found.elements
                report(name, done, total)
            return found

        threads = stack.enter_context(ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="diff"))
        found = list(threads.map(compare, same_shape))
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
        if counts_codes:
            moved += _moved(one, one.codes(ours, row, count), other.codes(theirs, row, count))
        a, b = one.decoded(ours, row, count), other.decoded(theirs, row, count)
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
