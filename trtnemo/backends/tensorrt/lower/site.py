"""Where ops are written: a network, the block that it is written from, and what both are built for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trtnemo.backends.tensorrt.lower.blocks import Block
from trtnemo.backends.tensorrt.lower.settings import Phase, Settings
from trtnemo.graph import Node
from trtnemo.trt.element import Element
from trtnemo.trt.step_inputs import StepInputs
from trtnemo.trt.weight import StoredWeight, declare_weight, with_input_scale
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

    def value(self, tensor: str, name: str) -> ITensor:
        """Declare a value of the graph as an input."""
        type = self.block.types[name]
        return self.net.input(tensor, self.settings.element(type.dtype), ("T", type.width), "value")
