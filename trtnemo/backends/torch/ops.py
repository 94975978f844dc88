"""Every op of the graph as plain torch, one small function each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trtnemo.backends.step import Segment
from trtnemo.backends.torch.rounding import project
from trtnemo.backends.torch.state import KvCache, SlotState
from trtnemo.backends.torch.weights import Weight, Weights
from trtnemo.errors import EngineError
from trtnemo.graph import Node
from trtnemo.graph.ops import Attention, Linear, RmsNorm
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.latent_moe.reference import latent_moe
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.plugins.mamba2.reference import initial_state, mamba2


@dataclass
class StepContext:
    """What ops read besides their inputs: weights, the step's segments, and each segment's slot state.

    `new_mamba` and `mamba_inputs` collect what a step would change, so that the executor decides what to keep.
    """

    weights: Weights
    segments: Sequence[Segment]
    slots: Sequence[SlotState]
    new_mamba: dict[tuple[int, str], Any] = field(default_factory=dict)
    mamba_inputs: dict[tuple[int, str], Tensor] = field(default_factory=dict)

    def weight(self, node: Node, role: str) -> Weight:
        """Return a single weight of the node."""
        found = self.weights[node.parameters[role]]
        if isinstance(found, tuple):
            raise EngineError(f"{node.name}: {role} is a bank, not one weight")
        return found

    def bank(self, node: Node, role: str) -> tuple[Weight, ...]:
        """Return a weight per expert."""
        found = self.weights[node.parameters[role]]
        return found if isinstance(found, tuple) else (found,)


OpFunction = Callable[[Any, Node, StepContext, list[Tensor]], Tensor]


def embedding(op: Any, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
    """Return embedding rows."""
    return F.embedding(inputs[0], context.weight(node, "weight").values)


def rms_norm(op: RmsNorm, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
    """Return x normalized in float32."""
    x = inputs[0]
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + op.epsilon) * context.weight(node, "weight").values


def linear(op: Linear, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
    """Return x times the transposed weight."""
    return project(inputs[0], context.weight(node, "weight"), op.compute)


def relu2(op: Any, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
    """Return max(x, 0) squared."""
    return torch.relu(inputs[0]).square()


def add(op: Any, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
    """Return the sum."""
    return inputs[0] + inputs[1]


def concat(op: Any, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
    """Return the inputs side by side."""
    return torch.cat(inputs, dim=-1)


def select_rows(op: Any, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
    """Return the named rows."""
    return inputs[0][inputs[1]]


def attention(op: Attention, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
    """Return causal attention of each segment over its slot's cache, which its keys and values enter first."""
    queries, keys, values = inputs
    result = torch.empty_like(queries)
    for segment, slot in zip(context.segments, context.slots, strict=True):
        cache = slot.caches.setdefault(node.name, KvCache(op.kv_heads, op.head_dim))
        shape = (segment.length, op.kv_heads, op.head_dim)
        cache.write(segment.position, keys[segment.rows].reshape(shape), values[segment.rows].reshape(shape))
        result[segment.rows] = _attend(op, queries[segment.rows], cache, segment.position)
    return result


def _attend(op: Attention, queries: Tensor, cache: KvCache, position: int) -> Tensor:
    length, end = len(queries), position + len(queries)
    repeats = op.query_heads // op.kv_heads
    q_HTD = queries.reshape(length, op.query_heads, op.head_dim).transpose(0, 1)
    k_HSD = cache.keys[:end].transpose(0, 1).repeat_interleave(repeats, dim=0)
    v_HSD = cache.values[:end].transpose(0, 1).repeat_interleave(repeats, dim=0)
    scores_HTS = q_HTD @ k_HSD.transpose(1, 2) * op.head_dim**-0.5
    future = torch.arange(end)[None, :] > torch.arange(position, end)[:, None]
    probabilities = scores_HTS.masked_fill(future, float("-inf")).softmax(-1)
    attended: Tensor = probabilities @ v_HSD
    return attended.transpose(0, 1).reshape(length, -1)


def mamba(op: Mamba2, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
    """Return the mixer's output of each segment; the new states are collected, not stored."""
    parameters = {role: context.weight(node, role).values for role in node.parameters}
    outputs = []
    for segment, slot in zip(context.segments, context.slots, strict=True):
        rows = inputs[0][segment.rows]
        state = slot.mamba.get(node.name) or initial_state(op)
        output, after = mamba2(op, rows, parameters, state)
        context.new_mamba[segment.slot, node.name] = after
        context.mamba_inputs[segment.slot, node.name] = rows
        outputs.append(output)
    return torch.cat(outputs)


def moe(op: LatentMoe, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
    """Return the routed sum."""
    up, down = context.bank(node, "up"), context.bank(node, "down")
    bias = context.weight(node, "correction_bias").values
    return latent_moe(
        op,
        inputs[0],
        inputs[1],
        bias,
        lambda expert, rows: project(rows, up[expert], op.compute),
        lambda expert, rows: project(rows, down[expert], op.compute),
    )


OPS: dict[str, OpFunction] = {
    "embedding": embedding,
    "rms_norm": rms_norm,
    "linear": linear,
    "relu2": relu2,
    "add": add,
    "concat": concat,
    "select_rows": select_rows,
    "attention": attention,
    "mamba2": mamba,
    "latent_moe": moe,
}
