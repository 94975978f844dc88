"""In which element type the checkpoint stores what is not quantized: plans read it as it lies."""

from __future__ import annotations

from collections.abc import Iterable

from trtnemo.checkpoint import Checkpoint, WeightFormat
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.errors import CheckpointError
from trtnemo.graph import Graph
from trtnemo.trt.element import Element

_ELEMENTS = {
    StorageType.BF16: Element.BFLOAT16,
    StorageType.F16: Element.FLOAT16,
    StorageType.F32: Element.FLOAT32,
}


def stored_elements(checkpoint: Checkpoint, graphs: Iterable[Graph]) -> dict[str, Element]:
    """Return the element type of every unquantized parameter; raises CheckpointError on one that is not a float."""
    found = {}
    for graph in graphs:
        for name, spec in graph.parameters.items():
            if spec.format is not WeightFormat.PLAIN:
                continue
            storages = {checkpoint.tensors[member.name].storage for member in spec.members()}
            if len(storages) > 1 or not storages <= _ELEMENTS.keys():
                kinds = ", ".join(sorted(storage.value for storage in storages))
                raise CheckpointError(f"is stored as {kinds}, which no plan reads", where=name)
            found[name] = _ELEMENTS[storages.pop()]
    return found


def formats(graphs: Iterable[Graph]) -> set[WeightFormat]:
    """Return every format that a parameter of the graphs is stored in."""
    return {spec.format for graph in graphs for spec in graph.parameters.values()}
