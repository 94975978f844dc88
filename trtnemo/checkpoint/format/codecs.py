"""From stored bits to float32 and back: BF16, FP8 E4M3 with one scale, NVFP4 with block scales.

Bit-equal to ModelOpt's own classes (modelopt.torch.quantization.qtensor), which tests compare against.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE
from trtnemo.checkpoint.format import decoder
from trtnemo.checkpoint.format.storage import RawTensor, StorageType
from trtnemo.errors import CheckpointError

Float32 = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
E4M3_MAX = np.float32(448.0)
E2M1_MAX = np.float32(6.0)
# Between neighbouring magnitudes 0, .5, 1, 1.5, 2, 3, 4, 6; a tie goes to the even code.
_E2M1_BOUNDS = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0], np.float32)


def decode_plain(tensor: RawTensor) -> Float32:
    """Return BF16, F16, F32 or F64 bits as float32; raises CheckpointError for other types."""
    if tensor.storage is StorageType.BF16:
        bits: npt.NDArray[np.uint32] = tensor.data.astype(np.uint32) << np.uint32(16)
        return bits.view(np.float32)
    if tensor.storage in (StorageType.F16, StorageType.F32, StorageType.F64):
        return tensor.data.astype(np.float32)
    raise CheckpointError(f"a tensor of type {tensor.storage.value} has no plain float form")


def encode_bfloat16(values: Float32) -> npt.NDArray[np.uint16]:
    """Return float32 values as BF16 bits, rounded to nearest, ties to even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    result: npt.NDArray[np.uint32] = np.where(np.isnan(values), np.uint32(0x7FC0), rounded)
    return result.astype(np.uint16)


@cache
def e4m3_values() -> Float32:
    """Return the 256 values of float8 E4M3 (finite form: no infinities, 0x7F and 0xFF are NaN)."""
    codes = np.arange(256, dtype=np.int32)
    exponent, mantissa = (codes >> 3) & 15, codes & 7
    magnitude = np.where(
        exponent == 0, mantissa * 2.0**-9, (8 + mantissa) * 2.0 ** (np.maximum(exponent, 1).astype(np.float64) - 10)
    )
    values = np.where(codes & 128, -magnitude, magnitude)
    values[[0x7F, 0xFF]] = np.nan
    return values.astype(np.float32)


def decode_e4m3(codes: Bytes) -> Float32:
    """Return E4M3 codes as float32, same shape."""
    return e4m3_values()[codes]


def encode_e4m3(values: Float32) -> Bytes:
    """Return float32 as E4M3 codes, nearest, ties to even, saturated at 448."""
    positive = e4m3_values()[:127]
    magnitude = np.minimum(np.abs(values), E4M3_MAX)
    upper = np.clip(np.searchsorted(positive, magnitude), 1, 126)
    low, high = positive[upper - 1], positive[upper]
    middle = (low + high) / 2
    take_high = (magnitude > middle) | ((magnitude == middle) & (upper % 2 == 0))
    codes = np.where(take_high, upper, upper - 1).astype(np.uint8)
    codes[np.isnan(values)] = 0x7F
    result: Bytes = codes | (np.signbit(values).astype(np.uint8) << np.uint8(7))
    return result


def decode_fp8(codes: Bytes, weight_scale: Float32) -> Float32:
    """Return a per-tensor FP8 weight [rows, columns] as float32."""
    values: Float32 = decode_e4m3(codes) * np.float32(weight_scale)
    return values


def decode_nvfp4(packed: Bytes, block_scale: Bytes, weight_scale_2: Float32) -> Float32:
    """Return an NVFP4 weight as float32 [rows, columns].

    packed: [rows, columns/2], low nibble first; block_scale: E4M3 codes [rows, columns/16]; weight_scale_2: scalar.
    Raises CheckpointError when the shapes do not belong together.
    """
    rows, half = packed.shape
    if half * 2 % BLOCK_SIZE or block_scale.shape != (rows, half * 2 // BLOCK_SIZE):
        raise CheckpointError(f"NVFP4 codes {packed.shape} do not go with block scales {block_scale.shape}")
    # The product of the two scales first: bit equality with ModelOpt needs these parentheses.
    scale = decode_e4m3(block_scale) * np.float32(weight_scale_2)
    return decoder.decode(np.ascontiguousarray(packed), np.ascontiguousarray(scale))


def encode_nvfp4(weight: Float32, weight_scale_2: np.float32 | None = None) -> tuple[Bytes, Bytes, Float32]:
    """Return (packed, block_scale, weight_scale_2) of a float32 weight [rows, columns] by its largest magnitudes.

    weight_scale_2: where the weight is a part of a larger one, that one's.
    """
    rows, columns = weight.shape
    scale_2: Any = np.abs(weight).max() / (E2M1_MAX * E4M3_MAX) if weight_scale_2 is None else weight_scale_2
    blocks = weight.reshape(rows, columns // BLOCK_SIZE, BLOCK_SIZE)
    raw = np.abs(blocks).max(-1) / (E2M1_MAX * scale_2)
    block_scale = encode_e4m3(np.clip(np.where(raw == 0, np.float32(1), raw), np.float32(2**-9), E4M3_MAX))
    scaled = blocks / (decode_e4m3(block_scale) * scale_2)[..., None]
    codes = _encode_e2m1(scaled).reshape(rows, columns)
    packed: Bytes = codes[:, ::2] | (codes[:, 1::2] << np.uint8(4))
    return packed, block_scale, np.asarray(scale_2, np.float32)


def _encode_e2m1(values: Float32) -> Bytes:
    magnitude = np.abs(values)
    code = np.searchsorted(_E2M1_BOUNDS, magnitude).astype(np.uint8)
    odd_ties = _E2M1_BOUNDS[1::2]
    code += np.isin(magnitude, odd_ties).astype(np.uint8)
    result: Bytes = code | ((values < 0).astype(np.uint8) << np.uint8(3))
    return result
