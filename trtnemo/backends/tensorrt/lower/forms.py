"""Ops as TensorRT layers: a table that a plugin's `tensorrt_form.py` adds to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trtnemo.errors import EngineError
from trtnemo.graph import Node
from trtnemo.plugins import load_forms
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


FORMS: dict[str, TensorrtForm] = {}


def register(kind: str, form: TensorrtForm) -> None:
    """Add the form of an op; raises ValueError where the kind has one."""
    if kind in FORMS:
        raise ValueError(f"op '{kind}' has a TensorRT form already")
    FORMS[kind] = form


def plugin_form(node: Node) -> TensorrtForm | None:
    """Return the form of a node's op if one was registered: plugins' are, the graph's own once `ops` is imported."""
    load_forms("tensorrt_form")
    return FORMS.get(node.op.kind)


def find_form(node: Node) -> TensorrtForm:
    """Return the form of a node's op; raises EngineError where it has none."""
    form = plugin_form(node)
    if form is None:
        raise EngineError(f"op '{node.op.kind}' has no TensorRT form", where=node.name)
    return form
