"""A checkpoint on disk: its network, its quantization map, and its tensors by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trtnemo.checkpoint.config import ModelConfig, parse_config
from trtnemo.checkpoint.header import read_header
from trtnemo.checkpoint.json_file import read_json_object
from trtnemo.checkpoint.quantization import QuantizationMap, read_quantization
from trtnemo.checkpoint.source import locate_checkpoint
from trtnemo.checkpoint.storage import RawTensor, TensorInfo
from trtnemo.errors import CheckpointError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


class Checkpoint:
    """An opened checkpoint; weights stay on disk until `read` maps them.

    Attributes: `directory`, `raw_config` (config.json as it stands), `config`, `quantization`, `tensors` (by name).
    """

    def __init__(self, directory: Path, raw_config: dict[str, Any], tensors: dict[str, TensorInfo]) -> None:
        self.directory = directory
        self.raw_config = raw_config
        self.tensors = tensors
        self.config: ModelConfig = parse_config(raw_config, str(directory / "config.json"))
        self.quantization: QuantizationMap = read_quantization(directory, raw_config)
        self._mapped: dict[str, np.memmap[Any, np.dtype[np.uint8]]] = {}

    @classmethod
    def open(cls, name: str | Path, revision: str | None = None) -> Checkpoint:
        """Open a directory, hub id or `tiny`; reads json files and headers only. Raises CheckpointError."""
        directory = locate_checkpoint(str(name), revision)
        raw_config = read_json_object(directory / "config.json")
        return cls(directory, raw_config, read_headers(directory))

    def read(self, name: str) -> RawTensor:
        """Return the bits of a tensor, mapped from its file; raises CheckpointError when it is not there."""
        info = self.tensors.get(name)
        if info is None:
            raise CheckpointError(f"tensor {name} is missing", where=str(self.directory))
        if info.size == 0:
            return RawTensor(info.storage, np.empty(info.shape, info.storage.raw_dtype))
        if info.file not in self._mapped:
            self._mapped[info.file] = np.memmap(info.file, dtype=np.uint8, mode="r")
        data = self._mapped[info.file][info.offset : info.offset + info.size]
        if data.nbytes != info.size:
            raise CheckpointError("shrank after it was opened", where=info.file)
        # An odd header length leaves tensors unaligned; numpy reads those through a copy.
        return RawTensor(info.storage, np.frombuffer(data.tobytes(), info.storage.raw_dtype).reshape(info.shape))

    @property
    def shards(self) -> list[Path]:
        """The weight files, in name order."""
        return sorted({Path(info.file) for info in self.tensors.values()})

    @property
    def total_bytes(self) -> int:
        """Bytes of all tensors, headers not counted."""
        return sum(info.size for info in self.tensors.values())


def read_headers(directory: Path) -> dict[str, TensorInfo]:
    """Return all tensors of a single or sharded checkpoint; raises CheckpointError."""
    index = directory / INDEX
    if not index.is_file():
        if not (directory / SINGLE).is_file():
            raise CheckpointError(f"holds neither {SINGLE} nor {INDEX}", where=str(directory))
        return read_header(directory / SINGLE)
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError("has no 'weight_map'", where=str(index))
    tensors: dict[str, TensorInfo] = {}
    for shard in sorted(set(map(str, weight_map.values()))):
        if Path(shard).name != shard or not (directory / shard).is_file():
            raise CheckpointError(f"names the shard {shard!r}, which is not in the directory", where=str(index))
        for name, info in read_header(directory / shard).items():
            if name in tensors:
                raise CheckpointError(f"tensor {name} stands in two shards", where=str(directory))
            tensors[name] = info
    _check_index(index, weight_map, tensors)
    return tensors


def _check_index(index: Path, weight_map: dict[str, Any], tensors: dict[str, TensorInfo]) -> None:
    for name, shard in weight_map.items():
        if name not in tensors:
            raise CheckpointError(f"names the tensor {name}, which no shard holds", where=str(index))
        if Path(tensors[name].file).name != shard:
            raise CheckpointError(
                f"puts {name} into {shard}, but it is in {Path(tensors[name].file).name}", where=str(index)
            )
