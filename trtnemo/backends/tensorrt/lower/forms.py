"""Ops as TensorRT layers: a table that a plugin's `tensorrt_form.py` adds to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trtnemo.backends.op_table import OpTable
from trtnemo.graph import Node
from trtnemo.trt.writer import ITensor

# (op, node, site, inputs) -> output; the first argument but one is a Site, which needs this table to cut blocks
Emit = Callable[[Any, Node, Any, list[ITensor]], ITensor]
# writes a whole network of its own
Write = Callable[[Any], None]


@dataclass(frozen=True)
class TensorrtForm:
    """How an op becomes layers.

    block: what a layer around this op is called, None for ops that give no name. advance: writes the network that
    moves an op's state over accepted rows. grouped: (kind, writer) of the networks that take the op's place in a
    prefill, where its rows are grouped on the host: the layer is cut before and after it.
    """

    emit: Emit
    block: str | None = None
    advance: Write | None = None
    grouped: tuple[tuple[str, Write], ...] = ()


# a plugin's form is there when it is looked for, one of the graph's own ops once `ops` is imported
FORMS: OpTable[TensorrtForm] = OpTable("TensorRT", "tensorrt_form")
register = FORMS.register
