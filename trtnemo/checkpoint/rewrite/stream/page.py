"""One new file while it is written: where its tensors lie, and the files that they are made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from trtnemo.checkpoint.format.storage import TensorInfo
from trtnemo.checkpoint.reading import buffers
from trtnemo.checkpoint.reading.buffers import Buffers, Bytes
from trtnemo.checkpoint.reading.sources import Sources


@dataclass(frozen=True)
class Page:
    """An open file that several threads write pieces into.

    places: first byte of each tensor by name; told: hears of bytes that were read.
    """

    sources: Sources
    file: int
    places: dict[str, int]
    told: Callable[[int], None]
    buffers: Buffers = field(default_factory=Buffers)

    def parts(self, info: TensorInfo, begin: int = 0, size: int | None = None) -> Iterator[Bytes]:
        """Yield bytes of a tensor that is read, a bounded part at a time, which the next one overwrites."""
        end = info.size if size is None else begin + size
        for first in range(begin, end, buffers.PART):
            part = self.buffers.take("read", min(buffers.PART, end - first))
            wanted = (info.name, first, len(part))
            if self.buffers.held != wanted:  # a small tensor is still there from the search for its largest number
                self.buffers.held = None
                self.sources.read(info, first, part)
                self.buffers.held = wanted
            yield part

    def put(self, name: str, data: bytes | memoryview, begin: int = 0) -> None:
        """Write bytes of a new tensor, from its byte `begin` on."""
        view, place = memoryview(data), self.places[name] + begin
        while view:
            done = os.pwrite(self.file, view, place)
            view, place = view[done:], place + done
