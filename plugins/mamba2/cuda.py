"""mamba2 on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from trtnemo.backends.cuda.forms import Room, Step, register
from trtnemo.backends.cuda.values import GroupNormed, Value
from trtnemo.errors import EngineError
from trtnemo.graph import Node
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.plugins.mamba2.triton import run as kernels


def run(op: Mamba2, node: Node, step: Step, inputs: list[Value]) -> Value:
    """Return the gated output, whose norm its reader takes in."""
    projected = inputs[0].rows()
    found, squares = kernels.run(
        step.launch, op, projected, step.few, step.many, _state(step, node), _weights(step, node), step.room.dtype
    )
    return GroupNormed(found, squares, step.weights.vectors[node.parameters["norm_weight"]], op.epsilon)


def new_state(op: Mamba2, room: Room, number: int) -> kernels.Mamba2State:
    """Return the states of all slots."""
    return kernels.new_state(op, room.slots, room.ring, room.state_dtype, room.device, number)


def fold(op: Mamba2, node: Node, step: Step) -> None:
    """Take the tokens to be replayed into the states of the step's short segments, which hold none of their own."""
    nothing = step.few.new_empty((0, op.input_width), dtype=torch.float32)  # as in_proj's output is
    state, weights = _state(step, node), _weights(step, node)
    kernels.run(step.launch, op, nothing, step.few, step.many, state, weights, step.room.dtype)


def _state(step: Step, node: Node) -> kernels.Mamba2State:
    found = step.states[node.name]
    if not isinstance(found, kernels.Mamba2State):
        raise EngineError("mamba2 has no state", where=node.name)
    return found


def _weights(step: Step, node: Node) -> kernels.Mamba2Weights:
    def vector(role: str) -> Tensor:
        return step.weights.vectors[node.parameters[role]]

    bias = vector("conv_bias") if "conv_bias" in node.parameters else None
    return kernels.Mamba2Weights(vector("conv_weight"), bias, vector("A_log"), vector("D"), vector("dt_bias"))


register(Mamba2.kind, run, new_state, fold)
