"""What a step says of each sequence, a row of whole numbers that kernels read.

SLOT: its state's place; START, TOKENS: its rows in the step; LENGTH: its committed tokens, which the new ones follow;
REPLAY: the last of them that its recurrent state does not hold yet; STAYS: 1 where the new tokens wait for
verification, and the state stays before them; ROWS: its rows in a captured step, of which those behind its tokens
are written as zeros.
"""

from __future__ import annotations

import triton.language as tl

SLOT, START, TOKENS, LENGTH, REPLAY, STAYS, ROWS = (tl.constexpr(number) for number in range(7))
FIELDS = tl.constexpr(8)
WIDTH = 8
