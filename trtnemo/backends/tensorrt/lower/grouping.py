"""Tokens grouped by expert: which token each cell of each expert holds, in rounds until every pick has had a cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Round:
    """One run of some experts over their cells.

    token_of_cell [experts, C]: the token that each cell reads, 0 in an empty cell; cell_of_pick [T, K]: where the
    result of a pick lies; has_cell [T, K]: which picks this round answers.
    """

    part: int
    token_of_cell: Int32
    cell_of_pick: Int32
    has_cell: npt.NDArray[np.bool_]


def group(picked_TK: npt.NDArray[np.integer], experts: int, part_size: int, most_cells: int) -> Iterator[Round]:
    """Yield the rounds that answer every pick once; parts without a pick are left out.

    `part_size` experts run together. An expert with more picks than `most_cells` has further rounds: no token is
    dropped, however unevenly the picks fall.
    """
    tokens, top_k = picked_TK.shape
    flat = picked_TK.reshape(-1).astype(np.int64)
    order = np.argsort(flat, kind="stable")
    counts = np.bincount(flat, minlength=experts)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.empty(len(flat), np.int64)  # how many picks of the same expert come before
    rank[order] = np.arange(len(flat)) - starts[flat[order]]
    for part in range(experts // part_size):
        mine = flat // part_size == part
        if not mine.any():
            continue
        largest = int(rank[mine].max()) + 1
        for first in range(0, largest, most_cells):
            cells = min(most_cells, largest - first)
            here = mine & (rank >= first) & (rank < first + cells)
            cell = (flat[here] - part * part_size) * cells + rank[here] - first
            token_of_cell = np.zeros(part_size * cells, np.int32)
            token_of_cell[cell] = np.flatnonzero(here) // top_k
            cell_of_pick = np.zeros(len(flat), np.int32)
            cell_of_pick[here] = cell
            yield Round(
                part,
                token_of_cell.reshape(part_size, cells),
                cell_of_pick.reshape(tokens, top_k),
                here.reshape(tokens, top_k),
            )
