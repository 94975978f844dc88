"""latent_moe as the native executor is given it; the op itself is cpu/latent_moe_op.cpp."""

from __future__ import annotations

from trtnemo.backends.cpu.forms import Site, register
from trtnemo.graph import Node
from trtnemo.plugins.latent_moe.op import LatentMoe


def emit(site: Site, node: Node, op: LatentMoe, inputs: list[int], output: int) -> None:
    """Emit the op."""
    sizes = {name: getattr(op, name) for name in ("experts", "top_k", "groups", "top_groups")}
    sizes |= {"normalize": int(op.normalize), "wide_activations": int(site.precision.has_wide_activations)}
    numbers = {"scaling_factor": op.scaling_factor}
    site.op(node, inputs, output, sizes=sizes, numbers=numbers, vectors=["correction_bias"], banks=["up", "down"])


register(LatentMoe.kind, emit)
