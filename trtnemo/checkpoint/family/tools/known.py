"""Which tool quantized a checkpoint, by what config.json, its tensors or its files say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from trtnemo.checkpoint.family.tools.block_fp8 import read_block_fp8
from trtnemo.checkpoint.family.tools.compressed_tensors import read_compressed_tensors
from trtnemo.checkpoint.family.tools.integers import read_awq, read_gptq
from trtnemo.checkpoint.family.tools.mlx import read_mlx
from trtnemo.checkpoint.family.tools.tool import find_tool
from trtnemo.checkpoint.family.tools.tool_map import ToolMap
from trtnemo.errors import CheckpointError

_SIZED: dict[str, Callable[[dict[str, Any], str], ToolMap]] = {
    "compressed-tensors": read_compressed_tensors,
    "awq": read_awq,
    "gptq": read_gptq,
    "fp8": read_block_fp8,
}
_MODELOPT = (None, "modelopt", "modelopt_fp4", "modelopt_mixed")
_MODELOPT_KEYS = frozenset({"quant_algo", "quantized_layers", "producer", "ignore", "kv_cache_scheme"})
_REMEDY = "Use a ModelOpt export (NVFP4, FP8) or the BF16 checkpoint"
# last parts of tensor names that no checkpoint of ModelOpt or in BF16 has
_TENSORS = {
    "weight_packed": "compressed-tensors", "weight_global_scale": "compressed-tensors", "qweight": "AWQ or GPTQ",
    "weight_scale_inv": "FP8 by blocks", "biases": "MLX", "absmax": "bitsandbytes",
    "bitsandbytes__nf4": "bitsandbytes", "bitsandbytes__fp4": "bitsandbytes",
}  # fmt: skip


def read_tool_map(config: dict[str, Any], where: str) -> ToolMap | None:
    """Return the map of another tool, or nothing where the config names none; `where` is config.json.

    Raises CheckpointError, by the tool's name, for one that is not sized here.
    """
    mlx = config.get("quantization")
    if isinstance(mlx, dict) and "group_size" in mlx:
        return read_mlx(mlx, f"{where}: quantization")
    key = "quantization_config" if config.get("quantization_config") else "compression_config"  # before 2024-10
    block = config.get(key)
    if not isinstance(block, dict) or not block or block.get("quant_algo") is not None:
        return None
    where = f"{where}: {key}"
    method = block.get("quant_method")
    if method is None:
        method = _unsaid(block)
        if method == "mlx":
            return read_mlx(block, where)
    if method in _MODELOPT:
        return None
    if isinstance(method, str) and method in _SIZED:
        return _SIZED[method](block, where)
    raise _refusal(method, block, where)


def _unsaid(block: dict[str, Any]) -> str | None:
    """Return the method of a block that does not say it."""
    if "load_in_4bit" in block or "load_in_8bit" in block:
        return "bitsandbytes"
    if "quantization_status" in block or ("config_groups" in block and "format" in block):
        return "compressed-tensors"
    if "group_size" in block and "bits" in block:
        return "mlx"
    return None if _MODELOPT_KEYS & block.keys() or "config_groups" in block else "unsaid"


def _refusal(method: Any, block: dict[str, Any], where: str) -> CheckpointError:
    if method == "unsaid":
        return CheckpointError("says of no tool that quantized the weights", where=where, remedy=_REMEDY)
    tool = find_tool(str(method))
    kind = block.get("bnb_4bit_quant_type") if block.get("load_in_4bit") else None
    more = f", {kind}" if isinstance(kind, str) else ""
    detail = ", a method not known here" if tool is None else f" ({tool.title}{more})"
    return CheckpointError(
        f"its weights are quantized as {method!r}{detail}, which is not read here",
        where=where,
        remedy=f"{'Its own loader reads it' if tool is None else tool.readers}. {_REMEDY}",
    )


def refuse_unsaid_tool(names: Iterable[str], where: str) -> None:
    """Raise CheckpointError where tensors are another tool's and config.json says nothing of it."""
    for name in names:
        tool = _TENSORS.get(name.rpartition(".")[2])
        if tool is not None:
            raise CheckpointError(
                f"holds tensors of {tool} ({name}), and its config.json does not say so",
                where=where,
                remedy="Take config.json from where the weights are from",
            )


def refuse_gguf(files: Iterable[str], where: str) -> None:
    """Raise CheckpointError for a place that holds GGUF files and no checkpoint in the hub's layout."""
    names = sorted(files)
    gguf = [name for name in names if name.lower().endswith(".gguf")]
    if gguf and not any(name.endswith(".safetensors") for name in names):
        raise CheckpointError(
            f"holds GGUF ({gguf[0]}), not safetensors",
            where=where,
            remedy="llama.cpp and programs built on it read it; give the checkpoint that it was made from",
        )
