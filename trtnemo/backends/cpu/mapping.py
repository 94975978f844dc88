"""How the mapped weights lie in memory: locked, and in huge pages."""

from __future__ import annotations

import logging
import os
import re
import resource
from pathlib import Path
from typing import Any

from trtnemo.errors import MachineError
from trtnemo.memory import usable_memory

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PROCESS = Path("/proc/self")
_RAISE = (
    "Raise it: `ulimit -l unlimited`, `docker run --ulimit memlock=-1`, or LimitMEMLOCK=infinity of a unit; in a pod, "
    "run as root with the capability IPC_LOCK, or set LimitMEMLOCK of the node's containerd"
)
_NOT_THE_LIMIT = "The limit is not what is short: give machine or container more memory, or leave cpu.lock_memory out"
_IPC_LOCK = 14  # its bit among the capabilities
logger = logging.getLogger(__name__)


def lock_weights(executor: Any) -> None:
    """Read a native executor's weights and keep them in memory; raises MachineError where the system forbids it."""
    page = resource.getpagesize()
    wanted = -(-int(executor.weight_bytes) // page) * page  # the system counts whole pages
    _require_memory(wanted)
    number = int(executor.lock_weights())
    if number == 0:
        return
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    is_limit = limit != resource.RLIM_INFINITY and limit // page < wanted // page and not _is_exempt()
    told = "without a limit" if limit == resource.RLIM_INFINITY else f"{limit:,} bytes"
    raise MachineError(
        f"cpu.lock_memory wants {wanted:,} bytes of weights locked in memory, and the system refuses it: "
        f"{os.strerror(number)}; RLIMIT_MEMLOCK is {told}",
        remedy=_RAISE if is_limit else _NOT_THE_LIMIT,
    )


def _require_memory(wanted: int) -> None:
    """Raise MachineError before what does not fit is read and locked: the kernel would end this process, or others."""
    if wanted > (have := usable_memory()):
        raise MachineError(
            f"cpu.lock_memory wants {wanted:,} bytes of weights locked in memory, and this process may use {have:,}",
            remedy="Leave cpu.lock_memory out: weights that are not locked are read again from the disk",
        )


def _is_exempt() -> bool:
    """Return whether no limit binds this process: CAP_IPC_LOCK, which counts outside of user namespaces alone."""
    held = re.search(r"^CapEff:\s*([0-9a-f]+)$", _read(PROCESS / "status"), re.MULTILINE)
    is_outermost = _read(PROCESS / "uid_map").split() == ["0", "0", str((1 << 32) - 1)]
    return is_outermost and held is not None and bool(int(held[1], 16) >> _IPC_LOCK & 1)


def ask_for_huge_pages(executor: Any) -> None:
    """Ask for huge pages under a native executor's weights; where none are to be had, one line says so."""
    number = int(executor.ask_for_huge_pages())
    if reason := os.strerror(number) if number else _without_huge_pages():
        logger.warning("cpu.huge_pages: %s: the weights stay in small pages", reason)
    elif not _read(HUGE_PAGES):  # a container without /sys, or one whose kernel is not Linux's own
        logger.warning("cpu.huge_pages: the system took the request; whether it gives any is not told here")


def _without_huge_pages() -> str:
    """Return why the system gives no huge pages, though it took the request, or nothing."""
    if "[never]" in _read(HUGE_PAGES):
        return f"{HUGE_PAGES} says never"
    if re.search(r"^THP_enabled:\s*0$", _read(PROCESS / "status"), re.MULTILINE):
        return "they are turned off for this process by what started it (PR_SET_THP_DISABLE)"
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
