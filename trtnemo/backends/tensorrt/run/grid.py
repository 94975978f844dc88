"""A run of packed rows laid on a grid of slots, as the step inputs of a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Stretch:
    """Consecutive tokens of one slot in a run; `advances` is how many of them move its recurrent state on."""

    slot: int
    length: int
    position: int
    advances: int


@dataclass(frozen=True)
class Grid:
    """Step inputs on the device, and the lengths that plans know at run time only."""

    first_slot: int
    tensors: dict[str, Tensor]
    sizes: dict[str, int]

    def view(self, state: Tensor) -> Tensor:
        """Return a state's rows of the grid's slots."""
        return state[self.first_slot : self.first_slot + self.sizes["B"]]


def make_grid(
    stretches: Sequence[Stretch], idle_position: Callable[[int], int], rows: int, device: torch.device
) -> Grid:
    """Return the grid of all slots from the first to the last in use, `rows` of each.

    A slot in between takes no part: its cells read row 0, its recurrent state stays, and what is written into its
    KV cache from `idle_position` on lies behind all that it holds.
    """
    first = min(stretch.slot for stretch in stretches)
    slots = max(stretch.slot for stretch in stretches) - first + 1
    grid_rows = np.zeros((slots, rows), np.int32)
    advances = np.zeros((slots, rows), np.float32)
    conv_start = np.zeros((slots, 1), np.int32)
    positions = np.array([idle_position(first + slot) for slot in range(slots)], np.int32)
    cells: list[int] = []
    start = 0
    for stretch in stretches:
        place = stretch.slot - first
        grid_rows[place, : stretch.length] = np.arange(start, start + stretch.length)
        advances[place, : stretch.advances] = 1
        conv_start[place] = stretch.advances
        positions[place] = stretch.position
        cells.extend(place * rows + row for row in range(stretch.length))
        start += stretch.length
    indices = {
        "grid_rows": grid_rows,
        "cells": np.array(cells, np.int32),
        "advances": advances,
        "conv_start": conv_start,
        "positions": positions,
        "key_lengths": positions + np.int32(rows),
        "zeros": np.zeros(slots, np.int32),
    }
    tensors = {name: torch.from_numpy(values).to(device) for name, values in indices.items()}
    return Grid(first, tensors, {"T": start, "B": slots, "R": rows})
