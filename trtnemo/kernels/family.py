"""The two ways in which matrix instructions take a weight from registers, and which devices have which.

`wgmma`: warps of 16 rows, a thread's columns are 2t, 2t+1, 2t+8, 2t+9 of each 16 (Hopper's wgmma; Triton keeps the
same order for tcgen05, from tensor memory). `mma`: a thread's columns are consecutive, as many as its codes of one
32-bit word (Triton's layout of mma.sync's left operand where it is narrower in memory).
"""

from __future__ import annotations

from typing import Literal

Family = Literal["wgmma", "mma"]
WGMMA_MAJORS = (9, 10)
ROWS = 64  # of a weight, in a tile
LEAST_CAPABILITY = (8, 0)


def family_of(capability: tuple[int, int]) -> Family:
    """Return the family of a compute capability."""
    return "wgmma" if capability[0] in WGMMA_MAJORS else "mma"


def tile_columns(columns: int) -> int:
    """Return how many columns a tile has: 128, or 64 where that leaves less of the last tile empty."""
    return 128 if columns % 128 == 0 or columns % 128 > 64 else 64
