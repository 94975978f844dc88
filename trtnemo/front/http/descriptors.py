"""How many connections this process can hold open."""

from __future__ import annotations

import resource
from contextlib import suppress

# files, pipes and sockets of the process itself, and room for a burst that is refused
RESERVE = 48
_WANTED = 65_536


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files as far as it goes, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _WANTED if soft == resource.RLIM_INFINITY else soft
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


def connections_within(wanted: int) -> int:
    """Return how many connections fit, `wanted` at most: at the limit of open files accepting would fail in a loop."""
    return max(1, min(wanted, raise_descriptor_limit() - RESERVE))
