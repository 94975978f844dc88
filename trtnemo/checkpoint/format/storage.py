"""Element types of safetensors files, and tensors as the raw bytes they are stored in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy is slow to load, and only tensors themselves need it
    import numpy as np
    import numpy.typing as npt


class StorageType(str, Enum):
    """Element types by their safetensors names."""

    BOOL = "BOOL"
    U8 = "U8"
    I8 = "I8"
    I16 = "I16"
    I32 = "I32"
    I64 = "I64"
    U16 = "U16"
    U32 = "U32"
    U64 = "U64"
    F8_E4M3 = "F8_E4M3"
    F8_E5M2 = "F8_E5M2"
    F8_E8M0 = "F8_E8M0"
    F16 = "F16"
    BF16 = "BF16"
    F32 = "F32"
    F64 = "F64"

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return _ITEMSIZE[self]

    @property
    def raw_dtype(self) -> np.dtype[np.generic]:
        """The numpy type that holds the bits; bfloat16 and float8 come as unsigned integers."""
        import numpy as np

        return np.dtype(_RAW[self])


PLAIN = (StorageType.BF16, StorageType.F16, StorageType.F32)  # of weights that are not quantized

_RAW: dict[StorageType, str] = {
    StorageType.BOOL: "u1",
    StorageType.U8: "u1",
    StorageType.I8: "i1",
    StorageType.I16: "<i2",
    StorageType.I32: "<i4",
    StorageType.I64: "<i8",
    StorageType.U16: "<u2",
    StorageType.U32: "<u4",
    StorageType.U64: "<u8",
    StorageType.F8_E4M3: "u1",
    StorageType.F8_E5M2: "u1",
    StorageType.F8_E8M0: "u1",
    StorageType.F16: "<f2",
    StorageType.BF16: "<u2",
    StorageType.F32: "<f4",
    StorageType.F64: "<f8",
}
_ITEMSIZE = {kind: int(raw[-1]) for kind, raw in _RAW.items()}


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies: element type, shape, file, first byte and size in bytes."""

    name: str
    storage: StorageType
    shape: tuple[int, ...]
    file: str
    offset: int
    size: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class RawTensor:
    """A tensor's bits: `data` has the tensor's shape and the raw numpy type of `storage`."""

    storage: StorageType
    data: npt.NDArray[np.generic]
