"""A weight that adapters are added to, some rows at a time, in float32, rounded once to the type of the base."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trtnemo.checkpoint.format.codecs import decode_plain, encode_bfloat16
from trtnemo.checkpoint.format.storage import RawTensor, StorageType, TensorInfo
from trtnemo.checkpoint.reading import buffers
from trtnemo.checkpoint.rewrite.merging.delta import Delta, Float32
from trtnemo.checkpoint.rewrite.stream.page import Page
from trtnemo.checkpoint.rewrite.stream.piece import OneTensor
from trtnemo.errors import CheckpointError


@dataclass
class Tally:
    """Names of weights whose bits an adapter did not change, of those that were written in this run."""

    unchanged: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Merged(OneTensor):
    """One weight of the base and what is added to it; source: the base's, or a whole tensor that replaces it."""

    source: TensorInfo
    deltas: tuple[Delta, ...]
    tally: Tally

    @property
    def bytes_read(self) -> int:
        """Return the size of its source; the adapters' are small beside it."""
        return self.source.size

    def write(self, page: Page) -> None:
        """Write the sum; raises CheckpointError where it is no number, or too large for its type."""
        factors = [delta.factors(page.sources) for delta in self.deltas]
        lengths = next((length for delta in self.deltas if (length := delta.magnitude(page.sources)) is not None), None)
        is_changed = False
        for first, values in self._rows(page):
            before = _encode(values, self.output.storage)
            rows = slice(first, first + len(values))
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # told below
                for left, right in factors:
                    values += left[rows] @ right
                if lengths is not None:
                    values *= lengths[rows] / np.linalg.norm(values, axis=1, keepdims=True)
            after = _encode(values, self.output.storage)
            self._require_numbers(values, after)
            is_changed = is_changed or not np.array_equal(before, after)
            page.put(
                self.output.name, np.ascontiguousarray(after).data.cast("B"), first * values.shape[1] * after.itemsize
            )
        if self.deltas and not is_changed:
            self.tally.unchanged.append(self.output.name)

    def _rows(self, page: Page) -> Iterator[tuple[int, Float32]]:
        """Yield the number of the first row, and rows as float32, so many as a buffer holds."""
        count = self.source.shape[0]
        columns = self.source.elements // max(count, 1)
        width = columns * self.source.storage.itemsize
        rows = max(buffers.PART // max(width, 1), 1)
        for first in range(0, count, rows):
            size = min(rows, count - first) * width
            data = np.concatenate(list(page.parts(self.source, first * width, size)))
            page.told(size)
            values = _decode(data.view(self.source.storage.raw_dtype), self.source.storage)
            yield first, values.reshape(-1, columns)

    def _require_numbers(self, values: Float32, stored: npt.NDArray[np.generic]) -> None:
        if not np.isfinite(values).all() or not np.isfinite(_decode(stored, self.output.storage)).all():
            raise CheckpointError("holds numbers that its type cannot carry, after merging", where=self.output.name,
                                  remedy="The adapter or the base is damaged: `check --deep` the base")  # fmt: skip


def _decode(bits: npt.NDArray[np.generic], storage: StorageType) -> Float32:
    return decode_plain(RawTensor(storage, bits))


def _encode(values: Float32, storage: StorageType) -> npt.NDArray[np.generic]:
    if storage is StorageType.BF16:
        return encode_bfloat16(values)
    with np.errstate(over="ignore"):  # told by the check of the sum
        return values.astype(storage.raw_dtype)
