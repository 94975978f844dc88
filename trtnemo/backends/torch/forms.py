"""Ops in torch: the table that the reference executor runs a graph by; a plugin's `torch.py` adds its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from trtnemo.backends.op_table import OpTable
from trtnemo.backends.step import Segment
from trtnemo.backends.torch.state import SlotState, State
from trtnemo.backends.torch.weights import Weight, Weights
from trtnemo.errors import EngineError
from trtnemo.graph import Node


@dataclass
class StepContext:
    """What ops read besides their inputs: weights, the step's segments, and each segment's slot state.

    `new_states` and `kept_rows` collect what a step would change, by slot and node, so that the executor decides what
    to keep: states after a segment, and the rows that an op read.
    """

    weights: Weights
    segments: Sequence[Segment]
    slots: Sequence[SlotState]
    new_states: dict[tuple[int, str], State] = field(default_factory=dict)
    kept_rows: dict[tuple[int, str], Tensor] = field(default_factory=dict)

    def weight(self, node: Node, role: str) -> Weight:
        """Return a single weight of the node."""
        return single_weight(self.weights, node, role)

    def bank(self, node: Node, role: str) -> Sequence[Weight]:
        """Return a weight per expert."""
        found = self.weights[node.parameters[role]]
        return (found,) if isinstance(found, Weight) else found


def single_weight(weights: Weights, node: Node, role: str) -> Weight:
    """Return a weight of a node that is not a bank; raises EngineError."""
    found = weights[node.parameters[role]]
    if not isinstance(found, Weight):
        raise EngineError(f"{node.name}: {role} is a bank, not one weight")
    return found


OpFunction = Callable[[Any, Node, StepContext, list[Tensor]], Tensor]
# (op, parameters, rows kept of a segment under verification, state before) -> state after
Advance = Callable[[Any, Mapping[str, Tensor], Tensor, State | None], State]


@dataclass(frozen=True)
class TorchForm:
    """How an op runs, and how its state moves over accepted rows where it has one."""

    run: OpFunction
    advance: Advance | None = None


FORMS: OpTable[TorchForm] = OpTable("torch", "torch")


def register(kind: str, run: OpFunction, advance: Advance | None = None) -> None:
    """Add the form of an op; raises ValueError where the kind has one."""
    FORMS.register(kind, TorchForm(run, advance))
