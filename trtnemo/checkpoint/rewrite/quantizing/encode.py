"""A tensor that is copied or quantized: its source is read a part at a time, and codes and scales are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE, WeightFormat
from trtnemo.checkpoint.format.codecs import E2M1_MAX, E4M3_MAX
from trtnemo.checkpoint.format.encoder import SCALE_MAX, Search, encode_fp8, encode_nvfp4, largest_magnitude
from trtnemo.checkpoint.format.storage import PLAIN, TensorInfo
from trtnemo.checkpoint.rewrite.stream.page import Page
from trtnemo.checkpoint.rewrite.stream.piece import NewTensor
from trtnemo.errors import CheckpointError


@dataclass(frozen=True)
class Quantized:
    """One tensor of the source and what is made of it: a copy, or codes and scales.

    outputs: the weight, then its scales, as `family/layout.py` has them; constants: scalars that are known beforehand,
    by name; together: the sources that share one scale, itself among them.
    """

    source: TensorInfo
    format: WeightFormat
    outputs: tuple[NewTensor, ...]
    constants: Mapping[str, float] = field(default_factory=dict)
    together: tuple[TensorInfo, ...] = ()
    search: Search = "max"

    @property
    def bytes_read(self) -> int:
        """Return the size of the source."""
        return self.source.size

    def write(self, page: Page) -> None:
        """Write all of it; raises CheckpointError for a weight with infinity or NaN, and for a source that shrank."""
        for name, value in self.constants.items():
            page.put(name, np.float32(value).tobytes())
        if self.format is WeightFormat.PLAIN:
            self._copy(page)
            return
        largest = max(_largest(info, page) for info in self.together)
        if self.format is WeightFormat.FP8:
            self._write_fp8(page, _positive(largest / E4M3_MAX))
        else:
            self._write_nvfp4(page, _positive(largest / (E2M1_MAX * SCALE_MAX[self.search])))

    def _copy(self, page: Page) -> None:
        place = 0
        for part in page.parts(self.source):
            page.put(self.outputs[0].name, part.data, place)
            place += len(part)
            page.told(len(part))

    def _write_fp8(self, page: Page, scale: np.float32) -> None:
        storage, name, place = self.source.storage, self._output(".weight"), 0
        for part in page.parts(self.source):
            codes = page.buffers.take("codes", len(part) // storage.itemsize)
            encode_fp8(part, storage, scale, codes)
            page.put(name, codes.data, place)
            place += len(codes)
            page.told(len(part))
        page.put(self._output(".weight_scale"), scale.tobytes())

    def _write_nvfp4(self, page: Page, scale_2: np.float32) -> None:
        storage, name, scale_name = self.source.storage, self._output(".weight"), self._output(".weight_scale")
        place = scale_place = 0
        for part in page.parts(self.source):
            count = len(part) // storage.itemsize
            packed = page.buffers.take("codes", count // 2)
            scales = page.buffers.take("scales", count // BLOCK_SIZE)
            encode_nvfp4(part, storage, scale_2, packed, scales, self.search)
            page.put(name, packed.data, place)
            page.put(scale_name, scales.data, scale_place)
            place, scale_place = place + len(packed), scale_place + len(scales)
            page.told(len(part))
        page.put(self._output(".weight_scale_2"), scale_2.tobytes())

    def _output(self, ending: str) -> str:
        """Return the name of the output that ends so."""
        return next(output.name for output in self.outputs if output.name.endswith(ending))


def _largest(info: TensorInfo, page: Page) -> np.float32:
    if info.storage not in PLAIN:
        raise CheckpointError(f"is {info.storage.value}, and only plain weights are quantized", where=info.name)
    largest = max((largest_magnitude(part, info.storage) for part in page.parts(info)), default=np.float32(0))
    if not np.isfinite(largest):
        raise CheckpointError(
            "holds infinity or NaN, which no scale can carry",
            where=f"{info.file}: {info.name}",
            remedy="`trtnemo check` the source, and download the shard again",
        )
    return largest


def _positive(scale: np.float32) -> np.float32:
    """Return a scale, or 1 where all numbers are 0: ModelOpt divides by 0 there, and stores what is no number."""
    return scale if scale > 0 else np.float32(1)
