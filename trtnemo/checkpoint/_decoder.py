"""The NVFP4 inner loop: native where the package was built with a compiler, numpy otherwise."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

_native: Any
try:
    _native = importlib.import_module("trtnemo._native")
except ImportError:  # built without a compiler
    _native = None

E2M1_VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def find_native() -> ModuleType | None:
    """Return the compiled module, or None where the package was installed without a compiler."""
    found: ModuleType | None = _native
    return found


def has_native() -> bool:
    """Return whether the native decoder is there."""
    return _native is not None


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
    if _native is None:
        return decode_numpy(packed, scale)
    result: Any = _native.decode_nvfp4(packed, scale)
    return np.asarray(result, np.float32)
