"""How many bytes of weights a run of a plan reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from trtnemo.backends.tensorrt.lower.networks import NetworkSpec
from trtnemo.graph.ops import Embedding
from trtnemo.trt.tensor_spec import TensorSpec


class Reading(NamedTuple):
    """Bytes that every run reads, bytes of one expert, how many experts there are, and how many a token reads."""

    dense_bytes: int
    expert_bytes: int
    experts: int
    experts_per_token: int


def count_weights(spec: NetworkSpec, inputs: Iterable[TensorSpec]) -> Reading:
    """Return what a network reads of its weights; of an embedding only rows are, which count as nothing."""
    if any(isinstance(node.op, Embedding) for node in spec.block.nodes):
        return Reading(0, 0, 0, 0)
    banks = {
        f"{spec.block.local(node.name)}.{role}": node.op
        for node in spec.block.nodes
        for role in node.parameters
        if node.op.routed is not None and spec.block.parameters[node.parameters[role]].copies is not None
    }
    dense = bank = 0
    routed = (0, 0)
    for tensor in inputs:
        if tensor.source != "weight":
            continue
        size = tensor.element.nbytes(tensor.shape({}))
        owner = banks.get(tensor.name.rpartition(".")[0])
        if owner is None:
            dense += size
        else:
            routed = owner.routed or routed
            bank += size // int(tensor.dims[0])
    return Reading(dense, bank, *routed)
