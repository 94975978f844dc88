"""How files and folders of prompt states are called: what is called otherwise is not ours, and never touched."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from os import DirEntry, scandir, stat_result
from pathlib import Path

from trtnemo.runtime.prefixes.header import MAGIC

SUFFIX = ".prefix"
_FOLDER = re.compile(r"[0-9a-f]{32}")
_FILE = re.compile(rf"[0-9a-f]{{32}}{re.escape(SUFFIX)}")
_WRITING = re.compile(rf"\.[0-9a-f]{{32}}{re.escape(SUFFIX)}\.writing-[0-9a-f]+")


def is_file(name: str) -> bool:
    """Return whether a finished file of states may be called so."""
    return _FILE.fullmatch(name) is not None


def is_writing(name: str) -> bool:
    """Return whether a file that is being written may be called so."""
    return _WRITING.fullmatch(name) is not None


def has_magic(path: Path) -> bool:
    """Return whether a file begins as ours do."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def folders(root: Path) -> list[Path]:
    """Return the folders of all engines below a directory."""
    return [Path(item.path) for item in _entries(root) if _FOLDER.fullmatch(item.name) and _is_folder(item)]


def files(folder: Path, *, writing: bool = False) -> list[tuple[Path, stat_result]]:
    """Return the finished files of a folder, or those that are being written; links are none."""
    wanted = is_writing if writing else is_file
    found = [(item, _status(item)) for item in _entries(folder) if wanted(item.name)]
    return [(Path(item.path), status) for item, status in found if status and stat.S_ISREG(status.st_mode)]


def _entries(folder: Path) -> Iterator[DirEntry[str]]:
    with suppress(OSError), scandir(folder) as entries:
        yield from entries


def _status(item: DirEntry[str]) -> stat_result | None:
    try:
        return item.stat(follow_symlinks=False)
    except OSError:  # it vanished, as another server's may
        return None


def _is_folder(item: DirEntry[str]) -> bool:
    status = _status(item)
    return status is not None and stat.S_ISDIR(status.st_mode)
