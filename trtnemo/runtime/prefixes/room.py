"""The room of a directory of states, of all engines together: its bound, or less where the disk has less."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from trtnemo.runtime.prefixes import names

# left to others on a disk that states would fill
SPARE_BYTES = 16 << 20


def make_room(root: Path, most_bytes: int, wanted: int = 0) -> bool:
    """Remove files until so many bytes more stay within the bound and on the disk; return whether they can.

    The least recently used go first, and none where that would not be enough. What is being written counts. Files that
    are not ours neither count nor go.
    """
    folders = names.folders(root)
    finished = [found for folder in folders for found in names.files(folder) if names.has_magic(found[0])]
    begun = sum(status.st_size for folder in folders for _, status in names.files(folder, writing=True))
    held = begun + sum(status.st_size for _, status in finished)
    most = min(most_bytes, held + _free(root))
    if begun + wanted > most:
        return False
    for path, status in sorted(finished, key=lambda found: found[1].st_mtime_ns):
        if held + wanted <= most:
            break
        with suppress(OSError):
            path.unlink()
        held -= status.st_size
    return held + wanted <= most


def _free(root: Path) -> int:
    """Return the bytes that this user may still write there, less what is left to others; much where none is told."""
    try:
        status = os.statvfs(root)
    except OSError:
        return 1 << 62
    # file systems without a size, such as ramfs, tell of no blocks at all
    return max(0, status.f_bavail * status.f_frsize - SPARE_BYTES) if status.f_blocks else 1 << 62


def touch(path: Path) -> None:
    """Note that a file was used."""
    with suppress(OSError):
        os.utime(path, follow_symlinks=False)
