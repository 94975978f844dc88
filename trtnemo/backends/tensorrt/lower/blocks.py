"""A graph cut into blocks, named so that equal blocks of different layers are equal."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import groupby

from pydantic import BaseModel, ConfigDict, PrivateAttr

from trtnemo.backends.tensorrt.lower.forms import FORMS
from trtnemo.backends.tensorrt.lower.settings import Phase
from trtnemo.graph import Graph, Node, ParameterSpec, ValueType
from trtnemo.graph.ops import Attention, Concat, Embedding, Linear, RmsNorm, SelectRows

_INDICES = ("token_ids", "logit_rows")
GROUPED = "experts"  # the block of an op whose rows are grouped on the host
_LAYER = re.compile(r"^(?:.*\.)?layers\.\d+(?=\.|$)")


class Block(BaseModel):
    """Nodes of a graph that run together, by name: `kind` says what they are, `path` is the layer.

    `inputs` and `outputs` are values; `plan` is the name of the network that runs the block, once that is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    path: str
    names: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    plan: str = ""
    _graph: Graph = PrivateAttr()

    def of(self, graph: Graph) -> Block:
        """Return this block of a graph; an index has none with it."""
        block = self.model_copy()
        block._graph = graph
        return block

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes, in the order they run; raises KeyError on a name that the graph has not."""
        return tuple(self._graph.by_name[name] for name in self.names)

    @cached_property
    def parameters(self) -> Mapping[str, ParameterSpec]:
        """The spec of every parameter, by name."""
        return {name: self._graph.parameters[name] for node in self.nodes for name in node.parameters.values()}

    @cached_property
    def types(self) -> Mapping[str, ValueType]:
        """The type of every value read or written, by name."""
        names = {name for node in self.nodes for name in (*node.inputs, node.output)}
        return {name: self._graph.inputs.get(name) or self._graph.values[name] for name in names}

    def local(self, name: str) -> str:
        """Return a node's name without the layer it belongs to."""
        layer = _LAYER.match(name)
        return name[layer.end() + 1 :] if layer else name.rpartition(".")[2]

    def signature(self) -> str:
        """Return what two blocks must share to run from one plan: everything but names of layers and values."""
        names = {name: f"in.{index}" for index, name in enumerate(self.inputs)}
        names |= {node.output: self.local(node.name) for node in self.nodes}
        nodes = []
        for node in self.nodes:
            specs = {role: self.parameters[name] for role, name in sorted(node.parameters.items())}
            nodes.append(
                {
                    "name": self.local(node.name),
                    "op": {"kind": node.op.kind, **node.op.model_dump(mode="json")},
                    "inputs": [names.get(name, name) for name in node.inputs],
                    "parameters": {
                        role: spec.model_dump(mode="json", exclude={"name"}) for role, spec in specs.items()
                    },
                }
            )
        types = [self.types[name].model_dump(mode="json") for name in self.inputs]
        outputs = [names[name] for name in self.outputs]
        return json.dumps({"nodes": nodes, "types": types, "outputs": outputs}, sort_keys=True)

    def digest(self, *more: str) -> str:
        """Return a short digest of the signature and what else the plan depends on."""
        return hashlib.sha256("\n".join([self.signature(), *more]).encode()).hexdigest()[:10]


def split(graph: Graph, phase: Phase) -> list[Block]:
    """Return the blocks of a graph in order.

    What leads to attention is a block of its own: a query that is computed in the plan of its attention keeps that
    attention from being fused. In a prefill the routed experts are one too, since tokens are grouped before them.
    """
    cuts = list(_cut(graph, phase))
    wanted = set(graph.outputs.values())
    blocks = []
    for index, (kind, path, nodes) in enumerate(cuts):
        written = {node.output for node in nodes}
        later = {name for _, _, following in cuts[index + 1 :] for node in following for name in node.inputs}
        # a step's indices are not values: they have inputs of their own
        read = [name for node in nodes for name in node.inputs if name not in written and name not in _INDICES]
        block = Block(
            kind=kind,
            path=path,
            names=tuple(node.name for node in nodes),
            inputs=tuple(dict.fromkeys(read)),
            outputs=tuple(node.output for node in nodes if node.output in later | wanted),
        )
        blocks.append(block.of(graph))
    return blocks


def alone(block: Block, node: Node) -> Block:
    """Return a block of one node of another."""
    part = Block(kind=block.kind, path=block.path, names=(node.name,), inputs=node.inputs, outputs=(node.output,))
    return part.of(block._graph)


def _cut(graph: Graph, phase: Phase) -> Iterator[tuple[str, str, list[Node]]]:
    for path, group in groupby(graph.nodes, key=_place):
        nodes = list(group)
        prefix = "mtp-" if any(isinstance(node.op, Concat) for node in nodes) else ""
        ops = [type(node.op) for node in nodes]
        if Attention in ops:
            middle = ops.index(Attention)
            yield f"{prefix}qkv", path, nodes[:middle]
            yield "attention", path, nodes[middle:]
        elif phase == "prefill" and any(map(_is_grouped, nodes)):
            middle = [_is_grouped(node) for node in nodes].index(True)
            yield f"{prefix}router", path, nodes[:middle]
            yield GROUPED, path, nodes[middle : middle + 1]
            if nodes[middle + 1 :]:
                yield f"{GROUPED}-out", path, nodes[middle + 1 :]
        else:
            yield prefix + _kind(nodes), path, nodes


def _kind(nodes: list[Node]) -> str:
    """Return what a layer is called: by a plugin's op in it, or by what else is in it."""
    named = [form.block for node in nodes if (form := FORMS.look_up(node)) is not None and form.block is not None]
    ops = {type(node.op) for node in nodes}
    plain = ((Embedding, "embedding"), (SelectRows, "logits"), (Linear, "mlp"), (RmsNorm, "norm"))
    return next(iter([*named, *(kind for op, kind in plain if op in ops)]), "mlp")


def _is_grouped(node: Node) -> bool:
    form = FORMS.look_up(node)
    return form is not None and bool(form.grouped)


def _place(node: Node) -> str:
    layer = _LAYER.match(node.name)
    if layer:
        return layer.group()
    if isinstance(node.op, Embedding | RmsNorm):
        return node.name
    return "logits"
