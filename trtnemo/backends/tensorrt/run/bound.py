"""A plan bound to one layer: which weights, states and values its tensors are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from trtnemo.backends.tensorrt.lower.blocks import Block
from trtnemo.backends.tensorrt.run.grid import Grid
from trtnemo.backends.tensorrt.run.plan import Plan
from trtnemo.backends.tensorrt.run.states import States
from trtnemo.backends.tensorrt.run.weights import DeviceWeights
from trtnemo.errors import EngineError
from trtnemo.graph import ParameterSpec


@dataclass(frozen=True)
class BoundPlan:
    """A plan with everything that stays the same from step to step; `values` gives the value of each other tensor."""

    plan: Plan
    part: Block
    weights: Mapping[str, Tensor]
    states: Mapping[str, Tensor]
    values: Mapping[str, str]

    @property
    def writes_state(self) -> bool:
        """Whether the plan updates a state."""
        return any(spec.source == "state" for spec in self.plan.outputs.values())

    def run(self, grid: Grid, given: Mapping[str, Tensor], sizes: Mapping[str, int] | None = None) -> dict[str, Tensor]:
        """Return what the plan makes, by value; `given` holds its inputs by value."""
        tensors = {**self.weights, **grid.tensors}
        tensors |= {name: grid.view(state) for name, state in self.states.items()}
        tensors |= {name: given[value] for name, value in self.values.items() if name in self.plan.inputs}
        made = self.plan.run(tensors, sizes or grid.sizes)
        return {self.values[name]: tensor for name, tensor in made.items()}


def bind(plan: Plan, part: Block, weights: DeviceWeights, states: States) -> BoundPlan:
    """Return the plan bound to the layer that `part` belongs to."""
    parameters = _parameters(part)
    nodes = {part.local(node.name): node.name for node in part.nodes}
    fixed, kept, values = {}, {}, {}
    for spec in [*plan.inputs.values(), *plan.outputs.values()]:
        if spec.source == "weight":
            parameter, piece = _find(parameters, spec.name)
            fixed[spec.name] = weights.find(parameter, piece)
        elif spec.source == "state" and spec.name in plan.inputs:
            local, _, role = spec.name.rpartition(".")
            kept[spec.name] = states.find(nodes[local], role, spec)
        elif spec.source == "value":
            values[spec.name] = value_name(part, spec.name)
    return BoundPlan(plan, part, fixed, kept, values)


def value_name(part: Block, tensor: str) -> str:
    """Return which value of the graph a plan's tensor is; what only plans pass on is named after the node it is of."""
    kind, _, index = tensor.partition(".")
    if kind in ("in", "out") and index.isdigit():
        return (part.inputs if kind == "in" else part.outputs)[int(index)]
    local, _, role = tensor.rpartition(".")
    owner = next((node for node in part.nodes if part.local(node.name) == local), part.nodes[0])
    return f"{owner.name}.{role}"


def _parameters(part: Block) -> dict[str, ParameterSpec]:
    return {
        f"{part.local(node.name)}.{role}": part.parameters[name]
        for node in part.nodes
        for role, name in node.parameters.items()
    }


def _find(parameters: Mapping[str, ParameterSpec], tensor: str) -> tuple[ParameterSpec, str]:
    if tensor in parameters:
        return parameters[tensor], ""
    name, _, piece = tensor.rpartition(".")
    if name not in parameters:
        raise EngineError(f"a plan reads '{tensor}', which its layer has not", remedy="Rebuild the engine")
    return parameters[name], piece


Open = Callable[[str], Plan]
