"""Scales that are stored otherwise: as the reciprocal, in another shape or type.

Source: compressed-tensors 0.20.1 stores 1/scale of NVFP4 as `weight_global_scale` and `input_global_scale` [1], and
FP8's as `weight_scale` and `input_scale` [1], in the model's type; ModelOpt has float32 scalars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trtnemo.checkpoint.format.codecs import decode_plain
from trtnemo.checkpoint.format.storage import PLAIN, RawTensor, StorageType, TensorInfo
from trtnemo.checkpoint.rewrite.stream.page import Page
from trtnemo.checkpoint.rewrite.stream.piece import NewTensor
from trtnemo.errors import CheckpointError


@dataclass(frozen=True)
class Widened:
    """Plain numbers as float32, of a type that float32 holds exactly; a scale as its reciprocal, or as it is.

    is_scale: one positive number, whose shape becomes ().
    """

    source: TensorInfo
    name: str
    is_scale: bool = True
    is_reciprocal: bool = False

    @property
    def outputs(self) -> tuple[NewTensor, ...]:
        """Return the float32 tensor."""
        return (NewTensor(self.name, StorageType.F32, () if self.is_scale else self.source.shape),)

    @property
    def bytes_read(self) -> int:
        """Return the size of the source."""
        return self.source.size

    def write(self, page: Page) -> None:
        """Write the numbers; raises CheckpointError for a scale that is no positive number."""
        if self.source.storage not in PLAIN or (self.is_scale and self.source.elements != 1):
            raise CheckpointError(f"is {self.source.storage.value} {list(self.source.shape)}", where=self.source.name)
        data = np.concatenate(list(page.parts(self.source)))
        values = decode_plain(RawTensor(self.source.storage, data.view(self.source.storage.raw_dtype)))
        if self.is_scale and not (np.isfinite(values).all() and (values > 0).all()):
            raise CheckpointError("is no positive number", where=f"{self.source.file}: {self.source.name}")
        with np.errstate(over="ignore"):
            values = (1 / values if self.is_reciprocal else values).astype(np.float32)
        if self.is_scale and not np.isfinite(values).all():
            raise CheckpointError("has no reciprocal", where=f"{self.source.file}: {self.source.name}")
        page.put(self.name, values.tobytes())
        page.told(self.source.size)
