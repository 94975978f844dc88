"""What a step says of each sequence, a row of whole numbers that kernels read.

SLOT: its state's place; START, TOKENS: its rows in the step; LENGTH: its committed tokens, which the new ones follow;
REPLAY: the last of them that its recurrent state does not hold yet; STAYS: 1 where the new tokens wait for
verification, and the state stays before them.
"""

from __future__ import annotations

import triton.language as tl

SLOT, START, TOKENS, LENGTH, REPLAY, STAYS = (tl.constexpr(number) for number in range(6))
FIELDS = tl.constexpr(8)
WIDTH = 8
