"""Weights on the device: packed matrices, those that read one value beside each other, and vectors in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.format.codecs import decode_plain
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.graph import Graph, Node
from trtnemo.graph.ops import Add, Attention, Embedding, Linear, Relu2
from trtnemo.kernels.family import Family
from trtnemo.kernels.weight import PackedWeight, beside, empty_weight, read_bank, read_weight


@dataclass(frozen=True)
class Place:
    """Where a linear's rows lie in a weight that several share."""

    group: str
    offset: int


class Weights:
    """Every weight of some graphs, by the name of the node that uses it and the parameter's role."""

    def __init__(self) -> None:
        self.packed: dict[str, PackedWeight] = {}
        self.vectors: dict[str, Tensor] = {}
        self.places: dict[str, Place] = {}
        self.cache_scales: dict[str, tuple[float, float]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        vectors = sum(vector.nbytes for vector in self.vectors.values())
        return vectors + sum(weight.nbytes for weight in self.packed.values())


# called with a node's name and the bytes of what was loaded for it
Told = Callable[[str, int], None]


def load_weights(
    checkpoint: Checkpoint, graphs: Sequence[Graph], family: Family, device: torch.device, told: Told | None = None
) -> Weights:
    """Return every weight that the graphs name, on the device, matrix by matrix; raises CheckpointError."""
    weights = Weights()
    for graph in graphs:
        for node, matrices in _matrices(graph):
            for names in matrices:
                key = names[0]
                if key not in weights.packed:
                    weights.packed[key] = _packed(checkpoint, graph, names, family, device)
                    if told is not None:
                        told(node.name, weights.packed[key].nbytes)
        for name in _vectors(graph):
            if name not in weights.vectors:
                weights.vectors[name] = _vector(checkpoint, graph, name, device)
        weights.places |= _places(graph)
        weights.cache_scales |= dict(_cache_scales(checkpoint, graph))
    return weights


def empty_weights(graphs: Sequence[Graph], device: torch.device) -> Weights:
    """Return the same without numbers, to compile kernels for."""
    weights = Weights()
    for graph in graphs:
        for _, matrices in _matrices(graph):
            for names in matrices:
                parts = [empty_weight(graph.parameters[name], device) for name in names]
                weights.packed[names[0]] = beside(parts)
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
    checkpoint: Checkpoint, graph: Graph, names: list[str], family: Family, device: torch.device
) -> PackedWeight:
    spec = graph.parameters[names[0]]
    if spec.copies is not None:
        return read_bank(checkpoint, spec, family, device)
    return beside([read_weight(checkpoint, graph.parameters[name], family, device) for name in names])


def _vector(checkpoint: Checkpoint, graph: Graph, name: str, device: torch.device) -> Tensor:
    raw = checkpoint.read(name)
    values = torch.from_numpy(np.array(decode_plain(raw)))
    is_table = any(isinstance(node.op, Embedding) and name in node.parameters.values() for node in graph.nodes)
    kept = torch.bfloat16 if is_table and raw.storage is StorageType.BF16 else torch.float32
    return values.to(kept).to(device)
