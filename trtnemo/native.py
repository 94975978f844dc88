"""The compiled part of the package, and which of its kernels run."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from trtnemo.errors import MachineError

FORCED = "TRTNEMO_CPU"

_native: ModuleType | None
try:
    _native = importlib.import_module("trtnemo._native")
except ImportError:  # built without a compiler
    _native = None


def find_native() -> ModuleType | None:
    """Return the compiled module, or None where the package was installed without a compiler."""
    return _native


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
