"""What was read of a body: prompts as tokens, and the rest of it; in this form it comes from another process too."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

MOST_REST = 1 << 20


class Ask(NamedTuple):
    """A body to be read: which kind it is, its bytes as they came, and the JSON of the messages before it, if any."""

    kind: str
    pieces: Sequence[bytes]
    earlier: bytes | None = None

    @property
    def nbytes(self) -> int:
        """How long all of it is."""
        return sum(map(len, self.pieces)) + len(self.earlier or b"")


class AskHead(msgspec.Struct, frozen=True):
    """What goes to the reading process before the bytes: how many of them there are."""

    kind: str
    nbytes: int
    earlier_nbytes: int | None


class Reading(msgspec.Struct, frozen=True, tag=True):
    """A body that was read.

    `rest` is its JSON without what became `packed`: prompts as 32-bit numbers, which cost little to take over. thinks:
    the prompt ends inside a thought. `messages` and `items` are what /v1/responses keeps, as JSON. `whole`: the
    answer's JSON, where nothing is left to do. `needs`: the earlier response without which the body cannot be read.
    """

    rest: bytes = b"{}"
    packed: list[bytes] = []
    thinks: bool = False
    messages: bytes = b"[]"
    items: bytes = b"[]"
    whole: bytes | None = None
    needs: str | None = None

    @property
    def prompts(self) -> list[list[int]]:
        """The prompts' tokens."""
        return [array("i", tokens).tolist() for tokens in self.packed]


class Refused(msgspec.Struct, frozen=True, tag=True):
    """A body that cannot be taken; `kind` names the class of the error."""

    kind: str
    what: str
    parameter: str | None
    remedy: str | None


class Broken(msgspec.Struct, frozen=True, tag=True):
    """A defect of ours came up over a body; the log says which."""


Reply = Reading | Refused | Broken


def pack(prompts: Iterable[Sequence[int]]) -> list[bytes]:
    """Return prompts as a reading holds them."""
    return [array("i", tokens).tobytes() for tokens in prompts]
