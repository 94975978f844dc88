"""How ops are emitted into the native executor: a table that plugins add to by their `native.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trtnemo.backends.cpu.packed import PackedIndex
from trtnemo.backends.cpu.precision import Precision
from trtnemo.backends.op_table import OpTable
from trtnemo.graph import Graph, Node
from trtnemo.native import require_native


@dataclass
class Site:
    """Where a graph is being emitted: builder, graph, weights, element types, values by number, attention layers."""

    builder: Any
    graph: Graph
    index: PackedIndex
    precision: Precision
    first_layer: int
    values: dict[str, int] = field(default_factory=dict)
    layers: int = 0

    def place(self, name: str) -> Any:
        """Return one matrix of the packed file, for the builder."""
        found = self.index.tensor(name)
        return require_native().WeightPlace(found.format, found.rows, found.columns, found.offset, found.scales[0])

    def bank(self, name: str) -> Any:
        """Return a matrix for each expert."""
        found, native = self.index.tensor(name), require_native()
        first = native.WeightPlace(found.format, found.rows, found.columns, found.offset, 1.0)
        return native.BankPlace(first, found.stride, list(found.scales))

    def offset(self, node: Node, role: str) -> int:
        """Return where a node's vector starts."""
        return self.index.tensor(node.parameters[role]).offset

    def op(
        self,
        node: Node,
        inputs: Sequence[int],
        output: int,
        *,
        sizes: Mapping[str, int],
        numbers: Mapping[str, float] | None = None,
        vectors: Iterable[str] = (),
        matrices: Iterable[str] = (),
        banks: Iterable[str] = (),
    ) -> None:
        """Emit an op that has registered itself in C++ under its kind; roles name the node's parameters."""
        self.builder.op(
            node.op.kind,
            node.name,
            list(inputs),
            output,
            sizes=dict(sizes),
            numbers=dict(numbers or {}),
            vectors={role: self.offset(node, role) for role in vectors if role in node.parameters},
            matrices={role: self.place(node.parameters[role]) for role in matrices},
            banks={role: self.bank(node.parameters[role]) for role in banks},
        )


# (site, node, op, numbers of the inputs' values, number of the output's)
OpFunction = Callable[[Site, Node, Any, list[int], int], None]
FORMS: OpTable[OpFunction] = OpTable("native", "native")
register = FORMS.register
