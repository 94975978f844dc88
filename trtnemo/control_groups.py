"""The control groups of this process, of either version: what they leave of the machine shows nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
_GROUPS = Path("sys/fs/cgroup")
# Where a distribution may have joined a controller of version 1 with another.
_JOINED = {"cpu": ("cpu", "cpu,cpuacct")}


def group_folders(controller: str, root: Path = ROOT) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of this process's group and of all above it that a controller may have, and if of version 2.

    root: where /proc and /sys are looked for. Folders need not be there.
    """
    for kinds, group in _groups(root):
        if not kinds:
            yield from ((folder, True) for folder in _up(root / _GROUPS, group))
        elif controller in kinds.split(","):
            for mount in dict.fromkeys((kinds, *_JOINED.get(controller, (controller,)))):
                yield from ((folder, False) for folder in _up(root / _GROUPS / mount, group))


def words_of(path: Path) -> list[str]:
    """Return the words in a file of a group, none where it has no such file."""
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []


def _groups(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (controllers, path) of /proc/self/cgroup; version 2 has no controllers there."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        parts = line.split(":", 2)
        if len(parts) == 3:
            yield parts[1], parts[2]


def _up(mount: Path, group: str) -> Iterator[Path]:
    """Yield a group's folder and those above it; in a container the path may lead nowhere, its mount is it."""
    place = Path(group.lstrip("/"))
    for part in (place, *place.parents):
        if ".." not in part.parts:
            yield mount / part
