"""How many processors this process may use: what affinity and control groups leave of the machine's."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from trtnemo.control_groups import ROOT, group_folders, words_of


def usable_processors(root: Path = ROOT) -> int:
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
    for folder, is_unified in group_folders("cpu", root):
        quota = _unified(folder) if is_unified else _first_version(folder)
        if quota is not None:
            yield quota


def _unified(folder: Path) -> float | None:
    """Return the quota in cpu.max: microseconds, or `max`, and their period."""
    words = words_of(folder / "cpu.max")
    return _ratio(words[0], words[1]) if len(words) == 2 else None


def _first_version(folder: Path) -> float | None:
    """Return the quota of version 1, whose -1 is none."""
    quota, period = words_of(folder / "cpu.cfs_quota_us"), words_of(folder / "cpu.cfs_period_us")
    return _ratio(quota[0], period[0]) if quota and period else None


def _ratio(quota: str, period: str) -> float | None:
    if not (quota.isdecimal() and period.isdecimal()) or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)
