"""The two ways in which matrix instructions take a weight from registers, and which devices have which.

`wgmma`: four warps of 16 rows, a thread's columns are 2t, 2t+1, 2t+8, 2t+9 of each 16 (Hopper). `mma`: a thread's
columns are consecutive, as many as its codes of one 32-bit word (Triton's layout of mma.sync's left operand where it is
narrower in memory), and two warps. With four, Triton takes tcgen05 on 10.x, whose waits cost more than they save for
few rows: 5.2 instructions an NVFP4 weight against 3.4.
"""

from __future__ import annotations

from typing import Literal

from trtnemo.errors import MachineError

Family = Literal["wgmma", "mma"]
HOPPER = 9
ROWS = 64  # of a weight, in a tile
LEAST_CAPABILITY, LEAST_OF_FP8 = (8, 0), (8, 9)  # that kernels are for; whose products take FP8
FEW_ROWS, MANY_ROWS = 16, 32  # of activations that a program multiplies, where a step has at most 16, and more


def family_of(capability: tuple[int, int]) -> Family:
    """Return the family of a compute capability."""
    return "wgmma" if capability[0] == HOPPER else "mma"


def overlaps(capability: tuple[int, int]) -> bool:
    """Return whether kernels of a capability may begin before those before them have ended."""
    return capability >= (9, 0)


def require_kernels_for(capability: tuple[int, int], device: str) -> None:
    """Raise MachineError where a device is older than our kernels are for."""
    if capability < LEAST_CAPABILITY:
        raise MachineError(f"{device} has compute capability {capability[0]}.{capability[1]}; our kernels need 8.0")


def fp4_tiles(capability: tuple[int, int]) -> int:
    """Return how many tiles of 64 rows FP4 instructions multiply at once; 0 where there are none.

    10.x multiplies by 128 rows of the left operand (with fewer Triton computes in float16), 12.x by 16.
    """
    return {10: 2, 12: 1}.get(capability[0], 0)


def warps_of(family: Family) -> int:
    """Return the warps of a program whose left operand is a tile of a weight."""
    return 4 if family == "wgmma" else 2


def tile_columns(columns: int) -> int:
    """Return how many columns a tile has: 128, or 64 where that leaves less of the last tile empty."""
    return 128 if columns % 128 == 0 or columns % 128 > 64 else 64
