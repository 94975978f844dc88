"""The head of a file of states: what it holds, at which lengths of one prompt, and where.

A file is a head, the prompt's pages of KV cache, each once, then the rest of the state at each length (a rung).
"""

from __future__ import annotations

import hashlib
import struct
from typing import Annotated

import msgspec

from trtnemo.backends import SnapshotForm
from trtnemo.errors import ForeignFileError, PrefixFileError

MAGIC = b"TRTNEMO-PREFIX\r\n"
VERSION = 1
MOST_RUNGS = 8
MOST_BYTES = 1 << 16
BLANK = "0" * 64
_START = struct.Struct("<16sII")  # magic, version, bytes of the JSON; behind it stands a digest of both
_SEAL_BYTES = 32

Hex32 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Hex64 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Size = Annotated[int, msgspec.Meta(ge=0, lt=1 << 40)]


class Rung(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A length at which the state is kept.

    key: of the tokens up to there; unfed: tokens that the MTP head has not read; pages_sha256: of the pages behind the
    rung before; rest_sha256: of all that is no page.
    """

    key: Hex32
    length: Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]
    unfed: Size
    pages_sha256: Hex64 = BLANK
    rest_sha256: Hex64 = BLANK


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file holds. engine: a digest of all that its bits depend on; sizes in bytes; rungs ascend."""

    engine: Hex32
    state_bytes: Size
    row_bytes: Size
    page_bytes: Size
    page_tokens: Annotated[int, msgspec.Meta(ge=1, lt=1 << 20)]
    has_mtp: bool
    rungs: Annotated[tuple[Rung, ...], msgspec.Meta(min_length=1, max_length=MOST_RUNGS)]

    @property
    def form(self) -> SnapshotForm:
        """The sizes, as an executor has them."""
        return SnapshotForm(self.state_bytes, self.row_bytes, self.page_bytes, self.page_tokens, self.has_mtp)

    def pages(self, number: int) -> range:
        """Return the pages that a rung adds to those of the rung before."""
        first = self.form.pages(self.rungs[number - 1].length) if number else 0
        return range(first, self.form.pages(self.rungs[number].length))

    def rest_place(self, number: int) -> int:
        """Return where the rest of a rung's state stands, in bytes behind the head; one past the last is the end."""
        pages = self.form.pages(self.rungs[-1].length) * self.page_bytes
        return pages + sum(self.form.part_bytes(rung.unfed) for rung in self.rungs[:number])

    @property
    def payload_bytes(self) -> int:
        """Bytes behind the head."""
        return self.rest_place(len(self.rungs))

    def pack(self) -> bytes:
        """Return the head as it stands in the file; its length does not depend on the digests."""
        body = msgspec.json.encode(self)
        head = _START.pack(MAGIC, VERSION, len(body)) + body
        return head + hashlib.sha256(head).digest()


_decoder = msgspec.json.Decoder(Header)


def parse(data: bytes) -> tuple[Header, int]:
    """Return the head that a file begins with, and its length in bytes.

    Raises ForeignFileError where another program or version wrote it, PrefixFileError where it is damaged.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise ForeignFileError("is no file of prompt states")
    if len(data) < _START.size:
        raise PrefixFileError("ends within its head")
    _, version, size = _START.unpack_from(data)
    if version != VERSION:
        raise ForeignFileError(f"has version {version}; this one reads {VERSION}")
    end = _START.size + size
    if len(data) < end + _SEAL_BYTES:
        raise PrefixFileError("ends within its head")
    if hashlib.sha256(data[:end]).digest() != data[end : end + _SEAL_BYTES]:
        raise PrefixFileError("has a head that does not match its digest")
    try:
        header = _decoder.decode(data[_START.size : end])
    except msgspec.MsgspecError as error:
        raise PrefixFileError(f"has a head that is not understood: {error}") from None
    lengths = [rung.length for rung in header.rungs]
    too_many = any(rung.unfed >= (rung.length if header.has_mtp else 1) for rung in header.rungs)
    if lengths != sorted(set(lengths)) or too_many:
        raise PrefixFileError("has a head that contradicts itself")
    return header, end + _SEAL_BYTES
