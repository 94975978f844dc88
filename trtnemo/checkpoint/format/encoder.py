"""Plain weights to FP8 and NVFP4, natively where the package was built with a compiler, by numpy otherwise.

Bit-equal to ModelOpt 0.47 for max calibration, which tests compare with.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE
from trtnemo.checkpoint.format import codecs
from trtnemo.checkpoint.format.storage import RawTensor, StorageType
from trtnemo.native import choose_kernels, find_native, require_native

Bytes = npt.NDArray[np.uint8]
Scale = np.float32
Search = Literal["max", "four-over-six", "mse"]
# what the largest block scale of a tensor becomes; four-over-six leaves room for blocks whose largest number becomes 4
SCALE_MAX: dict[Search, np.float32] = {"max": codecs.E4M3_MAX, "four-over-six": np.float32(256), "mse": codecs.E4M3_MAX}


def largest_magnitude(data: Bytes, storage: StorageType) -> Scale:
    """Return the largest magnitude of a plain tensor's bytes; infinity or NaN where one of the numbers is."""
    native = find_native()
    if native is not None:
        found: float = native.largest_magnitude(data, storage.value, choose_kernels())
    else:
        found = float(np.abs(_values(data, storage)).max(initial=0))  # NaN where one is
    largest: Scale = np.float32(found)
    return largest


def encode_fp8(data: Bytes, storage: StorageType, scale: Scale, codes: Bytes) -> None:
    """Write E4M3 codes, one for each number; of 16-bit numbers the quotient is rounded to BF16 first, as by torch."""
    native = find_native()
    if native is not None:
        native.encode_fp8(data, storage.value, float(scale), codes, choose_kernels())
        return
    quotient: npt.NDArray[np.float32] = np.divide(_values(data, storage), scale, dtype=np.float32)
    if storage.itemsize == 2:
        quotient = codecs.decode_plain(RawTensor(StorageType.BF16, codecs.encode_bfloat16(quotient)))
    codes[:] = codecs.encode_e4m3(quotient)


def encode_nvfp4(
    data: Bytes, storage: StorageType, scale_2: Scale, packed: Bytes, scales: Bytes, search: Search = "max"
) -> None:
    """Write E2M1 codes, two to a byte, low nibble first, and the E4M3 scale of each 16 numbers.

    search: how a block's scale is chosen: its largest number becomes 6 (max), or 6 or 4, whichever leaves less
    (four-over-six), or the one of all scales that leaves least (mse). Raises MachineError for a search without native
    code.
    """
    native = find_native() if search == "max" else require_native()
    if native is not None:
        native.encode_nvfp4(data, storage.value, float(scale_2), packed, scales, choose_kernels(), search)
        return
    codes, block_scales, _ = codecs.encode_nvfp4(_values(data, storage).reshape(-1, BLOCK_SIZE), scale_2)
    packed[:], scales[:] = codes.reshape(-1), block_scales.reshape(-1)


def _values(data: Bytes, storage: StorageType) -> npt.NDArray[np.float32]:
    return codecs.decode_plain(RawTensor(storage, data.view(storage.raw_dtype)))
