"""Hardware and compiler of this machine, in a few words."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from trtnemo.memory import usable_memory
from trtnemo.native import find_native
from trtnemo.processors import usable_processors


@dataclass(frozen=True)
class Machine:
    """What this machine has."""

    processor: str
    cores: int
    memory_gib: float
    gpu: str
    compiler: str
    native_kernels: str


def examine_machine() -> Machine:
    """Return what this machine has; in a few words."""
    native = find_native()
    return Machine(
        processor=_processor(),
        cores=usable_processors(),
        memory_gib=round(usable_memory() / 2**30, 1),
        gpu="present" if Path("/dev/nvidiactl").exists() else "none",
        compiler=shutil.which("c++") or "none",
        native_kernels=", ".join(native.kernel_names()) if native else "none (installed without a compiler)",
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
