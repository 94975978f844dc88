"""A graph run node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from torch import Tensor

import trtnemo.backends.cuda.ops  # noqa: F401 - registers the graph's own ops
from trtnemo.backends.cuda.forms import FORMS, Step
from trtnemo.backends.cuda.values import Computed, Value
from trtnemo.graph import Graph, Node


def uses_of(graph: Graph) -> Mapping[str, int]:
    """Return how often each value is read, by nodes and as an output."""
    read = Counter(name for node in graph.nodes for name in node.inputs)
    read.update(graph.outputs.values())
    return read


# called with the graph, a node and its value; what it returns goes on in the value's place
Watch = Callable[[Graph, Node, Value], Value]


def run_graph(graph: Graph, step: Step, inputs: Mapping[str, Tensor], watch: Watch | None = None) -> dict[str, Value]:
    """Return the outputs of a graph by public name, not computed yet; raises EngineError on an op without a form."""
    values: dict[str, Value] = {name: Computed(tensor) for name, tensor in inputs.items()}
    left = dict(step.uses)
    for node in graph.nodes:
        form = FORMS.find(node)
        values[node.output] = form.run(node.op, node, step, [values[name] for name in node.inputs])
        if watch is not None:
            values[node.output] = watch(graph, node, values[node.output])
        for name in node.inputs:
            left[name] = left.get(name, 1) - 1
            if left[name] == 0:
                values.pop(name, None)
    return {name: values[value] for name, value in graph.outputs.items()}
