"""The GPUs of this machine, as nvidia-smi reports them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

SECONDS = 20
_QUERY = ["--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]


@dataclass(frozen=True)
class InstalledDevice:
    """One GPU: its name, memory in MiB, and compute capability such as 10.0."""

    name: str
    memory_mib: int
    compute_capability: str


def find_devices() -> list[InstalledDevice]:
    """Return the GPUs that nvidia-smi lists; none where it is missing or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        result = subprocess.run([program, *_QUERY], capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split(",") for line in result.stdout.splitlines()] if result.returncode == 0 else []
    return [
        InstalledDevice(name.strip(), int(memory), capability.strip())
        for name, memory, capability in (row for row in rows if len(row) == 3)
        if memory.strip().isdigit()
    ]
