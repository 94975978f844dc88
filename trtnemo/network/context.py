"""What the layers of one model share while they are built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trtnemo.checkpoint import ModelConfig, QuantizationMap, WeightFormat
from trtnemo.errors import CheckpointError
from trtnemo.graph import DType
from trtnemo.graph.ops import Compute

ComputeMode = Literal["weight_only", "native"]


@dataclass(frozen=True)
class BuildContext:
    """Sizes, the checkpoint's quantization map, and how quantized layers are multiplied.

    `native` multiplies in the weight's own format (W4A4, W8A8); `weight_only` decodes the weight and rounds no
    activation.
    """

    config: ModelConfig
    quantization: QuantizationMap
    compute_mode: ComputeMode = "weight_only"

    @property
    def dtype(self) -> DType:
        """Element type of the residual stream."""
        return DType(self.config.dtype)

    def compute_of(self, format: WeightFormat) -> Compute:
        """Return how a linear of that weight format multiplies."""
        if self.compute_mode == "weight_only":
            return "weight_only"
        if format is WeightFormat.NVFP4:
            return "w4a4"
        return "w8a8" if format is WeightFormat.FP8 else "weight_only"

    def bank_format(self, prefix: str, name: str) -> WeightFormat:
        """Return the one format of a layer's experts; raises CheckpointError when they differ."""
        modules = [f"{prefix}.experts.{expert}.{name}" for expert in range(self.config.n_routed_experts)]
        formats = {self.quantization.format_of(module) for module in modules}
        if len(formats) > 1:
            names = ", ".join(sorted(item.value for item in formats))
            raise CheckpointError(
                f"the experts' {name} are stored in several formats ({names})",
                where=prefix,
                remedy="Quantize the experts of one layer alike",
            )
        return formats.pop()
