"""The graph's own ops as TensorRT layers, one small function each."""

from __future__ import annotations

from typing import Any

from trtnemo.backends.tensorrt.lower.forms import TensorrtForm, register
from trtnemo.backends.tensorrt.lower.site import Site
from trtnemo.checkpoint import WeightFormat
from trtnemo.graph import DType, Node
from trtnemo.graph.ops import Attention, Embedding, Linear, RmsNorm
from trtnemo.trt.element import Element
from trtnemo.trt.weight import project_few, project_many
from trtnemo.trt.writer import ITensor


def embedding(op: Embedding, node: Node, site: Site, inputs: list[ITensor]) -> ITensor:
    """Return embedding rows [T, width]."""
    table = site.weight(node, "weight").values
    return site.net.cast(site.net.gather(table, site.step.token_ids, 0), site.settings.element(op.dtype))


def rms_norm(op: RmsNorm, node: Node, site: Site, inputs: list[ITensor]) -> ITensor:
    """Return x normalized in float32."""
    net, x = site.net, site.net.cast(inputs[0], Element.FLOAT32)
    mean = net.reduce("AVG", net.multiply(x, x), 1, keep=True)
    root = net.unary("SQRT", net.add(mean, net.constant([[op.epsilon]])))
    normed = net.multiply(net.divide(x, root), net.reshape(site.vector(node, "weight"), (1, -1)))
    return net.cast(normed, net.element(inputs[0]))


def linear(op: Linear, node: Node, site: Site, inputs: list[ITensor]) -> ITensor:
    """Return x times the transposed weight, in the form that fits the phase's number of rows."""
    out = site.settings.element(op.out_dtype)
    x, products = inputs[0], site.settings.products
    spec = site.block.parameters[node.parameters["weight"]]
    if op.out_dtype is DType.FLOAT32 and spec.format is WeightFormat.PLAIN:
        products = Element.FLOAT32  # the router's and the head's products are float32, not only their sums
    if site.phase == "decode":
        return project_few(site.net, x, site.weight(node, "weight"), products, out)
    weight = site.weight(node, "weight", scales_input=op.compute != "weight_only")
    return project_many(site.net, x, weight, op.compute, products, out)


def relu2(op: Any, node: Node, site: Site, inputs: list[ITensor]) -> ITensor:
    """Return max(x, 0) squared."""
    rectified = site.net.activation("RELU", inputs[0])
    return site.net.multiply(rectified, rectified)


def add(op: Any, node: Node, site: Site, inputs: list[ITensor]) -> ITensor:
    """Return the sum."""
    return site.net.add(inputs[0], inputs[1])


def concat(op: Any, node: Node, site: Site, inputs: list[ITensor]) -> ITensor:
    """Return the inputs side by side."""
    return site.net.concat(inputs, 1)


def select_rows(op: Any, node: Node, site: Site, inputs: list[ITensor]) -> ITensor:
    """Return the rows wanted as logits."""
    return site.net.gather(inputs[0], site.step.logit_rows, 0)


def attention_front(op: Attention, node: Node, site: Site, inputs: list[ITensor]) -> ITensor:
    """Write keys and values into each slot's cache, and return the scaled query [B, heads, R, head_dim]."""
    net, cache = site.net, site.settings.cache
    shape = (op.kv_heads, site.settings.capacity, op.head_dim)
    for role, rows in (("keys", inputs[1]), ("values", inputs[2])):
        update = _heads(site, net.cast(rows, cache), op.kv_heads, op.head_dim)
        written = net.cache_update(site.state(node, role, cache, shape), update, site.step.positions)
        site.keep(node, role, written, shape)
    scaled = net.multiply(net.cast(inputs[0], Element.FLOAT32), net.constant([[op.head_dim**-0.5]]))
    return _heads(site, net.cast(scaled, cache), op.query_heads, op.head_dim)


def attention_back(op: Attention, node: Node, site: Site, query: ITensor) -> ITensor:
    """Return causal attention of each slot's rows over its cache, as packed rows."""
    net, step, cache = site.net, site.step, site.settings.cache
    shape = (op.kv_heads, site.settings.capacity, op.head_dim)
    keys, values = (site.state(node, role, cache, shape) for role in ("keys", "values"))
    attended = net.attention(query, keys, values, step.key_lengths)
    width = op.query_heads * op.head_dim
    grid = net.reshape(net.transpose(attended, (0, 2, 1, 3)), (0, 0, width))
    return net.cast(step.to_rows(grid, width), site.settings.activations)


def _heads(site: Site, x_TD: ITensor, heads: int, head_dim: int) -> ITensor:
    """Return packed rows as [B, heads, R, head_dim]."""
    grid = site.net.reshape(site.step.to_grid(x_TD), (0, 0, heads, head_dim))
    return site.net.transpose(grid, (0, 2, 1, 3))


for _kind, _form in {
    "embedding": TensorrtForm(embedding),
    "rms_norm": TensorrtForm(rms_norm),
    "linear": TensorrtForm(linear),
    "relu2": TensorrtForm(relu2),
    "add": TensorrtForm(add),
    "concat": TensorrtForm(concat),
    "select_rows": TensorrtForm(select_rows),
}.items():
    register(_kind, _form)
