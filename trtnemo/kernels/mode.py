"""Whether this process interprets Triton's kernels with numpy, or compiles them for a device."""

from __future__ import annotations

import importlib.util
import os
import sys

from trtnemo.errors import MachineError

_VARIABLE = "TRITON_INTERPRET"
_DEFINES_KERNELS = f"{__package__}.tiles"


def interpret_kernels() -> None:
    """Have all kernels of this process interpreted; raises MachineError without Triton, or once they are compiled.

    Triton decides when a kernel is defined, so this stands before the first import of a module that defines one.
    """
    require_triton()
    if _DEFINES_KERNELS in sys.modules and not is_interpreted():
        raise MachineError(
            "this process has its kernels compiled already", remedy="Interpret them in a process of its own"
        )
    os.environ[_VARIABLE] = "1"


def is_interpreted() -> bool:
    """Return whether kernels that are defined now are interpreted."""
    return os.environ.get(_VARIABLE, "0") not in ("", "0")


def require_triton() -> None:
    """Raise MachineError where Triton is not installed."""
    if importlib.util.find_spec("triton") is None:
        raise MachineError("Triton is not installed, which our CUDA kernels are written in", remedy=INSTALL)


INSTALL = "pip install 'trtnemo[cuda]' (Linux on x86-64 or 64-bit Arm)"
