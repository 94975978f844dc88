"""The GPUs of this machine, as nvidia-smi reports them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

SECONDS = 20
_PROCESSES = ("pid", "process_name", "used_memory")
_DEVICES = ("name", "memory.total", "compute_cap", "uuid", "mig.mode.current")


@dataclass(frozen=True)
class InstalledDevice:
    """One GPU: its name, memory in MiB (0 where nvidia-smi tells none), and compute capability such as 10.0.

    uuid: as CUDA_VISIBLE_DEVICES may name it. is_cut: into MIG instances, whose memory nvidia-smi tells elsewhere.
    """

    name: str
    memory_mib: int
    compute_capability: str
    uuid: str = ""
    is_cut: bool = False


@dataclass(frozen=True)
class DeviceList:
    """The GPUs that nvidia-smi lists, and why it lists none."""

    devices: tuple[InstalledDevice, ...] = ()
    failure: str | None = None


@dataclass(frozen=True)
class GpuProcess:
    """A process that holds memory of a GPU, in MiB."""

    pid: int
    name: str
    memory_mib: int


def list_devices() -> DeviceList:
    """Return the GPUs that nvidia-smi lists, or what kept it from listing any."""
    rows = _ask("--query-gpu=", _DEVICES)
    if isinstance(rows, str):
        return DeviceList(failure=rows)
    devices = tuple(
        InstalledDevice(name, _mebibytes(memory), capability, uuid, mig == "Enabled")
        for name, memory, capability, uuid, mig in rows
    )
    return DeviceList(devices, None if devices else "nvidia-smi lists no GPU")


def find_devices() -> list[InstalledDevice]:
    """Return the GPUs that nvidia-smi lists; none where it is missing or fails."""
    return list(list_devices().devices)


def find_processes(besides: int) -> list[GpuProcess]:
    """Return the processes that hold a GPU's memory but one, as nvidia-smi lists them, those with most first."""
    rows = _ask("--query-compute-apps=", _PROCESSES)
    found = [
        GpuProcess(int(pid), name, _mebibytes(memory))
        for pid, name, memory in ([] if isinstance(rows, str) else rows)
        if pid.isdecimal() and int(pid) != besides
    ]
    return sorted(found, key=lambda one: -one.memory_mib)


def _ask(query: str, fields: tuple[str, ...]) -> list[list[str]] | str:
    """Return one row of fields for each line that nvidia-smi prints, or a sentence of why there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "nvidia-smi is not on PATH"
    command = [program, query + ",".join(fields), "--format=csv,noheader,nounits"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"nvidia-smi did not answer in {SECONDS} seconds"
    except OSError as error:
        return f"nvidia-smi does not start: {error.strerror}"
    rows = [[field.strip() for field in line.split(",")] for line in result.stdout.splitlines()]
    rows = [row for row in rows if len(row) == len(fields)]
    if result.returncode != 0 or (not rows and result.stdout.strip()):
        return _refusal(result.stdout + result.stderr, result.returncode)
    return rows


def _refusal(told: str, code: int) -> str:
    """Return what nvidia-smi said when it failed, its first line, and what that means where it is not said."""
    if re.search(r'"compute_cap" is not a valid field', told):
        return "the driver is older than 495, the first whose nvidia-smi tells compute capabilities"
    line = next((line.strip() for line in told.splitlines() if line.strip()), "")
    printable = "".join(char if char.isprintable() else "?" for char in line[:200])
    return f"nvidia-smi says: {printable}" if printable else f"nvidia-smi ends with {code} and no word"


def _mebibytes(told: str) -> int:
    """Return a number; a DGX Spark, whose memory is its CPU's, says `[N/A]`, a GPU cut into MIG may refuse to say."""
    return int(told) if told.isdecimal() and told.isascii() else 0
