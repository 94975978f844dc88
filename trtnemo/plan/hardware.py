"""Devices: memory, bandwidth, peaks; a catalogue with sources, and this machine's own CPU, measured."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from trtnemo.errors import UsageError
from trtnemo.files.json_file import read_json_object
from trtnemo.memory import usable_memory
from trtnemo.processors import usable_processors
from trtnemo.recipe.nearest import suggestion
from trtnemo.recipe.shared import Hardware

CATALOGUE = Path(__file__).resolve().parent / "hardware.json"
STATED = ("memory_mib", "bandwidth_gbs", "compute_capability")
_MEASURED_BYTES = 256 << 20
_MEASURED_RANK = 1024
_MOST_DEVICES = 65536


class DeviceMemory(BaseModel):
    """A device as far as fitting needs it: its name in words, its memory, and whether the CPU's is the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    memory_mib: int = Field(ge=1)
    unified: bool = False

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory."""
        return self.memory_mib << 20


class Device(DeviceMemory):
    """One kind of device; peaks in tera operations a second without sparsity, null where there is no such unit.

    Of a device that only a recipe describes, bandwidth and peaks may be unknown: null too.
    """

    name: str
    compute_capability: str | None = Field(None, pattern=r"^\d+\.\d$")
    bandwidth_gbs: float | None = Field(None, gt=0)
    bf16: float | None = Field(None, gt=0)
    fp8: float | None = None
    fp4: float | None = None
    source: str

    @property
    def bandwidth(self) -> float:
        """Bytes a second; what is unknown bounds nothing."""
        return math.inf if self.bandwidth_gbs is None else self.bandwidth_gbs * 1e9

    def peak(self, kind: str) -> float:
        """Return operations a second for weights of a format; without such units the next wider ones do the work.

        What is unknown bounds nothing.
        """
        wider = {"fp4": (self.fp4, self.bf16), "fp8": (self.fp8, self.bf16), "bf16": (self.bf16,)}
        return next((value for value in wider[kind] if value is not None), math.inf) * 1e12


def parse_hardware(text: str) -> tuple[str, int | None]:
    """Return name and count of `b200`, `2xb200` or `b200x2`; no count where none is written. Raises UsageError."""
    match = re.fullmatch(r"(?:(\d+)x)?(.+?)(?:x(\d+))?", text)
    if match is None or (match[1] and match[3]):
        return text, None
    count = match[1] or match[3]
    if count and not 1 <= int(count[:10]) <= _MOST_DEVICES:
        raise UsageError(f"'{text}' asks for {count[:12]} devices", remedy=f"Give 1 to {_MOST_DEVICES}")
    return match[2], int(count) if count else None


def catalogue_names() -> list[str]:
    """Return the names of all devices, `cpu` for this machine's own."""
    return ["cpu", *(name for name in read_json_object(CATALOGUE) if name != "_")]


def find_device(name: str, measure: Callable[[], Device] | None = None) -> Device:
    """Return a device by its catalogue name; raises UsageError.

    measure: what returns this machine's CPU, instead of numpy's rates.
    """
    if name == "cpu":
        return (measure or this_cpu)()
    catalogue = read_json_object(CATALOGUE)
    if name not in catalogue or name == "_":
        known = catalogue_names()
        raise UsageError(
            f"'{name}' is not a known device{suggestion(name, known)}",
            remedy=f"State hardware.memory_mib (and bandwidth_gbs, compute_capability) in the recipe or with --set, as "
            f"in --set hardware.memory_mib=49140, or take one of these. Known: {', '.join(known)}",
        )
    return Device(name=name, **catalogue[name])


def recipe_device(hardware: Hardware, measure: Callable[[], Device] | None = None) -> Device:
    """Return the device that a recipe is for: the catalogue's, what the recipe states in its place.

    measure: as `find_device` has it. Raises UsageError for a name that is not in the catalogue, where the recipe states
    no memory either.
    """
    stated: dict[str, Any] = hardware.model_dump(include=set(STATED), exclude_none=True)
    if hardware.memory_mib is not None and hardware.name not in catalogue_names():
        return Device(name=hardware.name, title=hardware.name, source="as the recipe states it", **stated)
    device = find_device(hardware.name, measure)
    changed = [f"{key} {value}" for key, value in stated.items() if getattr(device, key) != value]
    if not changed:
        return device
    source = f"{device.source}; {', '.join(changed)} as the recipe states it"
    return device.model_copy(update={**stated, "source": source})


def this_cpu() -> Device:
    """Return this machine: its memory as the system reports it, bandwidth and peak as numpy reaches them now."""
    reached = "bandwidth of a sum and peak of a float32 product in numpy"
    return cpu_device(reached, bandwidth_gbs=_measure_bandwidth(), bf16=_measure_peak())


def cpu_device(reached: str, **rates: float) -> Device:
    """Return this machine with rates by Device's names; `reached` says whose they are."""
    cores = usable_processors()
    return Device(
        name="cpu",
        title=f"CPU with {cores} core{'' if cores == 1 else 's'}",
        memory_mib=max(usable_memory() >> 20, 1),
        unified=True,
        source=f"this machine: memory as the system says, {reached}",
        **rates,
    )


def _measure_bandwidth() -> float:
    """Return gigabytes read a second, the best of three."""
    import numpy as np

    values = np.ones(_MEASURED_BYTES // 8, np.float64)
    return values.nbytes / _best_of_three(lambda: float(values.sum())) / 1e9


def _measure_peak() -> float:
    """Return tera operations a second of a float32 product, the best of three."""
    import numpy as np

    matrix = np.ones((_MEASURED_RANK, _MEASURED_RANK), np.float32)
    return 2 * _MEASURED_RANK**3 / _best_of_three(lambda: matrix @ matrix) / 1e12


def _best_of_three(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return max(min(seconds), 1e-9)
