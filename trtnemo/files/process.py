"""Processes that belong to another one."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # Linux, sys/prctl.h


def become_child(title: str) -> None:
    """Begin as a process that its parent alone ends: signals to the group are the parent's; `title` is for the log."""
    die_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent says when to stop, after it has drained
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(format=f"%(asctime)s {title} %(levelname)s %(message)s", level=logging.WARNING)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, however that ends; without effect outside Linux."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os.kill(os.getpid(), signal.SIGKILL)
