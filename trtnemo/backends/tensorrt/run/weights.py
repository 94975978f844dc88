"""Weights on the device in the checkpoint's own bits: each stored once, whichever plans read it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.format.codecs import decode_plain
from trtnemo.checkpoint.format.storage import RawTensor
from trtnemo.graph import ParameterSpec


class DeviceWeights:
    """Parameters of a checkpoint by name and part, loaded when first asked for; banks lie as one tensor."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self._checkpoint = checkpoint
        self._device = device
        self._loaded: dict[tuple[str, str], Tensor] = {}

    def find(self, spec: ParameterSpec, part: str) -> Tensor:
        """Return a part of a parameter; raises CheckpointError when it is not there."""
        key = (spec.name, part)
        if key not in self._loaded:
            self._loaded[key] = self._load(spec, part)
        return self._loaded[key]

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return sum(tensor.nbytes for tensor in self._loaded.values())

    def _load(self, spec: ParameterSpec, part: str) -> Tensor:
        members = list(spec.members()) if spec.copies is not None else [spec]
        bank: Tensor | None = None
        for index, values in enumerate(self._read(members, part)):
            if bank is None:
                shape = values.shape if spec.copies is None else (len(members), *values.shape)
                bank = torch.empty(shape, dtype=values.dtype, device=self._device)
            (bank if spec.copies is None else bank[index]).copy_(values)
        if bank is None:
            raise ValueError(f"{spec.name} has no members")
        return bank

    def _read(self, members: list[ParameterSpec], part: str) -> Iterator[Tensor]:
        for member in members:
            if part == "":
                yield torch.from_numpy(np.array(decode_plain(self._checkpoint.read(member.name)), np.float32))
            elif part == "weight":
                yield _bits(self._checkpoint.read(member.name))
            elif part == "block_scale":
                yield _bits(self._checkpoint.read(f"{member.module}.weight_scale"))
            else:
                yield torch.from_numpy(np.array(self._scalar(member, part), np.float32))

    def _scalar(self, member: ParameterSpec, part: str) -> np.ndarray[tuple[()], np.dtype[np.float32]]:
        if part == "input_scale":
            name = f"{member.module}.input_scale"
        else:
            name = f"{member.module}.weight_scale" + ("_2" if member.format.is_nvfp4 else "")
        return decode_plain(self._checkpoint.read(name)).reshape(())


def _bits(raw: RawTensor) -> Tensor:
    """Return a tensor's bits; float32 and bfloat16 under their own types, the rest as bytes."""
    data = np.ascontiguousarray(raw.data)
    if data.dtype == np.uint16:
        return torch.from_numpy(data.view(np.int16).copy()).view(torch.bfloat16)
    if data.dtype.itemsize == 1:
        return torch.from_numpy(data.view(np.uint8).copy())
    return torch.from_numpy(data.copy())
