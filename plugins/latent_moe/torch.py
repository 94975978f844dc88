"""latent_moe in the reference executor: the reference itself, with products in the op's compute mode."""

from __future__ import annotations

from torch import Tensor

from trtnemo.backends.torch.forms import StepContext, register
from trtnemo.backends.torch.rounding import project
from trtnemo.graph import Node
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.latent_moe.reference import latent_moe


def run(op: LatentMoe, node: Node, context: StepContext, inputs: list[Tensor]) -> Tensor:
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


register(LatentMoe.kind, run)
