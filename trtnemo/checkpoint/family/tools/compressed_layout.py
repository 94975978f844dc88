"""How compressed-tensors stores a linear layer: NVFP4 and FP8.

Source: compressed-tensors 0.20.1, compressors/nvfp4 and naive_quantized (names), quantization/lifecycle/initialize.py
(shapes), quantization/utils/helpers.py: generate_gparam, by which a global scale is 448 * 6 / amax, the reciprocal of
ModelOpt's weight_scale_2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trtnemo.checkpoint.family.layout import Part, scalar
from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE, WeightFormat
from trtnemo.checkpoint.format.storage import StorageType

ONE = (1,)  # the shape of its single scales


@dataclass(frozen=True)
class PackedNvfp4:
    """Codes two to a byte, an FP8 scale for each 16, and global scales for the weight and the inputs."""

    quantizes_inputs: bool

    @property
    def format(self) -> WeightFormat:
        """NVFP4, with inputs in NVFP4 too or left as they are."""
        return WeightFormat.NVFP4 if self.quantizes_inputs else WeightFormat.NVFP4_WEIGHT_ONLY

    def parts(self, rows: int, columns: int, plain: StorageType) -> tuple[Part, ...]:
        """Return codes, block scales and global scales."""
        codes = Part("weight_packed", (rows, columns // 2), (StorageType.U8,))
        scales = Part("weight_scale", (rows, columns // BLOCK_SIZE), (StorageType.F8_E4M3,), is_scale=True)
        inputs = (scalar("input_global_scale", ONE),) if self.quantizes_inputs else ()
        return codes, scales, scalar("weight_global_scale", ONE), *inputs


@dataclass(frozen=True)
class ScaledFp8:
    """FP8 codes with one scale, one a row, or one a block of (rows, columns); the inputs' where it is static."""

    scales: Literal["tensor", "channel"] | tuple[int, int]
    has_input_scale: bool = False

    @property
    def format(self) -> WeightFormat:
        """FP8, however it is scaled."""
        return WeightFormat.FP8

    def parts(self, rows: int, columns: int, plain: StorageType) -> tuple[Part, ...]:
        """Return codes and scales, which come in the model's own element type or in float32."""
        types = tuple(dict.fromkeys((plain, StorageType.F32, StorageType.BF16, StorageType.F16)))
        if self.scales == "tensor":
            scales = Part("weight_scale", ONE, types, is_scale=True)
        elif self.scales == "channel":
            scales = Part("weight_scale", (rows, 1), types, is_scale=True, follows="rows")
        else:
            blocks = (-(-rows // self.scales[0]), -(-columns // self.scales[1]))
            scales = Part("weight_scale", blocks, types, is_scale=True)
        codes = Part("weight", (rows, columns), (StorageType.F8_E4M3,))
        return (
            (codes, scales, Part("input_scale", ONE, types, is_scale=True))
            if self.has_input_scale
            else (
                codes,
                scales,
            )
        )
