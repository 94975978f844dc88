"""Copies of a slot's states on the device, and the pages that they share with it."""

from __future__ import annotations

import weakref
from collections.abc import Mapping

from torch import Tensor

from trtnemo.backends.cuda.forms import State
from trtnemo.backends.cuda.pages import PagePool, pages_of, shared_pages

Parts = dict[str, tuple[Tensor, ...]]


class DeviceCopy:
    """What a slot held after `length` tokens: pages that nobody writes again are shared, all else is copied.

    stored: tokens that the recurrent states hold; last: the target's hidden state of the last token.
    """

    def __init__(
        self, states: Mapping[str, State], pool: PagePool, slot: int, length: int, stored: int, last: Tensor | None
    ) -> None:
        self._states, self._pool, self.last, self.length, self.stored = states, pool, last, length, stored
        self._pages = pool.share(slot, shared_pages(length))
        self._let_go = weakref.finalize(self, pool.drop, self._pages)
        own = pool.pages(slot)[len(self._pages) : pages_of(length)]
        self._parts: Parts = {name: state.copy(slot, own) for name, state in states.items()}
        self._swapped: Parts = {}

    @property
    def nbytes(self) -> int:
        """Bytes held, those of shared pages included."""
        shared = 0 if self._swapped else len(self._pages) * sum(state.page_bytes for state in self._states.values())
        return shared + sum(part.nbytes for held in (self._parts, self._swapped) for ps in held.values() for part in ps)

    @property
    def pages_to_restore(self) -> int:
        """Free pages that a slot needs to be given this."""
        return pages_of(self.length) - (0 if self._swapped else len(self._pages))

    def swap_out(self) -> None:
        """Move everything to the host, and let go of the pages."""
        if self._swapped:
            return
        pages = list(self._pages)
        self._swapped = {name: _to_host(state.copy(None, pages)) for name, state in self._states.items()}
        self._parts = {name: _to_host(parts) for name, parts in self._parts.items()}
        self._let_go()

    def put(self, slot: int) -> None:
        """Give an empty slot what was held; raises StepError where too few pages are free."""
        self._pool.require(self.pages_to_restore)
        if not self._swapped:
            self._pool.adopt(slot, self._pages)
        self._pool.reserve({slot: self.length})
        pages = self._pool.pages(slot)
        for name, state in self._states.items():
            state.put(slot, pages[len(self._pages) :], self._parts[name])
            if self._swapped:
                state.put(None, pages[: len(self._pages)], self._swapped[name])


def _to_host(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(part.cpu() for part in parts)
