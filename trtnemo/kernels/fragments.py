"""Codes of quantized weights in the order in which a warp's lanes take them, and back, exactly.

In torch, so that a device packs what it is given.

A tile is 64 rows of 128 (or 64) columns, four warps of 16 rows. A lane is 4 g + t and holds words of rows g and g + 8
of its warp. All words of a tile lie behind each other, four words of a lane together (16 bytes a load).

NVFP4: a word is eight codes, four pairs of neighbouring columns; the even column of each pair is in the low half.
The bits of pair p stand where one mask, after a shift by 3 p, leaves a bfloat16 of the value times 2^-126 (`_PAIRS`).
FP8: a word is two pairs; the second pair's codes are the high bytes of both halves, the first pair's the low ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trtnemo.kernels.family import ROWS, Family, tile_columns

# where sign, two bits of exponent and mantissa of pair p lie in a half-word
_PAIRS = ((15, 8, 7, 6), (12, 5, 4, 3), (9, 2, 1, 0), (14, 13, 11, 10))


def padded(columns: int, rows: int) -> tuple[int, int]:
    """Return (columns, rows) with the last tile filled up."""
    width = tile_columns(columns)
    return -(-columns // width) * width, -(-rows // ROWS) * ROWS


def pack_nvfp4(codes_NK: Tensor, family: Family) -> Tensor:
    """Return E2M1 codes [rows, columns / 2], the even column in the low half of a byte, as int32 [tiles, steps, words].

    Rows and columns are filled up with zeros.
    """
    rows, columns = len(codes_NK), 2 * codes_NK.shape[1]
    wide, tall = padded(columns, rows)
    codes = codes_NK.new_zeros(tall, wide)
    codes[:rows, 0:columns:2], codes[:rows, 1:columns:2] = codes_NK & 15, codes_NK >> 4
    split = codes.reshape(_nvfp4_shape(tall, wide, family)).permute(_nvfp4_order(family)).reshape(-1, 2, 4)
    spread = torch.tensor([[_spread(code, pair) for code in range(16)] for pair in range(4)], device=codes.device)
    halves = torch.stack([spread[pair][split[..., pair].long()] for pair in range(4)]).sum(0)
    return _joined(halves).reshape(tall // ROWS, wide // tile_columns(columns), -1)


def unpack_nvfp4(words: Tensor, rows: int, columns: int, family: Family) -> Tensor:
    """Return the codes [rows, columns / 2] of packed words."""
    wide, tall = padded(columns, rows)
    flat = words.reshape(-1).long()
    halves = torch.stack([flat & 0xFFFF, (flat >> 16) & 0xFFFF], dim=1)
    found = torch.zeros(len(flat), 2, 4, dtype=torch.uint8, device=words.device)
    for pair, places in enumerate(_PAIRS):
        for bit, place in zip((3, 2, 1, 0), places, strict=True):
            found[..., pair] |= (((halves >> place) & 1) << bit).to(torch.uint8)
    codes = _back(found, _nvfp4_shape(tall, wide, family), _nvfp4_order(family)).reshape(tall, wide)
    kept = codes[:rows, :columns]
    return kept[:, 0::2] | (kept[:, 1::2] << 4)


def pack_fp8(codes_NK: Tensor, family: Family) -> Tensor:
    """Return E4M3 codes [rows, columns] as int32 [tiles, steps, words]; rows and columns are filled up with zeros."""
    rows, columns = codes_NK.shape
    wide, tall = padded(columns, rows)
    codes = codes_NK.new_zeros(tall, wide)
    codes[:rows, :columns] = codes_NK
    split = codes.reshape(_fp8_shape(tall, wide, family)).permute(_fp8_order(family)).contiguous()
    return split.reshape(-1).view(torch.int32).reshape(tall // ROWS, wide // tile_columns(columns), -1)


def unpack_fp8(words: Tensor, rows: int, columns: int, family: Family) -> Tensor:
    """Return the codes [rows, columns] of packed words."""
    wide, tall = padded(columns, rows)
    found = words.reshape(-1).view(torch.uint8)
    codes = _back(found, _fp8_shape(tall, wide, family), _fp8_order(family)).reshape(tall, wide)
    return codes[:rows, :columns].contiguous()


def pack_scales(scales_NB: Tensor, columns: int) -> Tensor:
    """Return E4M3 scales [rows, columns / 16] as [tiles, steps, 64, blocks]: a tile's scales lie together."""
    rows, blocks = scales_NB.shape
    wide, tall = padded(columns, rows)
    scales = scales_NB.new_zeros(tall, wide // 16)
    scales[:rows, :blocks] = scales_NB
    return scales.reshape(tall // ROWS, ROWS, -1, tile_columns(columns) // 16).permute(0, 2, 1, 3).contiguous()


def _spread(code: int, pair: int) -> int:
    """Return a code's bits where they lie in a half-word."""
    return sum(((code >> bit) & 1) << place for bit, place in zip((3, 2, 1, 0), _PAIRS[pair], strict=True))


def _joined(halves: Tensor) -> Tensor:
    """Return int32 of half-words [words, 2], the low one first."""
    low, high = halves[:, 0], halves[:, 1]
    return (low | torch.where(high > 0x7FFF, high - 0x10000, high) << 16).to(torch.int32)


def _back(values: Tensor, shape: tuple[int, ...], order: tuple[int, ...]) -> Tensor:
    """Return values that were transposed by `order` in the shape they had before."""
    moved = values.reshape([shape[axis] for axis in order])
    return moved.permute([order.index(axis) for axis in range(len(order))])


def _nvfp4_shape(rows: int, columns: int, family: Family) -> tuple[int, ...]:
    width = tile_columns(columns)
    tiles = (rows // ROWS, 4, 2, 8)  # tile, warp, row half, g
    if family == "wgmma":
        return (*tiles, columns // width, width // 64, 4, 2, 4, 2)  # step, register, word, column half, t, odd
    return (*tiles, columns // width, width // 32, 4, 4, 2)  # step, word, t, pair, odd


def _nvfp4_order(family: Family) -> tuple[int, ...]:
    if family == "wgmma":  # tile, step | register, warp, g, t, word | odd, row half, column half
        return (0, 4, 5, 1, 3, 8, 6, 9, 2, 7)
    return (0, 4, 2, 1, 3, 6, 5, 8, 7)  # tile, step | row half, warp, g, t, word | odd, pair


def _fp8_shape(rows: int, columns: int, family: Family) -> tuple[int, ...]:
    width = tile_columns(columns)
    tiles = (rows // ROWS, 4, 2, 8)  # tile, warp, row half, g
    if family == "wgmma":
        return (*tiles, columns // width, width // 64, 4, 2, 4, 2)  # step, register, word, column half, t, odd
    return (*tiles, columns // width, width // 64, 4, 4, 2, 2)  # step, register, word, t, pair, odd


def _fp8_order(family: Family) -> tuple[int, ...]:
    if family == "wgmma":  # tile, step | row half, register, warp, g, t, word | odd, pair
        return (0, 4, 2, 5, 1, 3, 8, 6, 9, 7)
    return (0, 4, 2, 5, 1, 3, 7, 6, 9, 8)
