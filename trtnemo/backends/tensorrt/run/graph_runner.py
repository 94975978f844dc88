"""One graph over its bound plans, a phase at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from trtnemo.backends.tensorrt.lower.blocks import Block
from trtnemo.backends.tensorrt.lower.networks import ADVANCE
from trtnemo.backends.tensorrt.lower.settings import Phase
from trtnemo.backends.tensorrt.run.bound import BoundPlan, Open, bind
from trtnemo.backends.tensorrt.run.experts import run_experts
from trtnemo.backends.tensorrt.run.grid import Grid
from trtnemo.backends.tensorrt.run.states import States
from trtnemo.backends.tensorrt.run.weights import DeviceWeights
from trtnemo.graph import Graph

LOGITS = "logits"
# called with what a plan has made, by value; gives what goes on to the next
Watch = Callable[[BoundPlan, dict[str, Tensor]], dict[str, Tensor]]
READ = ".read"


class GraphRunner:
    """Runs a graph's blocks in order; `most_logits` rows of logits are computed at a time."""

    def __init__(
        self,
        graph: Graph,
        programs: Mapping[Phase, Sequence[Block]],
        open_plan: Open,
        weights: DeviceWeights,
        states: States,
        most_logits: int,
    ) -> None:
        self.graph = graph
        self._most_logits = most_logits
        self._bound: dict[Phase, list[BoundPlan]] = {}
        self.advances: dict[str, BoundPlan] = {}
        self._logits: BoundPlan | None = None
        self.watch: Watch | None = None
        for phase, blocks in programs.items():
            bound = [bind(open_plan(block.plan), block, weights, states) for block in blocks]
            self._bound[phase] = [plan for plan in bound if plan.plan.record.kind not in (ADVANCE, LOGITS)]
            self.advances |= {plan.part.nodes[0].name: plan for plan in bound if plan.plan.record.kind == ADVANCE}
            self._logits = next((plan for plan in bound if plan.plan.record.kind == LOGITS), self._logits)

    def run(
        self, phase: Phase, grid: Grid, inputs: Mapping[str, Tensor], states_only: bool = False
    ) -> dict[str, Tensor]:
        """Return the hidden states as `hidden_states`, and what each Mamba layer read as `<node>.read`.

        inputs: token_ids [T] in int32 and the graph's other inputs; `states_only` leaves out what no state needs, and
        returns nothing.
        """
        plans = self._bound[phase]
        if states_only:
            last = max(index for index, plan in enumerate(plans) if plan.writes_state)
            plans = plans[: last + 1]
        tensors = {**grid.tensors, "token_ids": inputs["token_ids"]}
        step = Grid(grid.first_slot, tensors, grid.sizes)
        values = dict(inputs)
        for plan in plans:
            if plan.plan.record.kind == "experts":
                made = {plan.part.nodes[0].output: run_experts(plan, step, values)}
            else:
                made = plan.run(step, values)
            values |= made if self.watch is None or states_only else self.watch(plan, made)
        if states_only:
            return {}
        kept = {name: value for name, value in values.items() if name.endswith(READ)}
        return {**kept, "hidden_states": values[self.graph.outputs["hidden_states"]]}

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits [rows, vocabulary] in float32 of hidden states [rows, hidden]."""
        parts = []
        for start in range(0, len(hidden), self._most_logits):
            rows = hidden[start : start + self._most_logits].contiguous()
            parts.append(self._logits_of(rows))
        return torch.cat(parts)

    def _logits_of(self, rows: Tensor) -> Tensor:
        if self._logits is None:
            raise ValueError("the graph has no logits")
        count = len(rows)
        numbers = torch.arange(count, dtype=torch.int32, device=rows.device)
        grid = Grid(0, {"logit_rows": numbers}, {"T": count, "N": count, "B": 1, "R": 1})
        return self._logits.run(grid, {self._logits.part.inputs[0]: rows})[self._logits.part.outputs[0]]
