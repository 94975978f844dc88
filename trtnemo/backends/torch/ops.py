"""The graph's own ops as plain torch, one small function each."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trtnemo.backends.torch.forms import StepContext, register
from trtnemo.backends.torch.rounding import project
from trtnemo.backends.torch.state import KvCache
from trtnemo.graph import Node
from trtnemo.graph.ops import Attention, Linear, RmsNorm


def embedding(op: Any, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
    """Return embedding rows."""
    return F.embedding(inputs[0], context.weight(node, "weight").values).float()


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


for _kind, _function in {
    "embedding": embedding,
    "rms_norm": rms_norm,
    "linear": linear,
    "relu2": relu2,
    "add": add,
    "concat": concat,
    "select_rows": select_rows,
    "attention": attention,
}.items():
    register(_kind, _function)
