"""A copy of a slot of the native executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trtnemo.backends.portable import Bytes


@dataclass(frozen=True)
class NativeCopy:
    """A native snapshot, which holds references to KV pages of its executor; use it on the executor's own thread."""

    native: Any
    page_bytes: int

    @property
    def nbytes(self) -> int:
        """Bytes held, shared pages included."""
        return int(self.native.own_bytes) + int(self.native.pages) * self.page_bytes

    @property
    def unfed(self) -> int:
        """Tokens that the MTP head has not read."""
        return int(self.native.unfed)

    def swap_out(self) -> None:
        """Copy the shared pages and give them back."""
        self.native.swap_out()

    def parts(self) -> list[Bytes]:
        """Return views of all that is no page."""
        parts: list[Bytes] = self.native.parts()
        return parts

    def page(self, number: int) -> Bytes:
        """Return a view of a page."""
        page: Bytes = self.native.page(number)
        return page

    def give_back(self) -> None:
        """Give the pages back without a copy: nothing can be restored from it any more."""
        self.native.give_back()
