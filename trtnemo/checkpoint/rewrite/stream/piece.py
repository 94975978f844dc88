"""What is written: tensors of the new checkpoint, and the bytes of others that each is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trtnemo.checkpoint.format.storage import StorageType, TensorInfo

if TYPE_CHECKING:
    from trtnemo.checkpoint.rewrite.stream.page import Page


@dataclass(frozen=True)
class NewTensor:
    """A tensor that is written: name, element type and shape."""

    name: str
    storage: StorageType
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        return math.prod(self.shape) * self.storage.itemsize


class Piece(Protocol):
    """Tensors that are made together, out of a part of what is read."""

    @property
    def outputs(self) -> tuple[NewTensor, ...]:
        """Return what it becomes."""

    @property
    def bytes_read(self) -> int:
        """Return the bytes whose reading `Page.told` hears of."""

    def write(self, page: Page) -> None:
        """Write its outputs; raises CheckpointError for what cannot be made, and for a source that shrank."""


@dataclass(frozen=True)
class Span:
    """Some bytes of a tensor that is read."""

    info: TensorInfo
    begin: int
    size: int


@dataclass(frozen=True)
class OneTensor:
    """What pieces have that become one tensor; as many bytes are read as are written, where a piece says no other."""

    output: NewTensor

    @property
    def outputs(self) -> tuple[NewTensor, ...]:
        """Return the one tensor."""
        return (self.output,)

    @property
    def bytes_read(self) -> int:
        """Return its own size."""
        return self.output.size


@dataclass(frozen=True)
class Copied(OneTensor):
    """A tensor whose bytes lie in others: the same one, a part of a larger one, or several behind each other."""

    spans: tuple[Span, ...]

    def write(self, page: Page) -> None:
        """Copy the spans in their order."""
        place = 0
        for span in self.spans:
            for part in page.parts(span.info, span.begin, span.size):
                page.put(self.output.name, part.data, place)
                place += len(part)
                page.told(len(part))


def copied(info: TensorInfo, name: str | None = None) -> Copied:
    """Return a whole tensor, under another name where one is given."""
    return Copied(NewTensor(name or info.name, info.storage, info.shape), (Span(info, 0, info.size),))
