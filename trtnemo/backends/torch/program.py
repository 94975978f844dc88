"""A graph run node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

import trtnemo.backends.torch.ops  # noqa: F401 - registers the graph's own ops
from trtnemo.backends.torch.forms import FORMS, StepContext
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
        form = FORMS.find(node)
        values[node.output] = form.run(node.op, node, context, [values[name] for name in node.inputs])
        if watch is not None:
            watch(graph.name, node.output, values[node.output])
        for name in node.inputs:
            if last_use[name] == index and name not in kept:
                values.pop(name, None)
    return {name: values[value] for name, value in graph.outputs.items()}
