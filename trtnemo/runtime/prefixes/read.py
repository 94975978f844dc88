"""Reading a file of states: its head when it is listed, and a rung's bytes, against their digests, when it is used."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path

from trtnemo.backends import Bytes, Pieces
from trtnemo.errors import PrefixFileError
from trtnemo.runtime.prefixes.header import MOST_BYTES, Header, parse


def read_header(path: Path) -> Header:
    """Return a file's head; raises OSError, ForeignFileError, and PrefixFileError where it is damaged or cut off."""
    with FileIO(path, opener=_plain) as file:
        return _header(file)[0]


def read_rung(path: Path, header: Header, number: int, into: Pieces, halt: Callable[[], None]) -> None:
    """Fill a blank snapshot with a rung of a file that has this head.

    `halt` is called before each piece, and may raise. Raises as `read_header` does; what was filled is worth nothing
    then.
    """
    with FileIO(path, opener=_plain) as file:
        found, begin = _header(file)
        if found != header:  # another server wrote the name anew since it was listed
            raise FileNotFoundError(path)
        file.seek(begin)
        for rung in range(number + 1):
            pages = map(into.page, header.pages(rung))
            _get(file, pages, header.rungs[rung].pages_sha256, halt)
        file.seek(begin + header.rest_place(number))
        _get(file, into.parts(), header.rungs[number].rest_sha256, halt)


def _header(file: FileIO) -> tuple[Header, int]:
    header, begin = parse(_read_up_to(file, MOST_BYTES))
    size = os.fstat(file.fileno()).st_size
    if size != begin + header.payload_bytes:
        raise PrefixFileError(f"has {size} bytes, not the {begin + header.payload_bytes} that its head tells of")
    return header, begin


def _read_up_to(file: FileIO, count: int) -> bytes:
    parts = []
    while count and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _get(file: FileIO, pieces: Iterable[Bytes], expected: str, halt: Callable[[], None]) -> None:
    digest = hashlib.sha256()
    for piece in pieces:
        halt()
        left = piece.data
        while left:
            count = file.readinto(left)
            if not count:
                raise PrefixFileError("ends early")
            left = left[count:]
        digest.update(piece.data)
    if digest.hexdigest() != expected:
        raise PrefixFileError("does not match the digests in its head")


def _plain(name: str, flags: int) -> int:
    """Open a regular file, and wait for none: what lies there may be a pipe."""
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(name)
    return descriptor
