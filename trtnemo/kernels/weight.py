"""A weight as kernels read it: packed tiles, their scales, one factor a tile; of one matrix, of several, of a bank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trtnemo.checkpoint import Checkpoint, WeightFormat
from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE
from trtnemo.checkpoint.format.codecs import E4M3_MAX, decode_plain
from trtnemo.checkpoint.format.storage import RawTensor, StorageType
from trtnemo.graph import ParameterSpec
from trtnemo.kernels.family import ROWS, Family, tile_columns
from trtnemo.kernels.fragments import pack_fp8, pack_nvfp4, pack_scales, padded

CODE = {WeightFormat.PLAIN: 0, WeightFormat.FP8: 1, WeightFormat.NVFP4: 2}  # as constants of kernels/tiles.py
_NO_SCALES = torch.zeros(16, dtype=torch.uint8)


@dataclass(frozen=True)
class PackedWeight:
    """Tiles of 64 rows: `words` and `scales` hold their codes, `scale` [(experts,) tiles] a factor each.

    rows: filled up to 64; width: columns, as in the checkpoint.
    """

    format: WeightFormat
    rows: int
    width: int
    words: Tensor
    scales: Tensor
    scale: Tensor

    @property
    def code(self) -> int:
        """The format, as kernels name it."""
        return CODE[self.format]

    @property
    def columns(self) -> int:
        """Columns of a tile."""
        return tile_columns(self.width)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.words.nbytes + self.scales.nbytes + self.scale.nbytes


def read_weight(
    checkpoint: Checkpoint, spec: ParameterSpec, family: Family, device: torch.device | None = None
) -> PackedWeight:
    """Return one matrix of a checkpoint, packed on the device that it is for; raises CheckpointError."""
    rows, width = spec.shape
    wide, tall = padded(width, rows)
    raw = checkpoint.read(spec.name)
    scales, factor = _NO_SCALES.to(device), np.float32(1)
    if spec.format is WeightFormat.PLAIN:
        values = plain_tensor(raw)
        words = torch.zeros(tall, wide, dtype=values.dtype, device=device)
        words[:rows, :width] = values.to(device)
    else:
        codes = _bytes(raw, device)
        words = pack_fp8(codes, family) if spec.format is WeightFormat.FP8 else pack_nvfp4(codes, family)
        if spec.format is WeightFormat.NVFP4:
            scales = pack_scales(_bytes(checkpoint.read(f"{spec.module}.weight_scale"), device), width)
        second = "weight_scale" if spec.format is WeightFormat.FP8 else "weight_scale_2"
        factor = decode_plain(checkpoint.read(f"{spec.module}.{second}")).reshape(())
    tiles = torch.full((tall // ROWS,), float(factor), device=device)
    return PackedWeight(spec.format, tall, width, words, scales, tiles)


def plain_tensor(raw: RawTensor) -> Tensor:
    """Return a tensor that is not quantized, on the host: bfloat16 as it is stored, others as float32."""
    if raw.storage is StorageType.BF16:
        return torch.from_numpy(np.array(raw.data).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.array(decode_plain(raw)))


def as_fp8(weight: PackedWeight, family: Family) -> PackedWeight:
    """Return a plain matrix in FP8, rounded to the nearest with a factor for each tile of 64 rows."""
    values = weight.words.float()
    factors = values.reshape(-1, ROWS, values.shape[1]).abs().amax((1, 2)).clamp(min=1e-30) / float(E4M3_MAX)
    codes = (values / factors.repeat_interleave(ROWS)[:, None]).to(torch.float8_e4m3fn).view(torch.uint8)
    words = pack_fp8(codes[:, : weight.width], family)
    return PackedWeight(WeightFormat.FP8, weight.rows, weight.width, words, weight.scales, factors)


def _bytes(raw: RawTensor, device: torch.device | None) -> Tensor:
    return torch.from_numpy(np.array(raw.data).view(np.uint8)).to(device)


def read_bank(
    checkpoint: Checkpoint, spec: ParameterSpec, family: Family, device: torch.device, *, in_fp8: bool = False
) -> PackedWeight:
    """Return a bank on a device, expert by expert, so that the host never holds more than one."""

    def read(member: ParameterSpec) -> PackedWeight:
        found = read_weight(checkpoint, member, family, device)
        return as_fp8(found, family) if in_fp8 else found

    members = spec.members()
    first = read(members[0])
    parts = [
        torch.zeros((len(members), *part.shape), dtype=part.dtype, device=device)
        for part in (first.words, first.scales, first.scale)
    ]
    for expert, member in enumerate(members):
        weight = first if expert == 0 else read(member)
        for bank, part in zip(parts, (weight.words, weight.scales, weight.scale), strict=True):
            bank[expert].copy_(part)
    return PackedWeight(first.format, first.rows, first.width, *parts)


def beside(weights: Sequence[PackedWeight]) -> PackedWeight:
    """Return weights of one format and width as one of all their rows, each one's filled up to 64."""
    if len(weights) == 1:
        return weights[0]
    first = weights[0]
    words, scales, scale = (
        torch.cat(parts)
        for parts in zip(*((weight.words, weight.scales, weight.scale) for weight in weights), strict=True)
    )
    return PackedWeight(first.format, sum(weight.rows for weight in weights), first.width, words, scales, scale)


def empty_weight(spec: ParameterSpec, device: torch.device) -> PackedWeight:
    """Return the shapes of a packed weight or bank without its numbers, for kernels that are only compiled."""
    rows, width = spec.shape
    wide, tall = padded(width, rows)
    tiles, steps = tall // ROWS, wide // tile_columns(width)
    bank = () if spec.copies is None else (spec.copies,)
    if spec.format is WeightFormat.PLAIN:
        words = torch.empty((*bank, tall, wide), dtype=torch.bfloat16, device=device)
    else:
        per_word = 4 if spec.format is WeightFormat.FP8 else 8
        count = ROWS * tile_columns(width) // per_word
        words = torch.empty((*bank, tiles, steps, count), dtype=torch.int32, device=device)
    scales = torch.empty((*bank, 16), dtype=torch.uint8, device=device)
    if spec.format is WeightFormat.NVFP4:
        blocks = tile_columns(width) // BLOCK_SIZE
        scales = torch.empty((*bank, tiles, steps, ROWS, blocks), dtype=torch.uint8, device=device)
    return PackedWeight(spec.format, tall, width, words, scales, torch.empty((*bank, tiles), device=device))
