"""How many processors this process may use: what affinity and control groups leave of the machine's."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

_ROOT = Path("/")
_GROUPS = Path("sys/fs/cgroup")


def usable_processors(root: Path = _ROOT) -> int:
    """Return the least of the processors that affinity allows and of the control groups' quotas, rounded up.

    root: where /proc and /sys are looked for. A quota is time, not processors: nothing else shows it to a program.
    """
    quotas = [math.ceil(quota) for quota in _quotas(root)]
    return max(1, min([_allowed(), *quotas]))


def _allowed() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has none
        return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas of this process's groups and of all above them, in processors."""
    for kinds, group in _groups(root):
        if not kinds:
            yield from _up(root / _GROUPS, group, _unified)
        elif "cpu" in kinds.split(","):
            for mount in dict.fromkeys((kinds, "cpu", "cpu,cpuacct")):
                yield from _up(root / _GROUPS / mount, group, _first_version)


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


def _up(mount: Path, group: str, read: Callable[[Path], float | None]) -> Iterator[float]:
    """Yield the quotas of a group and of those above it; in a container the path may lead nowhere, its mount is it."""
    place = Path(group.lstrip("/"))
    for part in (place, *place.parents):
        if ".." not in part.parts and (quota := read(mount / part)) is not None:
            yield quota


def _unified(folder: Path) -> float | None:
    """Return the quota in cpu.max: microseconds, or `max`, and their period."""
    words = _words(folder / "cpu.max")
    return _ratio(words[0], words[1]) if len(words) == 2 else None


def _first_version(folder: Path) -> float | None:
    """Return the quota of version 1, whose -1 is none."""
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    return _ratio(quota[0], period[0]) if quota and period else None


def _ratio(quota: str, period: str) -> float | None:
    if not (quota.isdecimal() and period.isdecimal()) or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []
