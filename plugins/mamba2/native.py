"""mamba2 as the native executor is given it; the op itself is cpu/mamba2_op.cpp."""

from __future__ import annotations

from trtnemo.backends.cpu.forms import Site, register
from trtnemo.graph import Node
from trtnemo.plugins.mamba2.op import Mamba2

_VECTORS = ("conv_weight", "conv_bias", "A_log", "D", "dt_bias", "norm_weight")


def emit(site: Site, node: Node, op: Mamba2, inputs: list[int], output: int) -> None:
    """Emit the op."""
    sizes = {name: getattr(op, name) for name in ("heads", "head_dim", "groups", "state_size", "kernel")}
    sizes["half_state"] = int(site.precision.has_half_state)
    site.op(node, inputs, output, sizes=sizes, numbers={"epsilon": op.epsilon}, vectors=_VECTORS)


register(Mamba2.kind, emit)
