"""The NVFP4 inner loop: native where the package was built with a compiler, numpy otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trtnemo.native import find_native

E2M1_VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def decode_numpy(packed: npt.NDArray[np.uint8], scale: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return codes [rows, columns/2] times scales [rows, columns/16] as float32 [rows, columns]."""
    rows, half = packed.shape
    values = np.empty((rows, half * 2), np.float32)
    values[:, 0::2] = E2M1_VALUES[packed & 15]
    values[:, 1::2] = E2M1_VALUES[packed >> 4]
    blocks = values.reshape(rows, scale.shape[1], -1)
    blocks *= scale[..., None]
    return values


def decode(packed: npt.NDArray[np.uint8], scale: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what `decode_numpy` returns, natively where possible."""
    native = find_native()
    if native is None:
        return decode_numpy(packed, scale)
    result: Any = native.decode_nvfp4(packed, scale)
    return np.asarray(result, np.float32)
