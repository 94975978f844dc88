"""The GPU that kernels run on: whether it can, and who else holds its memory."""

from __future__ import annotations

import os
import shutil
import warnings

import torch

from trtnemo.errors import MachineError
from trtnemo.gpus import find_processes
from trtnemo.kernels.family import require_kernels_for

_COMPILERS = ("gcc", "clang", "cc")


def require_device() -> tuple[torch.device, tuple[int, int]]:
    """Return the device and its compute capability; raises MachineError where there is none that kernels are for."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        is_there = torch.cuda.is_available()
    if not is_there:
        raise MachineError(
            "this machine has no NVIDIA GPU that torch can use: kernels were compiled and interpreted, never run",
            where=_why(said),
            remedy="`trtnemo serve --engine DIR --interpret` computes them on the CPU, slowly",
        )
    capability = torch.cuda.get_device_capability()
    require_kernels_for(capability, "its GPU")
    return torch.device("cuda"), capability


def require_compiler() -> None:
    """Raise MachineError without a C compiler: Triton builds a small module of its own with one when it first runs."""
    named = os.environ.get("CC")
    if not any(shutil.which(name) for name in ([named] if named else _COMPILERS)):
        raise MachineError(
            f"Triton finds no C compiler ({named or ', '.join(_COMPILERS)}), which it needs to start kernels",
            remedy="Install one (Debian: apt install gcc), or name one in CC",
        )


def does_not_fit(error: torch.OutOfMemoryError, where: str) -> MachineError:
    """Return what to say where memory of the device ran out, with the processes that hold it."""
    held = [f"{one.name} (pid {one.pid}) holds {one.memory_mib} MiB" for one in find_processes(besides=os.getpid())]
    others = f"; {', '.join(held)}" if held else ""
    return MachineError(
        f"weights and states do not fit the device: {str(error).splitlines()[0]}{others}",
        where=where,
        remedy="End what else holds its memory" if held else "`trtnemo plan --recipe` says which limits would fit",
    )


def _why(said: list[warnings.WarningMessage]) -> str | None:
    """Return what torch warns of, such as a driver that is too old for its CUDA."""
    return " ".join(str(warning.message).split("\n")[0] for warning in said)[:300] or None
