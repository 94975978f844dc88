"""Write a phantom of Nemotron-3 Super: real headers over sparse files, so that 80 GB take a few megabytes.

usage: python tests/tools/phantom.py OUT [--precision nvfp4|bf16|fp8] [--shards 17]

Names, shapes and element types come from the public description of the released files, with none of trtnemo's code
(only the json files of trtnemo/checkpoint/family are read), so that the two can be compared. FP8 follows a rule that
was inferred: experts, shared experts, in_proj and out_proj.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FAMILY = Path(__file__).resolve().parents[2] / "trtnemo" / "checkpoint" / "family"
BYTES = {"BF16": 2, "F32": 4, "F8_E4M3": 1, "U8": 1}
Tensor = tuple[str, str, list[int]]  # name, element type, shape


def layer_shapes(config: dict[str, Any], kind: str) -> dict[str, list[int]]:
    """Return the shape of every unquantized tensor of a mixer, by its name below `mixer.`."""
    hidden, heads = config["hidden_size"], config["mamba_num_heads"]
    inner = heads * config["mamba_head_dim"]
    channels = inner + 2 * config["n_groups"] * config["ssm_state_size"]
    if kind == "M":
        return {
            "in_proj.weight": [inner + channels + heads, hidden],
            "out_proj.weight": [hidden, inner],
            "conv1d.weight": [channels, 1, config["conv_kernel"]],
            "conv1d.bias": [channels],
            "A_log": [heads],
            "D": [heads],
            "dt_bias": [heads],
            "norm.weight": [inner],
        }
    if kind == "*":
        queries = config["num_attention_heads"] * config["head_dim"]
        keys = config["num_key_value_heads"] * config["head_dim"]
        rows = {
            "q_proj": [queries, hidden],
            "k_proj": [keys, hidden],
            "v_proj": [keys, hidden],
            "o_proj": [hidden, queries],
        }
        return {f"{name}.weight": shape for name, shape in rows.items()}
    latent, width, shared = (
        config[key] for key in ("moe_latent_size", "moe_intermediate_size", "moe_shared_expert_intermediate_size")
    )
    shapes = {
        "gate.weight": [config["n_routed_experts"], hidden],
        "gate.e_score_correction_bias": [config["n_routed_experts"]],
        "fc1_latent_proj.weight": [latent, hidden],
        "fc2_latent_proj.weight": [hidden, latent],
        "shared_experts.up_proj.weight": [shared, hidden],
        "shared_experts.down_proj.weight": [hidden, shared],
    }
    for expert in range(config["n_routed_experts"]):
        shapes[f"experts.{expert}.up_proj.weight"] = [width, latent]
        shapes[f"experts.{expert}.down_proj.weight"] = [latent, width]
    return shapes


def formats(config: dict[str, Any], precision: str) -> dict[str, str]:
    """Return `FP8` or `NVFP4` by module, for those that are quantized."""
    if precision == "bf16":
        return {}
    if precision == "nvfp4":
        table = json.loads((FAMILY / "super-nvfp4.json").read_text(encoding="utf-8"))
        rows = [(kind.upper(), name, layers) for kind in ("fp8", "nvfp4") for name, layers in table[kind].items()]
    else:
        pattern = config["hybrid_override_pattern"]
        mamba, moe = ([i for i, kind in enumerate(pattern) if kind == wanted] for wanted in "ME")
        rows = [("FP8", name, mamba) for name in ("in_proj", "out_proj")]
        names = ("up_proj", "down_proj")
        rows += [("FP8", f"{group}.{name}", moe) for group in ("experts.{0..511}", "shared_experts") for name in names]
    found = {}
    for kind, name, layers in rows:
        for layer in layers:
            for expert in range(config["n_routed_experts"]) if "{0..511}" in name else (0,):
                found[f"backbone.layers.{layer}.mixer.{name.replace('{0..511}', str(expert))}"] = kind
    return found


def stored(name: str, shape: list[int], quantized: dict[str, str]) -> Iterator[Tensor]:
    """Yield a tensor as it is stored, with its scales."""
    module = name.removesuffix(".weight")
    kind = quantized.get(module)
    if kind is None:
        yield name, "F32" if name.endswith("e_score_correction_bias") else "BF16", shape
        return
    if kind == "FP8":
        yield name, "F8_E4M3", shape
        yield f"{module}.weight_scale", "F32", []
    else:
        yield name, "U8", [shape[0], shape[1] // 2]
        yield f"{module}.weight_scale", "F8_E4M3", [shape[0], shape[1] // 16]
        yield f"{module}.weight_scale_2", "F32", []
    yield f"{module}.input_scale", "F32", []


def tensors(config: dict[str, Any], quantized: dict[str, str], precision: str) -> Iterator[Tensor]:
    """Yield every tensor of the checkpoint, the draft head's last."""
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    yield "backbone.embeddings.weight", "BF16", [vocabulary, hidden]
    layers = [("backbone", i, kind) for i, kind in enumerate(config["hybrid_override_pattern"])]
    layers += [("mtp", i, kind) for i, kind in enumerate(config["mtp_hybrid_override_pattern"])]
    for place, index, kind in layers:
        prefix = f"{place}.layers.{index}"
        yield f"{prefix}.norm.weight", "BF16", [hidden]
        for name, shape in layer_shapes(config, kind).items():
            yield from stored(f"{prefix}.mixer.{name}", shape, quantized)
        if kind == "*" and place == "backbone" and precision != "bf16":
            yield f"{prefix}.mixer.k_proj.k_scale", "F32", []
            yield f"{prefix}.mixer.v_proj.v_scale", "F32", []
    yield "backbone.norm_f.weight", "BF16", [hidden]
    yield "lm_head.weight", "BF16", [vocabulary, hidden]
    yield "mtp.layers.0.enorm.weight", "BF16", [hidden]
    yield "mtp.layers.0.hnorm.weight", "BF16", [hidden]
    yield "mtp.layers.0.eh_proj.weight", "BF16", [hidden, 2 * hidden]
    yield "mtp.layers.1.final_layernorm.weight", "BF16", [hidden]


