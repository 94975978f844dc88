"""The bound of a directory of states: those of all engines together, the least recently used go first."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from trtnemo.runtime.prefixes import names


def make_room(root: Path, most_bytes: int, wanted: int = 0) -> bool:
    """Remove files until so many bytes more stay within the bound; return whether they can.

    What is being written counts. Files that are not ours neither count nor go.
    """
    if wanted > most_bytes:
        return False
    folders = names.folders(root)
    finished = [found for folder in folders for found in names.files(folder) if names.has_magic(found[0])]
    begun = [status for folder in folders for _, status in names.files(folder, writing=True)]
    held = sum(status.st_size for _, status in finished) + sum(status.st_size for status in begun)
    for path, status in sorted(finished, key=lambda found: found[1].st_mtime_ns):
        if held + wanted <= most_bytes:
            break
        with suppress(OSError):
            path.unlink()
        held -= status.st_size
    return held + wanted <= most_bytes


def touch(path: Path) -> None:
    """Note that a file was used."""
    with suppress(OSError):
        os.utime(path, follow_symlinks=False)
