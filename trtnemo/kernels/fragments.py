"""Codes of quantized weights in the order in which a warp's lanes take them, and back; numpy, exact.

A tile is 64 rows of 128 (or 64) columns, four warps of 16 rows. A lane is 4 g + t and holds words of rows g and g + 8
of its warp. All words of a tile lie behind each other, four words of a lane together (16 bytes a load).

NVFP4: a word is eight codes, four pairs of neighbouring columns; the even column of each pair is in the low half.
The bits of pair p stand where one mask, after a shift by 3 p, leaves a bfloat16 of the value times 2^-126 (`_PAIRS`).
FP8: a word is two pairs; the second pair's codes are the high bytes of both halves, the first pair's the low ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trtnemo.kernels.family import ROWS, Family, tile_columns

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int32]
# where sign, two bits of exponent and mantissa of pair p lie in a half-word
_PAIRS = ((15, 8, 7, 6), (12, 5, 4, 3), (9, 2, 1, 0), (14, 13, 11, 10))


def padded(columns: int, rows: int) -> tuple[int, int]:
    """Return (columns, rows) with the last tile filled up."""
    width = tile_columns(columns)
    return -(-columns // width) * width, -(-rows // ROWS) * ROWS


def pack_nvfp4(codes_NK: Bytes, family: Family) -> Words:
    """Return E2M1 codes [rows, columns / 2], the even column in the low half of a byte, as words [tiles, steps, words].

    Rows and columns are filled up with zeros.
    """
    rows, columns = len(codes_NK), 2 * codes_NK.shape[1]
    wide, tall = padded(columns, rows)
    codes = np.zeros((tall, wide), np.uint8)
    codes[:rows, 0:columns:2], codes[:rows, 1:columns:2] = codes_NK & 15, codes_NK >> 4
    split = codes.reshape(_nvfp4_shape(tall, wide, family))
    pairs = split.transpose(_nvfp4_order(family)).reshape(-1, 2, 4).astype(np.uint32)  # [words, odd, pair]
    words = np.zeros(len(pairs), np.uint32)
    for pair, places in enumerate(_PAIRS):
        for bit, place in zip((3, 2, 1, 0), places, strict=True):
            for odd in range(2):
                words |= ((pairs[:, odd, pair] >> np.uint32(bit)) & np.uint32(1)) << np.uint32(place + 16 * odd)
    return words.view(np.int32).reshape(tall // ROWS, wide // tile_columns(columns), -1)


def unpack_nvfp4(words: Words, rows: int, columns: int, family: Family) -> Bytes:
    """Return the codes [rows, columns / 2] of packed words."""
    wide, tall = padded(columns, rows)
    flat = np.ascontiguousarray(words).view(np.uint32).reshape(-1)
    pairs = np.zeros((len(flat), 2, 4), np.uint8)
    for pair, places in enumerate(_PAIRS):
        for bit, place in zip((3, 2, 1, 0), places, strict=True):
            for odd in range(2):
                found = (flat >> np.uint32(place + 16 * odd)) & np.uint32(1)
                pairs[:, odd, pair] |= np.left_shift(found, np.uint32(bit)).astype(np.uint8)
    codes = _back(pairs, _nvfp4_shape(tall, wide, family), _nvfp4_order(family)).reshape(tall, wide)
    kept = codes[:rows, :columns]
    result: Bytes = kept[:, 0::2] | (kept[:, 1::2] << np.uint8(4))
    return result


def pack_fp8(codes_NK: Bytes, family: Family) -> Words:
    """Return E4M3 codes [rows, columns] as words [tiles, steps, words]; rows and columns are filled up with zeros."""
    rows, columns = codes_NK.shape
    wide, tall = padded(columns, rows)
    codes = np.zeros((tall, wide), np.uint8)
    codes[:rows, :columns] = codes_NK
    split = codes.reshape(_fp8_shape(tall, wide, family)).transpose(_fp8_order(family))
    words = np.ascontiguousarray(split).reshape(-1, 4).view(np.int32)
    return words.reshape(tall // ROWS, wide // tile_columns(columns), -1)


def unpack_fp8(words: Words, rows: int, columns: int, family: Family) -> Bytes:
    """Return the codes [rows, columns] of packed words."""
    wide, tall = padded(columns, rows)
    found = np.ascontiguousarray(words).view(np.uint8).reshape(-1)
    codes = _back(found, _fp8_shape(tall, wide, family), _fp8_order(family)).reshape(tall, wide)
    result: Bytes = np.ascontiguousarray(codes[:rows, :columns])
    return result


def pack_scales(scales_NB: Bytes, columns: int) -> Bytes:
    """Return E4M3 scales [rows, columns / 16] as [tiles, steps, 64, blocks]: a tile's scales lie together."""
    rows, blocks = scales_NB.shape
    wide, tall = padded(columns, rows)
    per_step = tile_columns(columns) // 16
    scales = np.zeros((tall, wide // 16), np.uint8)
    scales[:rows, :blocks] = scales_NB
    result: Bytes = np.ascontiguousarray(scales.reshape(tall // ROWS, ROWS, -1, per_step).transpose(0, 2, 1, 3))
    return result


def _back(values: Bytes, shape: tuple[int, ...], order: tuple[int, ...]) -> Bytes:
    """Return values that were transposed by `order` in the shape they had before."""
    moved = values.reshape([shape[axis] for axis in order])
    result: Bytes = moved.transpose([int(axis) for axis in np.argsort(order)])
    return result


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
