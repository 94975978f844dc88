"""Writing a file of states: under another name, whole, on the disk, and only then under its own."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path

import msgspec

from trtnemo.backends import Bytes, Pieces
from trtnemo.runtime.prefixes.header import Header, Rung
from trtnemo.runtime.prefixes.lock import hold

PRIVATE = 0o600


class HaltedError(Exception):
    """Writing or reading was told to stop."""


def write_file(
    path: Path, header: Header, states: Sequence[Pieces], read: Callable[[], None], halt: Callable[[], None]
) -> None:
    """Write the states of each rung, the last of which has the pages.

    `halt` is called before each piece, and may raise; `read` once no page is looked at any more. Raises OSError; what
    was begun vanishes then.
    """
    writing = path.with_name(f".{path.name}.writing-{secrets.token_hex(4)}")
    with FileIO(writing, "x", opener=_private) as file:
        try:
            # who cleans up takes no file that somebody holds locked
            hold(file.fileno())
            _fill(file, header, states, read, halt)
            os.fsync(file.fileno())
            writing.rename(path)
        except BaseException:
            with suppress(OSError):
                writing.unlink()
            raise
    _sync_folder(path.parent)


def _fill(
    file: FileIO, header: Header, states: Sequence[Pieces], read: Callable[[], None], halt: Callable[[], None]
) -> None:
    _write(file, header.pack())  # its place; digests are known at the end
    numbers = range(len(header.rungs))
    of_pages = [_put(file, map(states[-1].page, header.pages(number)), halt) for number in numbers]
    read()
    of_rests = [_put(file, states[number].parts(), halt) for number in numbers]
    rungs = zip(header.rungs, of_pages, of_rests, strict=True)
    file.seek(0)
    _write(file, msgspec.structs.replace(header, rungs=tuple(_sealed(*rung) for rung in rungs)).pack())


def _sealed(rung: Rung, pages: str, rest: str) -> Rung:
    return msgspec.structs.replace(rung, pages_sha256=pages, rest_sha256=rest)


def _put(file: FileIO, pieces: Iterable[Bytes], halt: Callable[[], None]) -> str:
    """Write pieces and return their digest."""
    digest = hashlib.sha256()
    for piece in pieces:
        halt()
        digest.update(piece.data)
        _write(file, piece.data)
    return digest.hexdigest()


def _write(file: FileIO, data: bytes | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)


def _sync_folder(folder: Path) -> None:
    """Have a new name outlive a loss of power; not every file system offers it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
