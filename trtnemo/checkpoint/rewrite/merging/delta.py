"""What one adapter adds to one weight: a product of two matrices, some rows at a time."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import numpy.typing as npt

from trtnemo.checkpoint.format.codecs import decode_plain
from trtnemo.checkpoint.format.storage import RawTensor, TensorInfo
from trtnemo.checkpoint.reading.sources import Sources
from trtnemo.checkpoint.rewrite.merging.adapter import Pair
from trtnemo.errors import CheckpointError

Float32 = npt.NDArray[np.float32]
_KEPT = 4  # matrices of all experts of a layer: two projections, of the layer before and this one


@dataclass
class Matrices:
    """Matrices of adapters as float32; those that all experts of a layer share are kept for the next expert."""

    _kept: OrderedDict[tuple[str, str], Float32] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def read(self, sources: Sources, info: TensorInfo) -> Float32:
        """Return a matrix; raises CheckpointError for NaN or infinity."""
        data = np.empty(info.size, np.uint8)
        sources.read(info, 0, data)
        values = decode_plain(RawTensor(info.storage, data.view(info.storage.raw_dtype))).reshape(info.shape)
        if not np.isfinite(values).all():
            raise CheckpointError("holds NaN or infinity", where=f"{info.file}: {info.name}",
                                  remedy="The training diverged: take an earlier adapter")  # fmt: skip
        return values

    def shared(self, sources: Sources, info: TensorInfo) -> Float32:
        """Return a matrix of all experts, read once for all that come near each other."""
        key = (info.file, info.name)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = self.read(sources, info)
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            return self._kept[key]


@dataclass(frozen=True)
class Delta:
    """A pair that is added to a weight, scaled, or to the weight of one of `experts` experts.

    expert: which one; of a pair that is not fused there is one expert, 0. is_turned: inputs and outputs are the other
    way round, as peft had those of experts until 0.19.0.
    """

    pair: Pair
    matrices: Matrices
    scale: float
    is_turned: bool = False
    expert: int = 0
    experts: int = 1

    def factors(self, sources: Sources) -> tuple[Float32, Float32]:
        """Return left [rows, rank], scaled, and right [rank, columns]: their product is what is added."""
        pair = self.pair
        if self.experts > 1:
            # peft 0.21, ParamWrapper.get_delta_weight: a is [experts, rank, inputs], b is [outputs, rank, experts]
            a = self.matrices.shared(sources, pair.a).reshape(self.experts, -1, pair.a.shape[1])[self.expert]
            b = self.matrices.shared(sources, pair.b).reshape(pair.b.shape[0], -1, self.experts)[:, :, self.expert]
        else:
            a, b = self.matrices.read(sources, pair.a), self.matrices.read(sources, pair.b)
        left, right = (a.T, b.T) if pair.is_embedding or self.is_turned else (b, a)
        return np.ascontiguousarray(left) * np.float32(self.scale), np.ascontiguousarray(right)

    def magnitude(self, sources: Sources) -> Float32 | None:
        """Return the length that each row was trained to have, where the adapter has them (DoRA)."""
        return None if self.pair.magnitude is None else self.matrices.read(sources, self.pair.magnitude).reshape(-1, 1)
