"""A map without quantized inputs."""

from __future__ import annotations

from dataclasses import replace

from trtnemo.checkpoint.family.module_name import HEAD
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.family.weight_format import WeightFormat


def weight_only(chosen: QuantizationMap) -> tuple[QuantizationMap, int]:
    """Return (the map with NVFP4 weights alone and a plain KV cache, how many FP8 layers stay plain in it).

    Readers multiply FP8 weights with FP8 inputs, whose scale nobody knows here; the head's inputs are never quantized.
    """
    layers, plain = {}, 0
    for module, found in chosen.layers.items():
        if found.is_nvfp4:
            layers[module] = WeightFormat.NVFP4_WEIGHT_ONLY
        elif found is WeightFormat.FP8 and module == HEAD:
            layers[module] = found
        else:
            plain += found is WeightFormat.FP8
    uniform = WeightFormat.NVFP4_WEIGHT_ONLY if chosen.uniform.is_nvfp4 else WeightFormat.PLAIN
    return replace(chosen, layers=layers, uniform=uniform, fp8_kv_cache=False), plain
