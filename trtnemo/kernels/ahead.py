"""Kernels compiled for a device that is not here, into a directory that Triton finds them in there."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trtnemo.errors import MachineError
from trtnemo.kernels.mode import is_interpreted, require_triton

Capability = tuple[int, int]
# what Triton 3.6 and 3.9 compile, as `make cubins` shows; 3.6 brings torch 2.11
TARGETS: tuple[Capability, ...] = ((8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (10, 3), (12, 0), (12, 1))
_USAGE = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+)")


@dataclass(frozen=True)
class Cubin:
    """A compiled kernel. registers and spilled bytes are a thread's, shared bytes a program's."""

    kernel: str
    digest: str
    nbytes: int
    registers: int
    spilled: int
    shared: int


class _Ahead:
    """What Triton asks of a driver, for a device that is not here."""

    def __init__(self, capability: Capability) -> None:
        self._number = 10 * capability[0] + capability[1]

    def get_current_target(self) -> Any:
        """Return the target."""
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self._number, 32)

    def get_current_device(self) -> int:
        """Return a number that Triton keeps compiled kernels apart by."""
        return self._number

    def get_current_stream(self, device: int) -> int:
        """Return none."""
        return 0

    def get_active_torch_device(self) -> torch.device:
        """Return torch's device without numbers."""
        return torch.device("meta")


@contextmanager
def compiling_for(capability: Capability, directory: Path) -> Iterator[None]:
    """Have kernels compiled for a capability, into a directory; raises MachineError where this process interprets."""
    require_triton()
    if is_interpreted():
        raise MachineError("this process interprets its kernels", remedy="Compile them in a process of its own")
    from triton.runtime import driver

    before, cache = driver._active, os.environ.get("TRITON_CACHE_DIR")
    driver.set_active(_Ahead(capability))
    os.environ["TRITON_CACHE_DIR"] = str(directory)
    try:
        with warnings.catch_warnings():
            # 3.9 says that 3.10 will no longer fuse by default; kernels set what they want
            warnings.filterwarnings("ignore", message="TRITON_DEFAULT_FP_FUSION")
            yield
    finally:
        driver._active = before
        if cache is None:
            os.environ.pop("TRITON_CACHE_DIR", None)
        else:
            os.environ["TRITON_CACHE_DIR"] = cache


def describe(compiled: Any) -> Cubin:
    """Return what a compiled kernel takes, as the assembler's own tool tells it."""
    code = compiled.asm["cubin"]
    found = _usage(code)
    return Cubin(
        kernel=compiled.metadata.name,
        digest=hashlib.sha256(code).hexdigest(),
        nbytes=len(code),
        registers=found[0],
        spilled=found[1],
        shared=int(compiled.metadata.shared),
    )


def _usage(code: bytes) -> tuple[int, int]:
    """Return registers and bytes of stack."""
    import tempfile

    from triton import knobs

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        tool = str(knobs.nvidia.cuobjdump.path)
        told = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=False).stdout
    match = _USAGE.search(told)
    if match is None:
        raise MachineError("the tool that reads compiled kernels tells nothing", remedy="Install triton again")
    return int(match[1]), int(match[2])
