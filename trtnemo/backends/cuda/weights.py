"""Weights on the device: packed matrices, those that read one value beside each other, and vectors in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trtnemo.checkpoint import Checkpoint, WeightFormat
from trtnemo.checkpoint.format.codecs import decode_plain
from trtnemo.graph import Graph, Node
from trtnemo.graph.ops import Add, Attention, Embedding, Linear, Relu2
from trtnemo.kernels.family import Family
from trtnemo.kernels.weight import PackedWeight, as_fp8, beside, empty_weight, plain_tensor, read_bank, read_weight


@dataclass(frozen=True)
class Place:
    """Where a linear's rows lie in a weight that several share."""

    group: str
    offset: int


class Weights:
    """Every weight of some graphs, by the parameter's name; a draft head's own copies, by its graph's besides."""

    def __init__(self) -> None:
        self.packed: dict[str, PackedWeight] = {}
        self.vectors: dict[str, Tensor] = {}
        self.places: dict[str, Place] = {}
        self.cache_scales: dict[str, tuple[float, float]] = {}

    def matrix(self, graph: str, name: str) -> PackedWeight:
        """Return the matrix that a graph's node means by a parameter's name."""
        return self.packed.get(_key(graph, name)) or self.packed[name]

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        vectors = sum(vector.nbytes for vector in self.vectors.values())
        return vectors + sum(weight.nbytes for weight in self.packed.values())


# called with a node's name and the bytes of what was loaded for it
Told = Callable[[str, int], None]


def load_weights(
    checkpoint: Checkpoint,
    graphs: Sequence[Graph],
    family: Family,
    device: torch.device,
    told: Told | None = None,
    *,
    fp8_drafts: bool = False,
) -> Weights:
    """Return every weight that the graphs name, on the device, matrix by matrix; raises CheckpointError.

    fp8_drafts: the draft head reads copies in FP8 where it would read most: of the vocabulary's matrix and of experts.
    """
    weights = Weights()
    for graph in graphs:
        copied = _copied(graph) if fp8_drafts else set()
        for node, matrices in _matrices(graph):
            for names in matrices:
                is_copy = names[0] in copied
                key = _key(graph.name, names[0]) if is_copy else names[0]
                if key not in weights.packed:
                    weights.packed[key] = _packed(checkpoint, graph, names, family, device, in_fp8=is_copy)
                    if told is not None:
                        told(node.name, weights.packed[key].nbytes)
        for name in _vectors(graph):
            if name not in weights.vectors:
                weights.vectors[name] = _vector(checkpoint, graph, name, device)
        weights.places |= _places(graph)
        weights.cache_scales |= dict(_cache_scales(checkpoint, graph))
    return weights


def empty_weights(graphs: Sequence[Graph], device: torch.device, *, fp8_drafts: bool = False) -> Weights:
    """Return the same without numbers, to compile kernels for."""
    weights = Weights()
    for graph in graphs:
        copied = _copied(graph) if fp8_drafts else set()
        for _, matrices in _matrices(graph):
            for names in matrices:
                specs = [graph.parameters[name] for name in names]
                if names[0] in copied:
                    specs = [spec.model_copy(update={"format": WeightFormat.FP8}) for spec in specs]
                key = _key(graph.name, names[0]) if names[0] in copied else names[0]
                weights.packed[key] = beside([empty_weight(spec, device) for spec in specs])
        for name in _vectors(graph):
            weights.vectors[name] = torch.empty(graph.parameters[name].shape, device=device)
        weights.places |= _places(graph)
    return weights


def neighbours(graph: Graph) -> dict[str, list[Node]]:
    """Return linears of one format that read one value, by the name of the first; none that another op ends."""
    fused = {name for node in graph.nodes if isinstance(node.op, Relu2 | Add) for name in node.inputs}
    groups: dict[tuple[object, ...], list[Node]] = {}
    for node in graph.nodes:
        if isinstance(node.op, Linear) and node.output not in fused:
            spec = graph.parameters[node.parameters["weight"]]
            groups.setdefault((node.inputs[0], spec.format, node.op.columns), []).append(node)
    return {nodes[0].name: nodes for nodes in groups.values()}


def _key(graph: str, name: str) -> str:
    return f"{graph}:{name}"


def _copied(graph: Graph) -> set[str]:
    """Return the plain matrices that a draft head may read copies of: of its logits, and banks of experts."""
    if "hidden_states" not in graph.inputs:
        return set()
    names = [name for name, spec in graph.parameters.items() if spec.copies is not None]
    makers = {node.output: node for node in graph.nodes}
    last = makers[graph.outputs["logits"]]
    if isinstance(last.op, Linear):
        names.append(last.parameters["weight"])
    return {name for name in names if graph.parameters[name].format is WeightFormat.PLAIN}


def _places(graph: Graph) -> dict[str, Place]:
    places = {}
    for first, nodes in neighbours(graph).items():
        offset = 0
        for node in nodes:
            places[f"{graph.name}/{node.name}"] = Place(f"{graph.name}/{first}", offset)
            offset += -(-graph.parameters[node.parameters["weight"]].shape[0] // 64) * 64
    return places


def _matrices(graph: Graph) -> Iterator[tuple[Node, list[list[str]]]]:
    """Yield nodes with the parameters of each matrix of theirs; several of one list lie beside each other."""
    groups = neighbours(graph)
    grouped = {node.name for nodes in groups.values() for node in nodes}
    for node in graph.nodes:
        if node.name in groups:
            yield node, [[member.parameters["weight"] for member in groups[node.name]]]
        elif node.name not in grouped:
            roles = getattr(node.op, "matrix_roles", ())
            yield node, [[node.parameters[role]] for role in roles]


def _vectors(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        matrices = getattr(node.op, "matrix_roles", ())
        yield from (name for role, name in node.parameters.items() if role not in matrices)


def _cache_scales(checkpoint: Checkpoint, graph: Graph) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield attention's nodes with the scales of FP8 keys and values, where the checkpoint has them."""
    makers = {node.output: node for node in graph.nodes}
    for node in graph.nodes:
        if isinstance(node.op, Attention):
            modules = [makers[name].parameters["weight"].removesuffix(".weight") for name in node.inputs[1:]]
            names = [f"{module}.{part}_scale" for module, part in zip(modules, "kv", strict=True)]
            if all(name in checkpoint.tensors for name in names):
                keys, values = (float(decode_plain(checkpoint.read(name)).reshape(())) for name in names)
                yield node.name, (keys, values)


def _packed(
    checkpoint: Checkpoint, graph: Graph, names: list[str], family: Family, device: torch.device, *, in_fp8: bool
) -> PackedWeight:
    spec = graph.parameters[names[0]]
    if spec.copies is not None:
        return read_bank(checkpoint, spec, family, device, in_fp8=in_fp8)
    found = beside([read_weight(checkpoint, graph.parameters[name], family, device) for name in names])
    return as_fp8(found, family) if in_fp8 else found


def _vector(checkpoint: Checkpoint, graph: Graph, name: str, device: torch.device) -> Tensor:
    values = plain_tensor(checkpoint.read(name))
    is_table = any(isinstance(node.op, Embedding) and name in node.parameters.values() for node in graph.nodes)
    return values.to(device) if is_table else values.to(device).float()
