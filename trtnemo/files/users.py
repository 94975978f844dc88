"""Which processes use a directory."""

from __future__ import annotations

import os
from pathlib import Path

_PROCESSES = Path("/proc")


def processes_using(directory: Path) -> list[int]:
    """Return the processes, this one left out, that have files below a directory mapped; none where nothing tells."""
    inside, found = f"{directory.resolve()}{os.sep}".encode(), []
    for place in _PROCESSES.glob("[0-9]*"):
        try:
            is_user = inside in (place / "maps").read_bytes()
        except OSError:  # it has ended, or is another user's
            continue
        if is_user and int(place.name) != os.getpid():
            found.append(int(place.name))
    return sorted(found)
