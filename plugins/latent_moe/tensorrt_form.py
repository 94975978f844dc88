"""latent_moe in a network: few rows at once, and in a prefill routed, grouped on the host, and run part by part."""

from __future__ import annotations

from trtnemo.backends.tensorrt.lower.forms import TensorrtForm, register
from trtnemo.backends.tensorrt.lower.settings import experts_per_part
from trtnemo.backends.tensorrt.lower.site import Site
from trtnemo.errors import EngineError
from trtnemo.graph import Node
from trtnemo.plugins.latent_moe import tensorrt as layers
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.trt.element import Element
from trtnemo.trt.writer import ITensor


def emit(op: LatentMoe, node: Node, site: Site, inputs: list[ITensor]) -> ITensor:
    """Return the routed sum of a decode phase."""
    logits, rows = inputs
    picked, weights = layers.route(site.net, op, logits, site.vector(node, "correction_bias"))
    up, down = site.weight(node, "up"), site.weight(node, "down")
    total = layers.few_rows(site.net, op, rows, picked, weights, up, down)
    return site.net.cast(total, site.net.element(rows))


def write_route(site: Site) -> None:
    """Write the network that picks experts for each row."""
    node, op = _node(site)
    net = site.net
    with net.scope(site.block.local(node.name)):
        logits = site.value("in.0", node.inputs[0])
        picked, weights = layers.route(net, op, logits, site.vector(node, "correction_bias"))
        net.output("picked", picked, ("T", op.top_k))
        net.output("weights", weights, ("T", op.top_k))


def write_experts(site: Site) -> None:
    """Some experts' part of the routed sum: cells, weights and the sum so far come in, the new sum goes out."""
    node, op = _node(site)
    net, part = site.net, experts_per_part(op.experts)
    native = op.compute != "weight_only"
    with net.scope(site.block.local(node.name)):
        rows = site.value("in.1", node.inputs[1])
        tokens = net.input("token_of_cell", Element.INT32, (part, "C"), "value")
        cells = net.input("cell_of_pick", Element.INT32, ("T", op.top_k), "value")
        weights = net.input("weights", Element.FLOAT32, ("T", op.top_k), "value")
        before = net.input("sum", Element.FLOAT32, ("T", op.width), "value")
        up = site.weight(node, "up", scales_input=native, experts=part)
        down = site.weight(node, "down", scales_input=native, experts=part)
        made = layers.many_rows(net, op.compute, site.settings.products, rows, tokens, up, down)
        total = net.add(before, layers.collect(net, made, op.width, cells, weights))
        net.output("sum.after", total, ("T", op.width))


def _node(site: Site) -> tuple[Node, LatentMoe]:
    node = site.block.nodes[0]
    if not isinstance(node.op, LatentMoe):
        raise EngineError(f"{node.name} is not a latent_moe op")
    return node, node.op


register(LatentMoe.kind, TensorrtForm(emit, "moe", grouped=(("route", write_route), ("experts", write_experts))))
