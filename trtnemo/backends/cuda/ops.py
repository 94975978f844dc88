"""The graph's own ops, most of them as values that a product takes in front or behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trtnemo.backends.cuda import library
from trtnemo.backends.cuda.attention import ONE, Caches, Scales, attend, write
from trtnemo.backends.cuda.forms import Room, Step, register
from trtnemo.backends.cuda.pages import PAGE, pages_of
from trtnemo.backends.cuda.values import Columns, Computed, Later, Normed, Product, Selected, Value
from trtnemo.errors import EngineError
from trtnemo.graph import Node
from trtnemo.graph.ops import Attention, Linear, RmsNorm


def embedding(op: Any, node: Node, step: Step, inputs: list[Value]) -> Value:
    """Return embedding rows."""
    table = step.weights.vectors[node.parameters["weight"]]
    return Computed(F.embedding(inputs[0].rows(), table).float())


def rms_norm(op: RmsNorm, node: Node, step: Step, inputs: list[Value]) -> Value:
    """Return the input, to be normalized."""
    return Normed(step.launch, inputs[0], step.weights.vectors[node.parameters["weight"]], op.epsilon)


def linear(op: Linear, node: Node, step: Step, inputs: list[Value]) -> Value:
    """Return the product, or its columns of one that several linears share."""
    place = step.weights.places.get(f"{step.graph}/{node.name}")
    if place is None:
        weight = step.weights.matrix(step.graph, node.parameters["weight"])
        return Product(step.launch, inputs[0], weight, op.rows, step.room.dtype)
    if place.group not in step.merged:
        weight = step.weights.matrix(step.graph, node.parameters["weight"])
        step.merged[place.group] = Product(step.launch, inputs[0], weight, weight.rows, step.room.dtype)
    return Columns(step.merged[place.group], place.offset, op.rows)


def relu2(op: Any, node: Node, step: Step, inputs: list[Value]) -> Value:
    """Return max(x, 0) squared."""
    x = inputs[0]
    if isinstance(x, Product) and x.is_open and not x.relu2 and step.uses[node.inputs[0]] == 1:
        return x.squared(step.riders)
    return Computed(torch.relu(x.rows()).square())


def add(op: Any, node: Node, step: Step, inputs: list[Value]) -> Value:
    """Return the sum: of two products in one kernel, or of a product onto a residual."""
    first, second = inputs
    mine = [step.uses[name] == 1 for name in node.inputs]
    if isinstance(first, Product) and isinstance(second, Product) and all(mine) and first.may_add and second.may_add:
        return first.plus(second)
    if isinstance(second, Product) and second.is_open and second.residual is None and mine[1]:
        return second.onto(first)
    return Computed(first.rows() + second.rows())


def concat(op: Any, node: Node, step: Step, inputs: list[Value]) -> Value:
    """Return the inputs side by side."""
    return Computed(torch.cat([value.rows() for value in inputs], dim=-1))


def select_rows(op: Any, node: Node, step: Step, inputs: list[Value]) -> Value:
    """Return the named rows."""
    return Selected(inputs[0], inputs[1].rows())


def new_caches(op: Attention, room: Room, number: int) -> PagedCaches:
    """Return caches of all pages, and of the one that is never given out."""
    shape = (room.pages.total + 1, PAGE, op.kv_heads, op.head_dim)
    keys, values = (torch.zeros(shape, dtype=room.cache_dtype, device=room.device) for _ in range(2))
    return PagedCaches(keys, values, room.pages.table)


class PagedCaches(Caches):
    """Caches whose pages can be copied for a snapshot."""

    @property
    def page_bytes(self) -> int:
        """Bytes of keys and values of a page."""
        return self.keys[0].nbytes + self.values[0].nbytes

    def read(self, slot: int, tokens: int, scales: Scales, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return a slot's first keys and values [tokens, kv_heads, head_dim]."""
        pages = self.table[slot, : pages_of(tokens)].long()
        found = []
        for cache, scale in zip((self.keys, self.values), scales, strict=True):
            part = cache[pages].flatten(0, 1)[:tokens]
            found.append(part.view(torch.float8_e4m3fn).to(dtype) * scale if self.is_fp8 else part.to(dtype))
        return found[0], found[1]

    def copy(self, slot: int | None, pages: Sequence[int]) -> tuple[Tensor, ...]:
        """Return keys and values of some pages."""
        index = torch.tensor(pages, dtype=torch.int64, device=self.keys.device)
        return self.keys[index], self.values[index]

    def put(self, slot: int | None, pages: Sequence[int], parts: tuple[Tensor, ...]) -> None:
        """Give pages keys and values."""
        index = torch.tensor(pages, dtype=torch.int64, device=self.keys.device)
        self.keys[index], self.values[index] = (part.to(self.keys.device) for part in parts)


def attention(op: Attention, node: Node, step: Step, inputs: list[Value]) -> Value:
    """Return causal attention over the caches, which the step's keys and values enter first."""
    caches = step.states[node.name]
    if not isinstance(caches, PagedCaches):
        raise EngineError("attention has no caches", where=node.name)
    parts = list(zip((step.few, step.many), step.reaches, strict=True))
    projected, offsets = _beside(inputs)
    scales = step.weights.cache_scales.get(node.name, ONE) if caches.is_fp8 else ONE
    write(step.launch, op, projected, offsets, caches, parts, scales)

    def attended() -> Tensor:
        out = attend(step.launch, op, projected, offsets, caches, parts[:1], step.room.dtype, scales)
        for segment in step.long:
            q = projected[segment.rows, offsets[0] : offsets[0] + op.query_heads * op.head_dim]
            keys, values = caches.read(segment.slot, segment.position + segment.length, scales, step.room.dtype)
            found = library.attention(q.reshape(len(q), -1, op.head_dim).to(keys.dtype), keys, values)
            out[segment.rows] = found.reshape(len(q), -1).to(out.dtype)
        return out

    return Later(attended)


def _beside(inputs: list[Value]) -> tuple[Tensor, tuple[int, int, int]]:
    """Return one tensor with queries, keys and values in it, and where each begins."""
    products = {id(value.product) for value in inputs if isinstance(value, Columns)}
    if len(products) == 1 and all(isinstance(value, Columns) for value in inputs):
        q, k, v = (value for value in inputs if isinstance(value, Columns))
        return q.product.rows(), (q.offset, k.offset, v.offset)
    rows = [value.rows() for value in inputs]
    return torch.cat(rows, dim=-1), (0, rows[0].shape[1], rows[0].shape[1] + rows[1].shape[1])


register("attention", attention, new_caches)
for _kind, _function in {
    "embedding": embedding,
    "rms_norm": rms_norm,
    "linear": linear,
    "relu2": relu2,
    "add": add,
    "concat": concat,
    "select_rows": select_rows,
}.items():
    register(_kind, _function)
