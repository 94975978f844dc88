"""A graph run node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from trtnemo.backends.torch.ops import OPS, StepContext
from trtnemo.errors import EngineError
from trtnemo.graph import Graph

# called with the graph's name, a value's name and the value, when a node has made it
Watch = Callable[[str, str, Tensor], None]


def run_graph(
    graph: Graph, context: StepContext, inputs: Mapping[str, Tensor], watch: Watch | None = None
) -> dict[str, Tensor]:
    """Return the outputs of a graph by public name; raises EngineError on an op without a torch form."""
    values = dict(inputs)
    last_use = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    kept = set(graph.outputs.values())
    for index, node in enumerate(graph.nodes):
        function = OPS.get(node.op.kind)
        if function is None:
            raise EngineError(f"op '{node.op.kind}' has no torch form", where=node.name)
        values[node.output] = function(node.op, node, context, [values[name] for name in node.inputs])
        if watch is not None:
            watch(graph.name, node.output, values[node.output])
        for name in node.inputs:
            if last_use[name] == index and name not in kept:
                values.pop(name, None)
    return {name: values[value] for name, value in graph.outputs.items()}
