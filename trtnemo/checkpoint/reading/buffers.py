"""Memory that a thread reads and encodes in, kept from tensor to tensor: fresh memory costs as much as the reading."""

from __future__ import annotations

from threading import local

import numpy as np
import numpy.typing as npt

PART = 16 << 20  # bytes that a thread reads at once, a multiple of a block of any element
Bytes = npt.NDArray[np.uint8]


class Buffers(local):
    """A thread's own: what it reads into, and what it writes codes and block scales into."""

    def __init__(self) -> None:
        self._parts: dict[str, Bytes] = {}
        self.held: tuple[str, int, int] | None = None  # whose bytes are in what was read: tensor, first, how many

    def take(self, name: str, size: int) -> Bytes:
        """Return so many bytes of a thread's buffer of this name; what was in it is gone."""
        if len(self._parts.get(name, ())) < size:
            self._parts[name] = np.empty(size, np.uint8)
        return self._parts[name][:size]
