"""What one tensor holds, in numbers: counted in one pass over its bytes, by native code."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from trtnemo.checkpoint.format.codecs import e4m3_values
from trtnemo.checkpoint.format.decoder import E2M1_VALUES
from trtnemo.checkpoint.format.storage import PLAIN, StorageType, TensorInfo
from trtnemo.checkpoint.reading.buffers import PART, Buffers
from trtnemo.checkpoint.reading.sources import Sources
from trtnemo.native import choose_kernels, require_native

_MASKS = {StorageType.U8: 0x77, StorageType.F8_E4M3: 0x7F}  # what makes a code other than zero
Counts = npt.NDArray[np.uint64]


@dataclass
class Measure:
    """One tensor: what its numbers, or its codes, are.

    largest, squares: of the numbers, or of what codes stand for, without a scale; squares: of all rows but the one that
    the largest is in, whose are row_squares, so that one number far away does not hide the others. Rows count from 0.
    bytes: how often each byte is there, of codes. digest: of all bytes.
    """

    info: TensorInfo
    nans: int = 0
    infinities: int = 0
    zeros: int = 0
    zero_rows: int = 0
    first_not_finite: int | None = None
    first_zero_row: int | None = None
    largest: float = 0.0
    largest_row: int = 0
    squares: float = 0.0
    row_squares: float = 0.0
    digest: int = 0
    bytes: Counts = field(default_factory=lambda: np.zeros(256, np.uint64))

    @property
    def rms(self) -> float:
        """The root of the mean square."""
        return math.sqrt((self.squares + self.row_squares) / max(self.elements, 1))

    @property
    def rms_of_others(self) -> float:
        """The root of the mean square without the row of the largest number; 0 where there is one row."""
        rows = self.info.shape[0] if len(self.info.shape) > 1 else 1
        return math.sqrt(self.squares / max(self.elements - self.elements // max(rows, 1), 1))

    @property
    def elements(self) -> int:
        """How many numbers there are: two to a byte of packed codes."""
        return self.info.elements * (2 if self.info.storage is StorageType.U8 else 1)

    @property
    def codes(self) -> Counts:
        """How often each of the 16 codes of a packed tensor is there."""
        table = self.bytes.reshape(16, 16)  # by high nibble, then low
        codes: Counts = table.sum(0) + table.sum(1)
        return codes

    def add_numbers(self, found: dict[str, Any], first_row: int) -> None:
        """Take in what some rows hold."""
        for name in ("nans", "infinities", "zeros", "zero_rows", "squares"):
            setattr(self, name, getattr(self, name) + found[name])
        if found["largest"] > self.largest:
            self.largest, self.largest_row = found["largest"], first_row + found["largest_row"]
            self.squares, self.row_squares = self.squares + self.row_squares, found["row_squares"]
        else:
            self.squares += found["row_squares"]
        self._add_rows(found, first_row, ("first_not_finite", "first_zero_row"))

    def add_codes(self, found: dict[str, Any], first_row: int) -> None:
        """Take in what some rows of codes hold."""
        self.zero_rows += found["zero_rows"]
        self._add_rows(found, first_row, ("first_zero_row",))

    def _add_rows(self, found: dict[str, Any], first_row: int, names: tuple[str, ...]) -> None:
        for name in names:
            if getattr(self, name) is None and found[name] is not None:
                setattr(self, name, first_row + found[name])

    def settle_codes(self) -> None:
        """Set what follows of the counts of codes: numbers that are none, zeros, the largest and the mean square."""
        counts, values = (
            (self.codes, E2M1_VALUES) if self.info.storage is StorageType.U8 else (self.bytes, e4m3_values())
        )
        magnitudes, there = np.abs(values), counts > 0
        is_none = np.isnan(values)
        self.nans = int(counts[is_none].sum())
        self.zeros = int(counts[magnitudes == 0].sum())
        self.largest = float(magnitudes[there & ~is_none].max(initial=0))
        self.squares = float((counts * np.where(is_none, 0, magnitudes.astype(np.float64) ** 2)).sum())


def measure(info: TensorInfo, sources: Sources, buffers: Buffers) -> Measure:
    """Return what a tensor holds; raises CheckpointError for a file that shrank, MachineError without native code."""
    native, kernels, found = require_native(), choose_kernels(), Measure(info)
    columns = math.prod(info.shape[1:]) if len(info.shape) > 1 else info.elements
    width = max(columns * info.storage.itemsize, 1)
    rows = max(PART // width, 1)
    for row in range(0, info.size // width, rows):
        part = buffers.take("read", min(rows * width, info.size - row * width))
        sources.read(info, row * width, part)
        found.digest = native.digest(part, found.digest)
        if info.storage in PLAIN:
            found.add_numbers(native.scan_numbers(part, info.storage.value, columns, kernels), row)
        elif info.storage in _MASKS:
            found.add_codes(native.scan_codes(part, columns, _MASKS[info.storage], found.bytes, kernels), row)
    if info.storage in _MASKS:
        found.settle_codes()
    return found
