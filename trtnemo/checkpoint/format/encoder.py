"""Plain weights to FP8 and NVFP4, natively where the package was built with a compiler, by numpy otherwise.

Bit-equal to ModelOpt 0.47 for max calibration, which tests compare with.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE
from trtnemo.checkpoint.format import codecs
from trtnemo.checkpoint.format.storage import RawTensor, StorageType
from trtnemo.native import find_native

Bytes = npt.NDArray[np.uint8]
Scale = np.float32


def largest_magnitude(data: Bytes, storage: StorageType) -> Scale:
    """Return the largest magnitude of a plain tensor's bytes; infinity or NaN where one of the numbers is."""
    native = find_native()
    if native is not None:
        found: float = native.largest_magnitude(data, storage.value)
    else:
        found = float(np.abs(_values(data, storage)).max(initial=0))  # NaN where one is
    largest: Scale = np.float32(found)
    return largest


def encode_fp8(data: Bytes, storage: StorageType, scale: Scale) -> Bytes:
    """Return E4M3 codes, one for each number; of 16-bit numbers the quotient is rounded to BF16 first, as by torch."""
    native = find_native()
    if native is not None:
        codes = np.empty(len(data) // storage.itemsize, np.uint8)
        native.encode_fp8(data, storage.value, float(scale), codes)
        return codes
    quotient: npt.NDArray[np.float32] = np.divide(_values(data, storage), scale, dtype=np.float32)
    if storage.itemsize == 2:
        quotient = codecs.decode_plain(RawTensor(StorageType.BF16, codecs.encode_bfloat16(quotient)))
    return codecs.encode_e4m3(quotient)


def encode_nvfp4(data: Bytes, storage: StorageType, scale_2: Scale) -> tuple[Bytes, Bytes]:
    """Return (E2M1 codes, two to a byte, low nibble first; the E4M3 scale of each 16 numbers)."""
    native = find_native()
    if native is None:
        packed, scales, _ = codecs.encode_nvfp4(_values(data, storage).reshape(-1, BLOCK_SIZE), scale_2)
        return packed.reshape(-1), scales.reshape(-1)
    count = len(data) // storage.itemsize
    packed, scales = np.empty(count // 2, np.uint8), np.empty(count // BLOCK_SIZE, np.uint8)
    native.encode_nvfp4(data, storage.value, float(scale_2), packed, scales)
    return packed, scales


def _values(data: Bytes, storage: StorageType) -> npt.NDArray[np.float32]:
    return codecs.decode_plain(RawTensor(storage, data.view(storage.raw_dtype)))
