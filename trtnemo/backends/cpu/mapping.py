"""How the mapped weights lie in memory: locked, and in huge pages."""

from __future__ import annotations

import logging
import os
import resource
from pathlib import Path
from typing import Any

from trtnemo.errors import MachineError

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_RAISE = "Raise it: `ulimit -l unlimited`, `docker run --ulimit memlock=-1`, or LimitMEMLOCK=infinity of a unit"
_NOT_THE_LIMIT = "The limit is not what is short: give machine or container more memory, or leave cpu.lock_memory out"
logger = logging.getLogger(__name__)


def lock_weights(executor: Any) -> None:
    """Read a native executor's weights and keep them in memory; raises MachineError where the system forbids it."""
    wanted, number = int(executor.weight_bytes), int(executor.lock_weights())
    if number == 0:
        return
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    is_limit = limit != resource.RLIM_INFINITY and limit < wanted
    told = "without a limit" if limit == resource.RLIM_INFINITY else f"{limit:,} bytes"
    raise MachineError(
        f"cpu.lock_memory wants {wanted:,} bytes of weights locked in memory, and the system refuses it: "
        f"{os.strerror(number)}; RLIMIT_MEMLOCK is {told}",
        remedy=_RAISE if is_limit else _NOT_THE_LIMIT,
    )


def ask_for_huge_pages(executor: Any) -> None:
    """Ask for huge pages under a native executor's weights; where the kernel has none, one line says so."""
    number = int(executor.ask_for_huge_pages())
    reason = _without_huge_pages() or (os.strerror(number) if number else "")
    if reason:
        logger.warning("cpu.huge_pages: %s: the weights stay in small pages", reason)


def _without_huge_pages() -> str:
    """Return why this kernel gives no huge pages, or nothing."""
    try:
        choice = HUGE_PAGES.read_text(encoding="ascii")
    except (OSError, ValueError):
        return f"{HUGE_PAGES} is not there, so this kernel has none"
    return f"{HUGE_PAGES} says never" if "[never]" in choice else ""
