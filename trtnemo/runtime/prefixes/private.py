"""A folder that this user alone may look into, made or found; or why this one cannot be it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder in a directory, which is made as well; raises OSError that says what stands in the way."""
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(f"{error.filename} is in the way: it, or what it leads to, is no directory") from None
    except NotADirectoryError as error:
        raise NotADirectoryError(f"a part of {error.filename} is no directory") from None
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        _require_private(folder, "remove it, or `chmod 700` it")
        return
    try:
        _require_private(folder, "its file system keeps neither owners nor modes, so others could read the prompts")
    except PermissionError:
        with suppress(OSError):
            folder.rmdir()
        raise


def _require_private(folder: Path, why: str) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(f"{folder} is in the way: it is no directory")
    if status.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to user {status.st_uid}, and this is user {os.geteuid()}")
    if status.st_mode & 0o077:
        raise PermissionError(f"{folder} has mode {stat.S_IMODE(status.st_mode):o}: {why}")
