"""The grouped form of a prefill's experts: route, group on the host, run each part of the bank over its cells."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from trtnemo.backends.tensorrt.lower.grouping import Round, group
from trtnemo.backends.tensorrt.lower.settings import MOST_CELLS, experts_per_part
from trtnemo.backends.tensorrt.run.bound import BoundPlan
from trtnemo.backends.tensorrt.run.grid import Grid
from trtnemo.errors import EngineError


def run_experts(bound: BoundPlan, grid: Grid, values: Mapping[str, Tensor]) -> Tensor:
    """Return the routed sum [T, width] in the rows' element type; `values` holds logits, rows and the routing."""
    node = bound.part.nodes[0]
    if node.op.routed is None:
        raise EngineError(f"{node.name} has no experts")
    experts, _ = node.op.routed
    rows = values[node.inputs[1]]
    picked, weights = values[f"{node.name}.picked"], values[f"{node.name}.weights"]
    total = torch.zeros(rows.shape, dtype=torch.float32, device=rows.device)
    size = experts_per_part(experts)
    for round in group(picked.cpu().numpy(), experts, size, MOST_CELLS):
        total = _run_round(bound, grid, round, size, {"in.1": rows, "weights": weights, "sum": total})
    return total.to(rows.dtype)


def _run_round(bound: BoundPlan, grid: Grid, round: Round, size: int, given: Mapping[str, Tensor]) -> Tensor:
    device = given["in.1"].device
    mine = slice(round.part * size, (round.part + 1) * size)
    tensors = {name: bank[mine] for name, bank in bound.weights.items()}
    has_cell = torch.from_numpy(round.has_cell).to(device)
    tensors |= {
        **given,
        "weights": given["weights"] * has_cell,
        "token_of_cell": torch.from_numpy(round.token_of_cell).to(device),
        "cell_of_pick": torch.from_numpy(round.cell_of_pick).to(device),
    }
    sizes = {**grid.sizes, "C": round.token_of_cell.shape[1]}
    return bound.plan.run(tensors, sizes)["sum.after"]
