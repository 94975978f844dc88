"""The folder of one engine's states: listed by heads alone, searched by tokens."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from trtnemo.backends import SnapshotForm
from trtnemo.errors import ForeignFileError, PrefixFileError
from trtnemo.runtime.prefixes import names
from trtnemo.runtime.prefixes.header import Header
from trtnemo.runtime.prefixes.key import keys_of
from trtnemo.runtime.prefixes.lock import is_left
from trtnemo.runtime.prefixes.private import make_private
from trtnemo.runtime.prefixes.read import read_header

logger = logging.getLogger(__name__)


class Place(NamedTuple):
    """A state on disk: a rung of a file."""

    path: Path
    header: Header
    number: int

    @property
    def length(self) -> int:
        """Tokens that it stands after."""
        return self.header.rungs[self.number].length


class EngineFolder:
    """One engine's states below a directory, which other engines and other servers use as well."""

    def __init__(self, root: Path, engine: str, form: SnapshotForm) -> None:
        self.path, self.engine = root / engine, engine
        self._form = replace(form, details=())  # they are part of the engine's digest
        self._headers: dict[str, Header] = {}
        self._told: set[str] = set()
        self._places: dict[bytes, Place] = {}

    def open(self) -> None:
        """Make the folder, private to this user, and clear away what was being written when its writer was killed.

        Raises OSError; PermissionError where others may look into it or own it.
        """
        make_private(self.path)
        for path, _ in names.files(self.path, writing=True):
            _remove_left(path)
        self.list()

    def list(self) -> None:
        """Read the heads of files that came, and forget those that went."""
        there = {path.name: path for path, _ in names.files(self.path)}
        gone = self._headers.keys() - there.keys()
        new = there.keys() - self._headers.keys() - self._told
        for name in gone:
            del self._headers[name]
        for name in new:
            self._learn(there[name])
        if gone or new:
            self._index()

    def _learn(self, path: Path) -> None:
        try:
            header = read_header(path)
            if header.engine != self.engine or header.form != self._form:
                raise ForeignFileError("is another engine's")
        except FileNotFoundError:
            return
        except (OSError, PrefixFileError) as error:
            self.refuse(path, error)
            return
        self._headers[path.name] = header

    def _index(self) -> None:
        self._places = {
            bytes.fromhex(rung.key): Place(self.path / name, header, number)
            for name, header in self._headers.items()
            for number, rung in enumerate(header.rungs)
        }

    def find(self, tokens: Sequence[int], salt: str = "") -> Place | None:
        """Return the place of the longest known beginning of these tokens, all of them included."""
        lengths = sorted({place.length for place in self._places.values()})
        for length, key in reversed(keys_of(tokens, lengths, salt)):
            place = self._places.get(key)
            if place is not None and place.length == length:
                return place
        return None

    def refuse(self, path: Path, error: Exception) -> None:
        """Use a file no more, and say why, once; remove it where it is ours and damaged."""
        is_ours = isinstance(error, PrefixFileError) and not isinstance(error, ForeignFileError)
        done = "removed" if is_ours else "left alone"
        logger.warning("a file of prompt states is not used, and %s: %s: %s", done, path, error)
        if is_ours:
            with suppress(OSError):
                path.unlink()
        else:
            self._told.add(path.name)
        self.forget(path)

    def forget(self, path: Path) -> None:
        """Drop what is known of a file; it is listed again if it is still there."""
        if self._headers.pop(path.name, None) is not None:
            self._index()


def _remove_left(path: Path) -> None:
    """Remove a file that was begun, unless somebody is at it."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if is_left(descriptor, os.fstat(descriptor).st_mtime):
                path.unlink()
        finally:
            os.close(descriptor)
