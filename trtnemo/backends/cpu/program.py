"""A graph emitted into the native executor, one small function an op."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trtnemo.backends.cpu.buffers import LISTS, assign_buffers
from trtnemo.backends.cpu.packed import PackedIndex
from trtnemo.backends.cpu.precision import Precision
from trtnemo.errors import EngineError
from trtnemo.graph import ROWS, Graph, Node, ValueType
from trtnemo.graph.ops import Attention, RmsNorm
from trtnemo.native import require_native
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.mamba2.op import Mamba2


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


def add_graph(builder: Any, graph: Graph, index: PackedIndex, precision: Precision, *, first_layer: int = 0) -> int:
    """Emit a whole graph; return how many attention layers it has. Raises EngineError on an unknown op."""
    site, buffers = Site(builder, graph, index, precision, first_layer), assign_buffers(graph)
    for name, type in {**graph.inputs, **graph.values}.items():
        if name not in LISTS:
            site.values[name] = builder.value(_width(type), buffers[name], type.shape[0] == ROWS)
    for node in graph.nodes:
        function = OPS.get(node.op.kind)
        if function is None:
            raise EngineError(f"op '{node.op.kind}' has no native form", where=node.name)
        function(site, node, node.op, [site.values.get(name, -1) for name in node.inputs], site.values[node.output])
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
        flags.append(node.output in needed or isinstance(node.op, Mamba2))
        if flags[-1]:
            needed.update(node.inputs)
        elif isinstance(node.op, Attention):
            needed.update(node.inputs[1:])
    return flags[::-1]


def _width(type: ValueType) -> int:
    return int(type.shape[-1])


OpFunction = Callable[[Site, Node, Any, list[int], int], None]


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


def mamba2(site: Site, node: Node, op: Mamba2, inputs: list[int], output: int) -> None:
    """The mamba2 plugin."""
    roles = ("conv_weight", "A_log", "D", "dt_bias", "norm_weight")
    site.builder.mamba2(
        node.name,
        inputs[0],
        sizes=[op.heads, op.head_dim, op.groups, op.state_size, op.kernel],
        epsilon=op.epsilon,
        offsets=[site.offset(node, role) for role in roles],
        bias_offset=site.offset(node, "conv_bias") if "conv_bias" in node.parameters else None,
        half_state=site.precision.has_half_state,
        output=output,
    )


def latent_moe(site: Site, node: Node, op: LatentMoe, inputs: list[int], output: int) -> None:
    """The latent_moe plugin."""
    site.builder.latent_moe(
        node.name,
        *inputs,
        [op.experts, op.top_k, op.groups, op.top_groups],
        op.normalize,
        op.scaling_factor,
        site.offset(node, "correction_bias"),
        site.bank(node.parameters["up"]),
        site.bank(node.parameters["down"]),
        site.precision.has_wide_activations,
        output,
    )


OPS: dict[str, OpFunction] = {
    "embedding": embedding,
    "rms_norm": rms_norm,
    "linear": linear,
    "relu2": relu2,
    "add": add,
    "concat": concat,
    "select_rows": select_rows,
    "attention": attention,
    "mamba2": mamba2,
    "latent_moe": latent_moe,
}
