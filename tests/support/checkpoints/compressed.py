"""Turn a random checkpoint into compressed-tensors' form, as its package (0.20.1) names and shapes the tensors.

It shares nothing with trtnemo: names and shapes were compared with what that package makes of real linear layers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.support.checkpoints.spoil import Tensors, edit_config, edit_tensors

NVFP4_WEIGHTS = {
    "num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16, "symmetric": True, "dynamic": False,
}  # fmt: skip
NVFP4_INPUTS = {**NVFP4_WEIGHTS, "dynamic": "local"}
FP8_WEIGHTS = {"num_bits": 8, "type": "float", "symmetric": True, "dynamic": False}


def block(groups: dict[str, Any], ignore: list[str], form: str, **more: Any) -> dict[str, Any]:
    """Return a quantization block."""
    return {
        "quant_method": "compressed-tensors", "quantization_status": "compressed", "format": form,
        "config_groups": groups, "ignore": ignore, **more,
    }  # fmt: skip


def compress_nvfp4(directory: Path) -> None:
    """Rewrite an `nvfp4` checkpoint in place: codes and block scales as they are, global scales turned over."""

    def rename(tensors: Tensors) -> None:
        for module in [name.removesuffix(".weight_scale_2") for name in tensors if name.endswith(".weight_scale_2")]:
            tensors[f"{module}.weight_packed"] = tensors.pop(f"{module}.weight")
            tensors[f"{module}.weight_global_scale"] = 1 / tensors.pop(f"{module}.weight_scale_2").reshape(1)
            tensors[f"{module}.input_global_scale"] = 1 / tensors.pop(f"{module}.input_scale").reshape(1)

    edit_tensors(directory, rename)
    group = {"targets": ["Linear"], "weights": NVFP4_WEIGHTS, "input_activations": NVFP4_INPUTS}
    _declare(directory, block({"group_0": group}, _ignored(directory), "nvfp4-pack-quantized"))


def compress_fp8(directory: Path, strategy: str) -> None:
    """Rewrite a `bf16` checkpoint in place: experts and Mamba projections in FP8, by tensor, channel or block."""

    def quantize(tensors: Tensors) -> None:
        for name in [name for name in tensors if _is_wide(name)]:
            module, weight = name.removesuffix(".weight"), tensors[name].float()
            scale, spread = _scales(weight, strategy)
            tensors[name] = (weight / spread).to(torch.float8_e4m3fn)
            tensors[f"{module}.weight_scale"] = scale.to(torch.bfloat16)
            if strategy == "tensor":
                tensors[f"{module}.input_scale"] = torch.full((1,), 0.02, dtype=torch.bfloat16)

    edit_tensors(directory, quantize)
    weights: dict[str, Any] = {**FP8_WEIGHTS, "strategy": strategy}
    if strategy == "block":
        weights["block_structure"] = [128, 128]
    inputs = {"num_bits": 8, "type": "float", "dynamic": strategy != "tensor"}
    targets = [r"re:backbone\..*\.experts\.\d+\.(up|down)_proj$", r"re:backbone\..*mixer\.(in|out)_proj$"]
    group = {"targets": targets, "weights": weights, "input_activations": inputs}
    _declare(directory, block({"group_0": group}, ["lm_head"], "float-quantized"))


def _is_wide(name: str) -> bool:
    is_expert = ".experts." in name
    return name.startswith("backbone.") and (is_expert or name.endswith((".in_proj.weight", ".out_proj.weight")))


def _scales(weight: torch.Tensor, strategy: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scales, and the same spread over the weight."""
    if strategy == "tensor":
        scale = (weight.abs().max() / 448).reshape(1)
        return scale, scale.reshape(1, 1).expand_as(weight)
    if strategy == "channel":
        scale = weight.abs().amax(1, keepdim=True) / 448
        return scale, scale.expand_as(weight)
    rows, columns = weight.shape
    grid = torch.zeros(-(-rows // 128), -(-columns // 128))
    for row in range(grid.shape[0]):
        for column in range(grid.shape[1]):
            cut = weight[row * 128 : (row + 1) * 128, column * 128 : (column + 1) * 128]
            grid[row, column] = cut.abs().max() / 448
    spread = grid.repeat_interleave(128, 0).repeat_interleave(128, 1)[:rows, :columns]
    return grid, spread


def _ignored(directory: Path) -> list[str]:
    """Return what stayed wide: the map of the checkpoint before, by name, and a pattern as llm-compressor takes."""
    excluded = json.loads((directory / "hf_quant_config.json").read_text())["quantization"]["exclude_modules"]
    return [name for name in excluded if "_proj" in name or name == "lm_head"] + [r"re:mtp\..*"]


def _declare(directory: Path, quantization: dict[str, Any]) -> None:
    (directory / "hf_quant_config.json").unlink(missing_ok=True)
    edit_config(directory, quantization_config=quantization)
