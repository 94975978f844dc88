"""Pages of KV cache: which belong to which slot, which snapshots share, which are free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trtnemo.errors import StepError

PAGE = 64  # tokens
_SPARE = 0  # the page of what fills captured steps up; never given out


class PagePool:
    """The pages of all layers alike: page 7 of one layer's cache belongs to whom page 7 of another's does.

    `table` [slots, pages] int32 lies on the device at one address, for kernels.
    """

    def __init__(self, total: int, slots: int, per_slot: int, device: torch.device) -> None:
        self.total = total
        self.table = torch.zeros(slots, per_slot, dtype=torch.int32, device=device)
        self._free = list(range(total, _SPARE, -1))
        self._uses = [0] * (total + 1)
        self._pages: dict[int, list[int]] = {}

    @property
    def free(self) -> int:
        """Pages that nobody holds."""
        return len(self._free)

    def pages(self, slot: int) -> list[int]:
        """Return a slot's pages in the order of its tokens."""
        return self._pages.get(slot, [])

    def missing(self, wanted: Mapping[int, int]) -> int:
        """Return how many more pages slots need for so many tokens each."""
        return sum(max(0, pages_of(tokens) - len(self.pages(slot))) for slot, tokens in wanted.items())

    def reserve(self, wanted: Mapping[int, int]) -> None:
        """Give slots pages for so many tokens each; raises StepError before any is given where too few are free."""
        self.require(self.missing(wanted))
        for slot, tokens in wanted.items():
            more = pages_of(tokens) - len(self.pages(slot))
            if more > 0:
                self._append(slot, [self._take() for _ in range(more)])

    def require(self, count: int) -> None:
        """Raise StepError unless so many pages are free."""
        if count > self.free:
            raise StepError(f"{count} pages of KV cache are needed, and {self.free} of {self.total} are free")

    def share(self, slot: int, count: int) -> tuple[int, ...]:
        """Return a slot's first pages, which stay until `drop` is called with them."""
        found = tuple(self.pages(slot)[:count])
        for page in found:
            self._uses[page] += 1
        return found

    def adopt(self, slot: int, pages: Sequence[int]) -> None:
        """Let a slot without pages begin with shared ones, which it only reads."""
        for page in pages:
            self._uses[page] += 1
        self._append(slot, list(pages))

    def release(self, slot: int) -> None:
        """Take a slot's pages."""
        self.drop(self._pages.pop(slot, []))

    def drop(self, pages: Sequence[int]) -> None:
        """Hold pages no more; those that nobody else holds are free."""
        for page in pages:
            self._uses[page] -= 1
            if not self._uses[page]:
                self._free.append(page)

    def _take(self) -> int:
        page = self._free.pop()
        self._uses[page] = 1
        return page

    def _append(self, slot: int, pages: list[int]) -> None:
        if not pages:
            return
        held = self._pages.setdefault(slot, [])
        self.table[slot, len(held) : len(held) + len(pages)] = _int32(pages, self.table.device)
        held.extend(pages)


def pages_of(tokens: int) -> int:
    """Return how many pages so many tokens take."""
    return -(-tokens // PAGE)


def shared_pages(length: int) -> int:
    """Return how many pages of a sequence are never written again.

    The draft head's entry of the last token is not there yet: it belongs to the token that follows.
    """
    return max(0, length - 1) // PAGE


def _int32(numbers: list[int], device: torch.device) -> Tensor:
    return torch.tensor(numbers, dtype=torch.int32).to(device)
