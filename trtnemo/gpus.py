"""The GPUs of this machine, as nvidia-smi reports them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

SECONDS = 20
_PROCESSES = ["--query-compute-apps=pid,process_name,used_memory", "--format=csv,noheader,nounits"]
_QUERY = ["--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]


@dataclass(frozen=True)
class InstalledDevice:
    """One GPU: its name, memory in MiB (0 where it has none of its own), and compute capability such as 10.0."""

    name: str
    memory_mib: int
    compute_capability: str


@dataclass(frozen=True)
class GpuProcess:
    """A process that holds memory of a GPU, in MiB."""

    pid: int
    name: str
    memory_mib: int


def find_devices() -> list[InstalledDevice]:
    """Return the GPUs that nvidia-smi lists; none where it is missing or fails."""
    return [
        InstalledDevice(name.strip(), _mebibytes(memory.strip()), capability.strip())
        for name, memory, capability in _rows(_QUERY)
    ]


def find_processes(besides: int) -> list[GpuProcess]:
    """Return the processes that hold a GPU's memory but one, as nvidia-smi lists them, those with most first."""
    found = [
        GpuProcess(int(pid), name.strip(), _mebibytes(memory.strip()))
        for pid, name, memory in _rows(_PROCESSES)
        if pid.strip().isdigit() and int(pid) != besides
    ]
    return sorted(found, key=lambda one: -one.memory_mib)


def _rows(query: list[str]) -> list[list[str]]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        result = subprocess.run([program, *query], capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split(",") for line in result.stdout.splitlines()] if result.returncode == 0 else []
    return [row for row in rows if len(row) == 3]


def _mebibytes(told: str) -> int:
    """Return a number; a DGX Spark, whose memory is its CPU's, says `[N/A]`."""
    return int(told) if told.isdigit() else 0
