"""A graph emitted into the native executor, one small function an op."""

from __future__ import annotations

from typing import Any

from trtnemo.backends.cpu.buffers import LISTS, assign_buffers
from trtnemo.backends.cpu.forms import FORMS, Site, register
from trtnemo.backends.cpu.packed import PackedIndex
from trtnemo.backends.cpu.precision import Precision
from trtnemo.graph import ROWS, Graph, Node, ValueType
from trtnemo.graph.ops import Attention, RmsNorm


def add_graph(builder: Any, graph: Graph, index: PackedIndex, precision: Precision, *, first_layer: int = 0) -> int:
    """Emit a whole graph; return how many attention layers it has. Raises EngineError on an unknown op."""
    site, buffers = Site(builder, graph, index, precision, first_layer), assign_buffers(graph)
    for name, type in {**graph.inputs, **graph.values}.items():
        if name not in LISTS:
            site.values[name] = builder.value(_width(type), buffers[name], type.shape[0] == ROWS)
    for node in graph.nodes:
        emit = FORMS.find(node)
        emit(site, node, node.op, [site.values.get(name, -1) for name in node.inputs], site.values[node.output])
    builder.outputs(
        hidden=site.values[graph.outputs["hidden_states"]],
        logits=site.values[graph.outputs["logits"]],
        hidden_input=site.values.get("hidden_states", 0),
    )
    builder.feeds_cache(_feeds_cache(graph))
    return site.layers


def _feeds_cache(graph: Graph) -> list[bool]:
    """Return for each node whether what later steps read depends on its output; an attention layer keeps its inputs."""
    needed, flags = set[str](), []
    for node in reversed(graph.nodes):
        flags.append(node.output in needed or _has_recurrent_state(node))
        if flags[-1]:
            needed.update(node.inputs)
        elif isinstance(node.op, Attention):
            needed.update(node.inputs[1:])
    return flags[::-1]


def _has_recurrent_state(node: Node) -> bool:
    return any(not state.per_token for state in node.op.states())


def _width(type: ValueType) -> int:
    return int(type.shape[-1])


def embedding(site: Site, node: Node, op: Any, inputs: list[int], output: int) -> None:
    """Rows of a table."""
    name = node.parameters["weight"]
    is_tiled, rows = site.index.tensor(name).form == "tiles", site.graph.parameters[name].shape[0]
    site.builder.embedding(node.name, site.place(name), is_tiled, rows, output)


def rms_norm(site: Site, node: Node, op: RmsNorm, inputs: list[int], output: int) -> None:
    """Rows normalized."""
    site.builder.rms_norm(node.name, inputs[0], site.offset(node, "weight"), op.epsilon, output)


def linear(site: Site, node: Node, op: Any, inputs: list[int], output: int) -> None:
    """Rows times a matrix."""
    site.builder.linear(
        node.name, inputs[0], site.place(node.parameters["weight"]), site.precision.has_wide_activations, output
    )


def relu2(site: Site, node: Node, op: Any, inputs: list[int], output: int) -> None:
    """max(x, 0) squared."""
    site.builder.relu2(node.name, inputs[0], output)


def add(site: Site, node: Node, op: Any, inputs: list[int], output: int) -> None:
    """A sum."""
    site.builder.add(node.name, *inputs, output)


def concat(site: Site, node: Node, op: Any, inputs: list[int], output: int) -> None:
    """Values side by side."""
    site.builder.concat(node.name, inputs, output)


def select_rows(site: Site, node: Node, op: Any, inputs: list[int], output: int) -> None:
    """The rows that the step names."""
    site.builder.select_rows(node.name, inputs[0], output)


def attention(site: Site, node: Node, op: Attention, inputs: list[int], output: int) -> None:
    """Causal attention; each layer has a place of its own in a page."""
    layer = site.first_layer + site.layers
    site.builder.attention(node.name, *inputs, op.query_heads, op.kv_heads, op.head_dim, layer, output)
    site.layers += 1


for _kind, _function in {
    "embedding": embedding,
    "rms_norm": rms_norm,
    "linear": linear,
    "relu2": relu2,
    "add": add,
    "concat": concat,
    "select_rows": select_rows,
    "attention": attention,
}.items():
    register(_kind, _function)
