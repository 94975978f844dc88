"""How much memory this process may use: what control groups leave of the machine's."""

from __future__ import annotations

import os
from pathlib import Path

from trtnemo.control_groups import ROOT, group_folders, words_of


def usable_memory(root: Path = ROOT) -> int:
    """Return the bytes of the machine, or of the smallest limit of this process's control groups.

    root: where /proc and /sys are looked for. Mapped files count against a limit too: what exceeds it is read again.
    """
    limits = []
    for folder, is_unified in group_folders("memory", root):
        words = words_of(folder / ("memory.max" if is_unified else "memory.limit_in_bytes"))
        # version 2 writes `max` where there is none, version 1 more than any machine has
        if len(words) == 1 and words[0].isdecimal():
            limits.append(int(words[0]))
    return min([_machine(), *filter(None, limits)])


def free_memory() -> int:
    """Return the bytes that are free now, at most what this process may use."""
    usable = usable_memory()
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:  # macOS does not say
        return usable
    return min(usable, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _machine() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
