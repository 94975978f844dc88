"""How kernels are launched: on a device, in the interpreter, or only compiled and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trtnemo.kernels.family import Family, warps_of

Grid = tuple[int, ...]
Around = Callable[[str, Callable[[], None]], None]


@dataclass
class Launcher:
    """Launches kernels on a device and counts them, by the kernel's name.

    On torch's device `meta`, kernels are compiled and counted, and nothing runs: `kernels` collects what was compiled.
    overlaps: whether a kernel may begin before the one before it has ended (`dependent.py`); fp4_tiles: how many tiles
    are multiplied at once where rows of prompts become FP4 (`family.py`), 0 where they do not; fp8_rows: whether rows
    of prompts become FP8 where they meet FP8 weights; has_prompt: whether the step that is launched now has a prompt in
    it, without which rows stay as they are.
    """

    device: torch.device
    family: Family
    overlaps: bool = False
    fp4_tiles: int = 0
    fp8_rows: bool = False
    has_prompt: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    kernels: dict[str, Any] = field(default_factory=dict)
    _around: Around | None = None
    _outgrown: list[Tensor] = field(default_factory=list)
    _parts: Tensor = field(default_factory=lambda: torch.empty(0))
    _lock: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int32))
    _locks: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int32))

    @property
    def is_wgmma(self) -> bool:
        """Whether weights lie as Hopper's matrix instructions take them."""
        return self.family == "wgmma"

    @property
    def warps(self) -> int:
        """Warps of a program that multiplies a weight's tile."""
        return warps_of(self.family)

    def __call__(self, kernel: Any, grid: Grid, *args: Any, **options: Any) -> None:
        """Launch a kernel over a grid; a grid with a zero launches nothing."""
        if 0 in grid:
            return
        name = kernel.fn.__name__
        self.counts[name] = self.counts.get(name, 0) + 1
        if self.overlaps:
            options["launch_pdl"] = True
        if self.device.type == "meta":
            compiled = kernel.warmup(*args, grid=grid, **options)
            self.kernels[compiled.hash] = compiled
        elif self._around is None:
            kernel[grid](*args, **options)
        else:
            self._around(name, partial(kernel[grid], *args, **options))

    @contextmanager
    def recorded_by(self, around: Around) -> Iterator[None]:
        """Hand every launch, with the kernel's name, to a function that is to do it."""
        self._around = around
        try:
            yield
        finally:
            self._around = None

    def split_room(self, cells: int, floats: int) -> tuple[Tensor, Tensor]:
        """Return room for the parts of split sums, `floats` a cell, and a lock a cell, which kernels leave at zero."""
        if self._parts.numel() < cells * floats:
            self._outgrown.append(self._parts)  # which captured steps go on using
            self._parts = torch.empty(cells * floats, device=self.device)
        if self._locks.numel() < cells:
            self._outgrown.append(self._locks)
            self._locks = torch.zeros(cells, dtype=torch.int32, device=self.device)
        return self._parts, self._locks

    def lock(self) -> Tensor:
        """Return a counter for the programs of one kernel, which they leave at zero."""
        if not self._lock.numel():
            self._lock = torch.zeros(1, dtype=torch.int32, device=self.device)
        return self._lock

    @property
    def total(self) -> int:
        """Launches so far."""
        return sum(self.counts.values())
