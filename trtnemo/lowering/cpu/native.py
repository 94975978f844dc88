"""The compiled part of the package, and which of its kernels run."""

from __future__ import annotations

import os
from types import ModuleType

from trtnemo.checkpoint._decoder import find_native
from trtnemo.errors import MachineError

__all__ = ["FORCED", "choose_kernels", "find_native", "require_native"]

FORCED = "TRTNEMO_CPU"


def require_native() -> ModuleType:
    """Return the compiled module; raises MachineError."""
    native = find_native()
    if native is None:
        raise MachineError(
            "the native CPU runtime was not compiled when trtnemo was installed",
            remedy="Install a C++20 compiler and trtnemo again, or trtnemo[torch] and rebuild the engine",
        )
    return native


def choose_kernels() -> str:
    """Return the kernels that run: the fastest, or those that TRTNEMO_CPU names; raises MachineError."""
    usable: list[str] = require_native().kernel_names()
    forced = os.environ.get(FORCED)
    if not forced:
        return usable[0]
    if forced not in usable:
        raise MachineError(
            f"{FORCED} asks for {forced!r}, which this machine or this build cannot run",
            remedy=f"It can run {', '.join(usable)}",
        )
    return forced
