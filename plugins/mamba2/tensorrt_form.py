"""mamba2 in a network: its layers, its states, and the network that moves them over accepted rows."""

from __future__ import annotations

from trtnemo.backends.tensorrt.lower.forms import TensorrtForm, register
from trtnemo.backends.tensorrt.lower.site import Site
from trtnemo.errors import EngineError
from trtnemo.graph import Node
from trtnemo.plugins.mamba2 import tensorrt as layers
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.trt.element import Element
from trtnemo.trt.writer import ITensor


def emit(op: Mamba2, node: Node, site: Site, inputs: list[ITensor]) -> ITensor:
    """Return the mixer's output; in a decode phase with drafts what it read is given out too."""
    net, step = site.net, site.step
    element = net.element(inputs[0])
    grid = step.to_grid(inputs[0])
    if site.phase == "decode" and site.settings.keeps_rows:
        net.output(f"{site.block.local(node.name)}.read", grid, ("B", "R", op.input_width))
    parameters = {role: site.vector(node, role) for role in node.parameters}
    states = _states(site, op, node)
    y, after = layers.mamba2(net, op, grid, parameters, states, step, chunked=site.phase == "prefill")
    _keep(site, op, node, after)
    return net.cast(step.to_rows(y, op.inner), element)


def write_advance(site: Site) -> None:
    """Write the network that moves the states over accepted rows."""
    node = site.block.nodes[0]
    op = node.op
    if not isinstance(op, Mamba2):
        raise EngineError(f"{node.name} is not a mamba2 op")
    net = site.net
    with net.scope(site.block.local(node.name)):
        read = net.input("read", site.settings.activations, ("B", "R", op.input_width), "value")
        roles = [role for role in node.parameters if role not in ("D", "norm_weight")]
        parameters = {role: site.vector(node, role) for role in roles}
        after = layers.advance(net, op, read, parameters, _states(site, op, node), site.step)
        _keep(site, op, node, after)


def _states(site: Site, op: Mamba2, node: Node) -> layers.States:
    conv, ssm = _shapes(op)
    return layers.States(
        site.state(node, "conv_state", site.settings.cache, conv), site.state(node, "ssm_state", Element.FLOAT32, ssm)
    )


def _keep(site: Site, op: Mamba2, node: Node, after: layers.States) -> None:
    """Mark the states that were written in place."""
    conv, ssm = _shapes(op)
    site.keep(node, "conv_state", after.conv, conv)
    site.keep(node, "ssm_state", after.ssm, ssm)


def _shapes(op: Mamba2) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of conv_state and ssm_state as caches of one slot."""
    return (1, op.kernel - 1, op.channels), (op.heads, op.head_dim, op.state_size)


register(Mamba2.kind, TensorrtForm(emit, "mamba", write_advance))
