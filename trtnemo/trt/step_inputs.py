"""The indices that map a ragged step onto slots, as inputs of a network.

A step's rows are packed, T in all. Ops with state see a grid of B slots by R rows instead: `grid_rows` says which
packed row a cell reads (an empty cell reads row 0), `cells` says where each packed row's result lies.
"""

from __future__ import annotations

from functools import cached_property

from trtnemo.trt.element import Element
from trtnemo.trt.writer import ITensor, NetworkWriter

STEP_DIMS: dict[str, tuple[Element, tuple[int | str, ...]]] = {
    "token_ids": (Element.INT32, ("T",)),
    "grid_rows": (Element.INT32, ("B", "R")),
    "cells": (Element.INT32, ("T",)),
    # 1 where a cell's token moves the recurrent state on, 0 for empty cells and tokens under verification
    "advances": (Element.FLOAT32, ("B", "R")),
    # rows of [conv_state | grid] that are the next conv_state, less the constant number of them: [B, kernel - 1]
    "conv_start": (Element.INT32, ("B", 1)),
    "positions": (Element.INT32, ("B",)),
    "key_lengths": (Element.INT32, ("B",)),
    "zeros": (Element.INT32, ("B",)),
    "logit_rows": (Element.INT32, ("N",)),
}


class StepInputs:
    """Inputs of a step, declared when a network first uses them."""

    def __init__(self, net: NetworkWriter) -> None:
        self._net = net

    @cached_property
    def token_ids(self) -> ITensor:
        """Token ids [T]."""
        return self._declare("token_ids")

    @cached_property
    def grid_rows(self) -> ITensor:
        """Packed row of every cell [B, R]."""
        return self._declare("grid_rows")

    @cached_property
    def cells(self) -> ITensor:
        """Cell of every packed row [T]."""
        return self._declare("cells")

    @cached_property
    def advances(self) -> ITensor:
        """1 where a cell moves the recurrent state on [B, R]."""
        return self._declare("advances")

    @cached_property
    def conv_start(self) -> ITensor:
        """Tokens by which the conv_state moves on [B, 1]."""
        return self._declare("conv_start")

    @cached_property
    def positions(self) -> ITensor:
        """Position of each slot's first row in its sequence [B]."""
        return self._declare("positions")

    @cached_property
    def key_lengths(self) -> ITensor:
        """Keys that the last row of each slot's grid sees [B]."""
        return self._declare("key_lengths")

    @cached_property
    def zeros(self) -> ITensor:
        """0 for every slot [B]: where a recurrent state is written in its cache."""
        return self._declare("zeros")

    @cached_property
    def logit_rows(self) -> ITensor:
        """Rows wanted as logits [N]."""
        return self._declare("logit_rows")

    def to_grid(self, x_TD: ITensor) -> ITensor:
        """Return packed rows [T, D] as a grid [B, R, D]."""
        return self._net.gather(x_TD, self.grid_rows, 0)

    def to_rows(self, x_BRD: ITensor, width: int) -> ITensor:
        """Return a grid [B, R, width] as packed rows [T, width]."""
        return self._net.gather(self._net.reshape(x_BRD, (-1, width)), self.cells, 0)

    def _declare(self, name: str) -> ITensor:
        element, dims = STEP_DIMS[name]
        return self._net.input(name, element, dims, "step")
