"""Weights that are decoded when a node asks for them, and held by nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import overload

import numpy as np
import torch
from torch import Tensor

from trtnemo.backends.torch.weights import Weight, load_weight
from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.graph import Graph, ParameterSpec

# called with a module's name and each input of its product
Heard = Callable[[str, Tensor], None]


class StreamedWeights(Mapping[str, Weight | Sequence[Weight]]):
    """The parameters of a graph, read from the checkpoint each time; experts one by one."""

    def __init__(self, checkpoint: Checkpoint, graph: Graph, heard: Heard | None = None) -> None:
        self._checkpoint, self._graph, self._heard = checkpoint, graph, heard

    def __getitem__(self, name: str) -> Weight | Sequence[Weight]:
        spec = self._graph.parameters[name]
        return self.load(spec) if spec.copies is None else _Bank(self, spec.members())

    def __iter__(self) -> Iterator[str]:
        return iter(self._graph.parameters)

    def __len__(self) -> int:
        return len(self._graph.parameters)

    def load(self, spec: ParameterSpec) -> Weight:
        """Return one weight; raises CheckpointError."""
        weight = load_weight(self._checkpoint, spec)
        return weight if self._heard is None else replace(weight, heard=partial(self._heard, spec.module))

    def embedding(self, name: str, token_ids: Tensor) -> Tensor:
        """Return rows of a plain table as float32, without decoding the others."""
        info = self._checkpoint.tensors[name]
        if info.storage is not StorageType.BF16 or info.offset % 2:
            return load_weight(self._checkpoint, self._graph.parameters[name]).values[token_ids]
        table = np.memmap(info.file, np.uint16, "r", info.offset, info.shape)
        rows: Tensor = torch.from_numpy(table[token_ids.numpy()].astype(np.int32) << 16)
        return rows.view(torch.float32)


class _Bank(Sequence[Weight]):
    def __init__(self, weights: StreamedWeights, members: list[ParameterSpec]) -> None:
        self._weights, self._members = weights, members

    @overload
    def __getitem__(self, index: int) -> Weight: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Weight]: ...
    def __getitem__(self, index: int | slice) -> Weight | Sequence[Weight]:
        if isinstance(index, slice):
            return _Bank(self._weights, self._members[index])
        return self._weights.load(self._members[index])

    def __len__(self) -> int:
        return len(self._members)
