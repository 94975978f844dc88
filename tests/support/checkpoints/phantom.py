"""Write a phantom of Nemotron-3 Super or a relative: real headers over holes, so that 80 GB take a few megabytes.

usage: python tests/support/checkpoints/phantom.py OUT [--model super] [--precision nvfp4|bf16|fp8] [--shards 17]

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

FAMILY = Path(__file__).resolve().parents[3] / "trtnemo" / "checkpoint" / "family"
BYTES = {"BF16": 2, "F32": 4, "F8_E4M3": 1, "U8": 1}
Tensor = tuple[str, str, list[int]]  # name, element type, shape


WORDS = {"mamba": "M", "linear_attention": "M", "attention": "*", "full_attention": "*", "moe": "E", "mlp": "-"}
MAPS = {"super": "super-nvfp4.json", "nano": "nano-nvfp4.json", "lightning": "lightning-nvfp4.json"}


def pattern(config: dict[str, Any], letters: str, words: str) -> str:
    """Return the layers as letters, whichever spelling the config has."""
    return config.get(letters) or "".join(WORDS[word] for word in config.get(words) or ())


def layer_shapes(config: dict[str, Any], kind: str) -> dict[str, list[int]]:
    """Return the shape of every unquantized tensor of a mixer, by its name below `mixer.`."""
    hidden, heads = config["hidden_size"], config["mamba_num_heads"]
    if kind == "M":
        inner = heads * config["mamba_head_dim"]
        channels = inner + 2 * config["n_groups"] * config["ssm_state_size"]
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
        size = config.get("head_dim") or config["attention_head_dim"]
        queries, keys = (config[key] * size for key in ("num_attention_heads", "num_key_value_heads"))
        rows = {
            "q_proj": [queries, hidden],
            "k_proj": [keys, hidden],
            "v_proj": [keys, hidden],
            "o_proj": [hidden, queries],
        }
        return {f"{name}.weight": shape for name, shape in rows.items()}
    if kind == "-":
        width = config["intermediate_size"]
        return {"up_proj.weight": [width, hidden], "down_proj.weight": [hidden, width]}
    return expert_shapes(config)


def expert_shapes(config: dict[str, Any]) -> dict[str, list[int]]:
    """Return the shapes of a MoE layer, with or without latent projections."""
    hidden, latent = config["hidden_size"], config.get("moe_latent_size")
    width, shared = config["moe_intermediate_size"], config["moe_shared_expert_intermediate_size"]
    shapes = {
        "gate.weight": [config["n_routed_experts"], hidden],
        "gate.e_score_correction_bias": [config["n_routed_experts"]],
        "shared_experts.up_proj.weight": [shared, hidden],
        "shared_experts.down_proj.weight": [hidden, shared],
    }
    if latent:
        shapes |= {"fc1_latent_proj.weight": [latent, hidden], "fc2_latent_proj.weight": [hidden, latent]}
    for expert in range(config["n_routed_experts"]):
        shapes[f"experts.{expert}.up_proj.weight"] = [width, latent or hidden]
        shapes[f"experts.{expert}.down_proj.weight"] = [latent or hidden, width]
    return shapes


def formats(config: dict[str, Any], precision: str, model: str = "super") -> dict[str, str]:
    """Return `FP8`, `NVFP4` or `W4A16_NVFP4` by module, for those that are quantized."""
    if precision == "bf16":
        return {}
    layers = pattern(config, "hybrid_override_pattern", "layers_block_type")
    experts = config.get("n_routed_experts", 0)
    if precision == "nvfp4":
        table = json.loads((FAMILY / MAPS[model]).read_text(encoding="utf-8"))
        if "uniform" in table:
            return uniform(config, layers, table["exclude"])
        names = {"fp8": "FP8", "nvfp4": "NVFP4", "nvfp4_weight_only": "W4A16_NVFP4"}
        rows = [(names[kind], name, places) for kind in names for name, places in table.get(kind, {}).items()]
        found = {module: names[kind] for module, kind in table.get("modules", {}).items()}
    else:
        mamba, moe = ([i for i, kind in enumerate(layers) if kind == wanted] for wanted in "ME")
        rows, found = [("FP8", name, mamba) for name in ("in_proj", "out_proj")], {}
        pairs = [
            f"{group}.{name}" for group in ("experts.{all}", "shared_experts") for name in ("up_proj", "down_proj")
        ]
        rows += [("FP8", name, moe) for name in pairs]
    for kind, name, places in rows:
        head, brace, tail = name.partition("{")
        for layer in places:
            for expert in range(experts) if brace else ("",):
                found[f"backbone.layers.{layer}.mixer.{head}{expert}{tail.partition('}')[2]}"] = kind
    return found


def uniform(config: dict[str, Any], layers: str, excluded: list[str]) -> dict[str, str]:
    """Return NVFP4 for every linear layer that is not excluded; router and convolution are not linear layers."""
    found = {}
    for index, kind in enumerate(layers):
        for name, shape in layer_shapes(config, kind).items():
            module = f"backbone.layers.{index}.mixer.{name.removesuffix('.weight')}"
            if len(shape) == 2 and not name.startswith("gate.") and module not in excluded:
                found[module] = "NVFP4"
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
    backbone = pattern(config, "hybrid_override_pattern", "layers_block_type")
    head = pattern(config, "mtp_hybrid_override_pattern", "mtp_layers_block_type")
    head = head if config.get("num_nextn_predict_layers") else ""
    layers = [("backbone", i, kind) for i, kind in enumerate(backbone)]
    layers += [("mtp", i, kind) for i, kind in enumerate(head)]
    for place, index, kind in layers:
        prefix = f"{place}.layers.{index}"
        yield f"{prefix}.norm.weight", "BF16", [hidden]
        for name, shape in layer_shapes(config, kind).items():
            yield from stored(f"{prefix}.mixer.{name}", shape, quantized)
        if kind == "*" and place == "backbone" and precision != "bf16":
            yield f"{prefix}.mixer.k_proj.k_scale", "F32", []
            yield f"{prefix}.mixer.v_proj.v_scale", "F32", []
    yield "backbone.norm_f.weight", "BF16", [hidden]
    yield from stored("lm_head.weight", [vocabulary, hidden], quantized)
    if not head:
        return
    yield "mtp.layers.0.enorm.weight", "BF16", [hidden]
    yield "mtp.layers.0.hnorm.weight", "BF16", [hidden]
    yield "mtp.layers.0.eh_proj.weight", "BF16", [hidden, 2 * hidden]
    yield f"mtp.layers.{len(head) - 1}.final_layernorm.weight", "BF16", [hidden]


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


def write_phantom(output: Path, precision: str = "nvfp4", shards: int = 17, model: str = "super") -> None:
    """Write config, quantization map, index and shards to `output`."""
    output.mkdir(parents=True)
    text = (FAMILY / f"{model}.json").read_text(encoding="utf-8")
    (output / "config.json").write_text(text, encoding="utf-8")
    config = json.loads(text)
    quantized = formats(config, precision, model)
    if quantized:
        algorithm = "MIXED_PRECISION" if precision == "nvfp4" else "FP8"
        extra = {"NVFP4": {"group_size": 16}, "W4A16_NVFP4": {"group_size": 16}, "FP8": {}}
        layers = {name: {"quant_algo": kind, **extra[kind]} for name, kind in quantized.items()}
        plain = ["lm_head", "*.q_proj", "*.k_proj", "*.v_proj", "*.o_proj", "*_latent_proj", "mtp*"]
        block: dict[str, Any] = {"quant_algo": algorithm, "kv_cache_quant_algo": "FP8"}
        block |= {"quantized_layers": layers} if precision == "nvfp4" else {"exclude_modules": plain}
        quant = {"producer": {"name": "modelopt", "version": "0.43.0"}, "quantization": block}
        (output / "hf_quant_config.json").write_text(json.dumps(quant), encoding="utf-8")
    content = list(tensors(config, quantized, precision))
    size = math.ceil(len(content) / shards)
    weight_map: dict[str, str] = {}
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
    parser.add_argument("--model", choices=("super", "nano", "ultra", "lightning", "nemotron-h-56b"), default="super")
    parser.add_argument("--shards", type=int, default=17)
    options = parser.parse_args()
    write_phantom(options.output, options.precision, options.shards, options.model)
    files = list(options.output.glob("*.safetensors"))
    looks = sum(file.stat().st_size for file in files)
    takes = sum(file.stat().st_blocks * 512 for file in options.output.iterdir())
    note = "; FP8 by an inferred rule, the released map is not public" if options.precision == "fp8" else ""
    print(f"{options.output}: {looks:,} bytes by their length, {takes:,} on disk{note}")


if __name__ == "__main__":
    main()
