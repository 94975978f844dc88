"""Every op of the graph as TensorRT layers, one small function each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trtnemo.backends.tensorrt.lower.blocks import Block
from trtnemo.backends.tensorrt.lower.settings import Phase, Settings
from trtnemo.checkpoint import WeightFormat
from trtnemo.graph import DType, Node
from trtnemo.graph.ops import Attention, Embedding, Linear, RmsNorm
from trtnemo.plugins.latent_moe import tensorrt as moe_layers
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.mamba2 import tensorrt as mamba_layers
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.trt.element import Element
from trtnemo.trt.step_inputs import StepInputs
from trtnemo.trt.weight import StoredWeight, declare_weight, project_few, project_many, with_input_scale
from trtnemo.trt.writer import ITensor, NetworkWriter

AFTER = ".after"  # what a state's output is called, beside its input


@dataclass(frozen=True)
class Site:
    """Where ops are written: the network, the block, what it is built for, the phase, the step's indices.

    `plain` gives the stored element type of unquantized matrices by parameter name.
    """

    net: NetworkWriter
    block: Block
    settings: Settings
    phase: Phase
    step: StepInputs
    plain: Mapping[str, Element]

    def vector(self, node: Node, role: str) -> ITensor:
        """Declare a small parameter, bound in float32."""
        spec = self.block.parameters[node.parameters[role]]
        return self.net.input(f"{self.block.local(node.name)}.{role}", Element.FLOAT32, spec.shape, "weight")

    def weight(self, node: Node, role: str, *, scales_input: bool = False, experts: int | None = None) -> StoredWeight:
        """Declare a matrix or a bank, with the static scale of its input where it is used."""
        spec = self.block.parameters[node.parameters[role]]
        name = f"{self.block.local(node.name)}.{role}"
        plain = self.plain.get(spec.name, self.settings.products)
        weight = declare_weight(self.net, name, spec, plain, experts)
        return with_input_scale(self.net, name, weight) if scales_input and spec.input_scale else weight

    def state(self, node: Node, role: str, element: Element, shape: tuple[int, ...]) -> ITensor:
        """Declare a state, one row per slot."""
        return self.net.input(f"{self.block.local(node.name)}.{role}", element, ("B", *shape), "state")

    def keep(self, node: Node, role: str, x: ITensor, shape: tuple[int, ...]) -> None:
        """Mark a state that was updated in place as an output."""
        self.net.output_in_place(f"{self.block.local(node.name)}.{role}{AFTER}", x, ("B", *shape))


OpFunction = Callable[[Any, Node, Site, list[ITensor]], ITensor]


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


def mamba(op: Mamba2, node: Node, site: Site, inputs: list[ITensor]) -> ITensor:
    """Return the mixer's output; in a decode phase with drafts what it read is given out too."""
    net, step = site.net, site.step
    element = net.element(inputs[0])
    grid = step.to_grid(inputs[0])
    if site.phase == "decode" and site.settings.keeps_rows:
        net.output(f"{site.block.local(node.name)}.read", grid, ("B", "R", op.input_width))
    parameters = {role: site.vector(node, role) for role in node.parameters}
    states = mamba_states(site, op, node)
    y, after = mamba_layers.mamba2(net, op, grid, parameters, states, step, chunked=site.phase == "prefill")
    keep_mamba_states(site, op, node, after)
    return net.cast(step.to_rows(y, op.inner), element)


def mamba_states(site: Site, op: Mamba2, node: Node) -> mamba_layers.States:
    """Declare the states of a Mamba-2 layer."""
    conv, ssm = mamba_state_shapes(op)
    return mamba_layers.States(
        site.state(node, "conv_state", site.settings.cache, conv), site.state(node, "ssm_state", Element.FLOAT32, ssm)
    )


def keep_mamba_states(site: Site, op: Mamba2, node: Node, after: mamba_layers.States) -> None:
    """Mark the states that were written in place."""
    conv, ssm = mamba_state_shapes(op)
    site.keep(node, "conv_state", after.conv, conv)
    site.keep(node, "ssm_state", after.ssm, ssm)


def mamba_state_shapes(op: Mamba2) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of conv_state and ssm_state as caches of one slot."""
    return (1, op.kernel - 1, op.channels), (op.heads, op.head_dim, op.state_size)


def moe(op: LatentMoe, node: Node, site: Site, inputs: list[ITensor]) -> ITensor:
    """Return the routed sum of a decode phase."""
    logits, rows = inputs
    picked, weights = moe_layers.route(site.net, op, logits, site.vector(node, "correction_bias"))
    up, down = site.weight(node, "up"), site.weight(node, "down")
    total = moe_layers.few_rows(site.net, op, rows, picked, weights, up, down)
    return site.net.cast(total, site.net.element(rows))


OPS: dict[str, OpFunction] = {
    "embedding": embedding,
    "rms_norm": rms_norm,
    "linear": linear,
    "relu2": relu2,
    "add": add,
    "concat": concat,
    "select_rows": select_rows,
    "mamba2": mamba,
    "latent_moe": moe,
}
