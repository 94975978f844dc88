"""Values while a network is interpreted, and how they lie in memory.

FP4 is one code per byte here and two per byte in memory, low half first; FP8 is torch's float8_e4m3fn.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from trtnemo.trt.element import Element

TORCH_TYPES: dict[Element, torch.dtype] = {
    Element.FLOAT32: torch.float32,
    Element.FLOAT16: torch.float16,
    Element.BFLOAT16: torch.bfloat16,
    Element.FP8: torch.float8_e4m3fn,
    Element.FP4: torch.uint8,
    Element.INT32: torch.int32,
    Element.INT64: torch.int64,
    Element.BOOL: torch.bool,
}
BLOCK = 16
E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
_SIGNED = torch.cat([E2M1, -E2M1])
# Nearest first among equals means even codes win a tie, so they stand first.
_EVEN_FIRST = torch.tensor([0, 2, 4, 6, 1, 3, 5, 7])


@dataclass(frozen=True)
class Dequantized:
    """Codes not yet multiplied by their scale, so that a gather can take its rows first, as a fused one does."""

    codes: Tensor
    scale: Value
    element: Element

    def rows(self, indices: Tensor) -> Tensor:
        """Return rows of the first dimension, multiplied out."""
        scale = self.scale
        if isinstance(scale, Dequantized):
            scale = scale.rows(indices)
        elif scale.ndim:
            scale = scale[indices]
        return Dequantized(self.codes[indices], scale, self.element).resolve()

    def resolve(self) -> Tensor:
        """Return codes times scale in the result's element type."""
        scale = resolve(self.scale).float()
        numbers = decode(self.codes)
        if scale.ndim and scale.shape != numbers.shape:
            scale = scale.repeat_interleave(BLOCK, dim=-1)
        return (numbers * scale).to(TORCH_TYPES[self.element])


Value = Tensor | Dequantized


def resolve(value: Value) -> Tensor:
    """Return a value as a tensor."""
    return value.resolve() if isinstance(value, Dequantized) else value


def decode(codes: Tensor) -> Tensor:
    """Return FP8 numbers or FP4 codes as float32."""
    return _SIGNED[codes.long()] if codes.dtype is torch.uint8 else codes.float()


def encode_fp4(x: Tensor) -> Tensor:
    """Return the nearest E2M1 code of each number, ties to the even code, larger ones clamped."""
    distance = (x.abs()[..., None] - E2M1[_EVEN_FIRST]).abs()
    codes = _EVEN_FIRST[distance.argmin(-1)].to(torch.uint8)
    return codes | (torch.signbit(x).to(torch.uint8) << 3)


def memory(address: int, element: Element, shape: tuple[int, ...]) -> Tensor:
    """Return the bytes at an address as a tensor that shares them; FP4 as its packed bytes."""
    count = element.nbytes(shape)
    if count == 0:
        return torch.empty(shape, dtype=TORCH_TYPES[element])
    buffer = (ctypes.c_uint8 * count).from_address(address)
    raw = torch.frombuffer(buffer, dtype=torch.uint8)
    return raw if element is Element.FP4 else raw.view(TORCH_TYPES[element]).reshape(shape)


def read(address: int, element: Element, shape: tuple[int, ...]) -> Tensor:
    """Return what lies at an address as a value."""
    raw = memory(address, element, shape)
    if element is not Element.FP4:
        return raw
    codes = torch.stack([raw & 15, raw >> 4], dim=-1)
    return codes.reshape(-1)[: prod(shape)].reshape(shape)
