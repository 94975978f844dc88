"""Executors whose snapshots can be written to a file and read back, by another process of the same engine too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from trtnemo.backends.executor import Snapshot

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SnapshotForm:
    """The sizes of a snapshot's parts in bytes, and what else its bits depend on beside weights and code.

    row_bytes: one hidden state; page_bytes, page_tokens: one page of KV cache; details: element types and the like.
    """

    state_bytes: int
    row_bytes: int
    page_bytes: int
    page_tokens: int
    has_mtp: bool
    details: tuple[str, ...] = ()

    def pages(self, length: int) -> int:
        """Return the pages that hold so many tokens."""
        return -(-length // self.page_tokens) if self.page_bytes else 0

    def part_bytes(self, unfed: int) -> int:
        """Return the bytes beside pages, where the MTP head has `unfed` tokens still to read."""
        return self.state_bytes + self.row_bytes * (1 + unfed)


class Pieces(Protocol):
    """A snapshot's bytes, as views that are read, or, of a blank one, written."""

    @property
    def unfed(self) -> int:
        """Tokens that the MTP head has not read."""
        ...

    def parts(self) -> list[Bytes]:
        """Return all that is no page: states, the last hidden state, the rows of unfed tokens."""
        ...

    def page(self, number: int) -> Bytes:
        """Return a page; it stays as it is until the snapshot gives it back."""
        ...

    def give_back(self) -> None:
        """Let the executor have the pages again; on the executor's own thread, as everything but reading is."""
        ...


@runtime_checkable
class Portable(Protocol):
    """An executor that opens its snapshots."""

    @property
    def form(self) -> SnapshotForm:
        """What all of its snapshots have in common."""
        ...

    def snapshot_state(self, slot: int) -> Snapshot:
        """Return the slot's state without its pages, for a longer sequence's pages to stand behind it."""
        ...

    def blank_snapshot(self, length: int, unfed: Sequence[int]) -> Snapshot:
        """Return a snapshot that is to be filled, pages included; raises StepError where none are free."""
        ...

    def pieces(self, snapshot: Snapshot) -> Pieces:
        """Return the parts of a snapshot; raises StepError where it is another executor's."""
        ...
