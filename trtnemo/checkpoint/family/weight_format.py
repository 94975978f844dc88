"""How a linear layer's weight is stored, whichever tool wrote it."""

from __future__ import annotations

from enum import Enum

BLOCK_SIZE = 16


class WeightFormat(str, Enum):
    """How a linear layer's weight is stored."""

    PLAIN = "plain"
    FP8 = "fp8"
    NVFP4 = "nvfp4"
    NVFP4_WEIGHT_ONLY = "nvfp4_weight_only"
    INTEGER = "integer"  # AWQ's, GPTQ's, MLX's: sized, never decoded here

    @property
    def is_nvfp4(self) -> bool:
        """Whether the weight is packed E2M1 codes with block scales."""
        return self in (WeightFormat.NVFP4, WeightFormat.NVFP4_WEIGHT_ONLY)

    def stores_like(self, other: WeightFormat) -> bool:
        """Return whether both formats store the same bits: NVFP4 does, whatever the activations are."""
        return self is other or (self.is_nvfp4 and other.is_nvfp4)
