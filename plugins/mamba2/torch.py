"""mamba2 in the reference executor: the reference itself, segment by segment."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from trtnemo.backends.torch.forms import StepContext, register
from trtnemo.backends.torch.state import State
from trtnemo.graph import Node
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.plugins.mamba2.reference import Mamba2State, initial_state, mamba2


def run(op: Mamba2, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
    """Return the mixer's output of each segment; the new states are collected, not stored."""
    parameters = {role: context.weight(node, role).values for role in node.parameters}
    outputs = []
    for segment, slot in zip(context.segments, context.slots, strict=True):
        rows = inputs[0][segment.rows]
        output, after = mamba2(op, rows, parameters, _state(op, slot.recurrent.get(node.name)))
        context.new_states[segment.slot, node.name] = after
        context.kept_rows[segment.slot, node.name] = rows
        outputs.append(output)
    return torch.cat(outputs)


def advance(op: Mamba2, parameters: Mapping[str, Tensor], rows: Tensor, before: State | None) -> State:
    """Return the state after accepted rows."""
    return mamba2(op, rows, parameters, _state(op, before))[1]


def _state(op: Mamba2, found: State | None) -> Mamba2State:
    return initial_state(op) if found is None else Mamba2State(*found)


register(Mamba2.kind, run, advance)