def write_shard(path: Path, content: list[Tensor]) -> None:
    """Write a header, and a hole as large as the tensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, kind, shape in content:
        begin, end = end, end + math.prod(shape) * BYTES[kind]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def write_phantom(output: Path, precision: str = "nvfp4", shards: int = 17) -> None:
    """Write config, quantization map, index and shards to `output`."""
    output.mkdir(parents=True)
    text = (FAMILY / "super.json").read_text(encoding="utf-8")
    (output / "config.json").write_text(text, encoding="utf-8")
    config = json.loads(text)
    quantized = formats(config, precision)
    if quantized:
        algorithm = "MIXED_PRECISION" if precision == "nvfp4" else "FP8"
        extra = {"NVFP4": {"group_size": 16}, "FP8": {}}
        layers = {name: {"quant_algo": kind, **extra[kind]} for name, kind in quantized.items()}
        plain = ["lm_head", "*.q_proj", "*.k_proj", "*.v_proj", "*.o_proj", "*_latent_proj", "mtp*"]
        block = {"quant_algo": algorithm, "kv_cache_quant_algo": "FP8"}
        block |= {"quantized_layers": layers} if precision == "nvfp4" else {"exclude_modules": plain}
        quant = {"producer": {"name": "modelopt", "version": "0.43.0"}, "quantization": block}
        (output / "hf_quant_config.json").write_text(json.dumps(quant), encoding="utf-8")
    content = list(tensors(config, quantized, precision))
    size, weight_map = math.ceil(len(content) / shards), {}
    for number in range(shards):
        name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = content[number * size : (number + 1) * size]
        write_shard(output / name, part)
        weight_map |= {tensor: name for tensor, _, _ in part}
    (output / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def main() -> None:
    """Write a phantom and say how large it looks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("output", type=Path)
    parser.add_argument("--precision", choices=("nvfp4", "bf16", "fp8"), default="nvfp4")
    parser.add_argument("--shards", type=int, default=17)
    options = parser.parse_args()
    write_phantom(options.output, options.precision, options.shards)
    files = list(options.output.glob("*.safetensors"))
    looks = sum(file.stat().st_size for file in files)
    takes = sum(file.stat().st_blocks * 512 for file in options.output.iterdir())
    print(f"{options.output}: {looks:,} bytes by their length, {takes:,} on disk")


if __name__ == "__main__":
    main()
