"""Element types of TensorRT's tensors, by one name for every library, numpy and torch."""

from __future__ import annotations

from enum import Enum
from math import prod


class Element(str, Enum):
    """Element type of a tensor; the value is the name in plan records."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FP8 = "fp8"
    FP4 = "fp4"
    INT32 = "int32"
    INT64 = "int64"
    BOOL = "bool"

    @property
    def bits(self) -> int:
        """Bits of one element."""
        return _BITS[self]

    @property
    def tensorrt_name(self) -> str:
        """The name in a library's `DataType`."""
        return _TENSORRT_NAMES[self]

    def nbytes(self, shape: tuple[int, ...]) -> int:
        """Bytes of a tensor of that shape; two FP4 elements share a byte."""
        return (prod(shape) * self.bits + 7) // 8


_BITS = {
    Element.FLOAT32: 32,
    Element.FLOAT16: 16,
    Element.BFLOAT16: 16,
    Element.FP8: 8,
    Element.FP4: 4,
    Element.INT32: 32,
    Element.INT64: 64,
    Element.BOOL: 8,
}
_TENSORRT_NAMES = {
    Element.FLOAT32: "FLOAT",
    Element.FLOAT16: "HALF",
    Element.BFLOAT16: "BF16",
    Element.FP8: "FP8",
    Element.FP4: "FP4",
    Element.INT32: "INT32",
    Element.INT64: "INT64",
    Element.BOOL: "BOOL",
}
_BY_TENSORRT_NAME = {name: element for element, name in _TENSORRT_NAMES.items()}


def element_of(data_type: object) -> Element:
    """Return the element type of a library's `DataType`; raises KeyError on one that no network of ours uses."""
    return _BY_TENSORRT_NAME[str(getattr(data_type, "name", data_type))]
