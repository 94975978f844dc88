"""config.json and the quantization map as they should have been written."""

from __future__ import annotations

import math
from typing import Any

from trtnemo.checkpoint.auditing.configs import has_written_infinity, spelled_by_transformers
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.config import LETTERS
from trtnemo.checkpoint.family.quantization import SENTINEL
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.rewrite.quantizing.quantization_files import layer_map

_LETTER_OF = {kind: letter for letter, kind in LETTERS.items()}
# readers go by the producer's name; which version wrote the weights is lost with the map
PRODUCER = {"name": "modelopt", "version": "unknown"}
Layers = dict[str, dict[str, Any]]
# rules after which the map is written as the tensors show it
FROM_TENSORS = frozenset({"format-mismatch", "maps-disagree", "experts-fused"})


def repaired_config(
    checkpoint: Checkpoint, rules: set[str], layers: Layers | None, *, keeps_head: bool
) -> dict[str, Any]:
    """Return config.json with what `rules` found mended; `keeps_head` where the MTP head comes from elsewhere.

    `layers` is the map as the tensors show it, where it is to be written so.
    """
    config = checkpoint.config
    raw: dict[str, Any] = clean_names(checkpoint.raw_config)
    if spelled_by_transformers(raw):
        raw["hybrid_override_pattern"] = "".join(_LETTER_OF[kind] for kind in config.layer_kinds)
        raw["num_hidden_layers"] = len(config.layer_kinds)
        raw.pop("layers_block_type")
        if config.mtp_layer_kinds:
            raw.pop("mtp_layers_block_type", None)
            raw["mtp_hybrid_override_pattern"] = "".join(_LETTER_OF[kind] for kind in config.mtp_layer_kinds)
    if has_written_infinity(raw.get("time_step_limit")):
        raw["time_step_limit"] = [config.time_step_limit[0], math.inf]
    if "mtp-missing" in rules and not keeps_head:
        raw["num_nextn_predict_layers"] = 0
        for key in ("mtp_layers_block_type", "mtp_hybrid_override_pattern"):
            raw.pop(key, None)
    block = raw.get("quantization_config")
    if layers == {}:
        raw.pop("quantization_config", None)
    elif isinstance(block, dict) or (layers and not checkpoint.quantizations):
        block = block if isinstance(block, dict) else _new_block(checkpoint)
        raw["quantization_config"] = repaired_block(block, layers, "ignore", has_head=config.has_mtp)
    return raw


def has_kv_scales(checkpoint: Checkpoint) -> bool:
    """Return whether scales of an FP8 KV cache are stored."""
    return any(name.endswith((".k_scale", ".v_scale")) for name in checkpoint.tensors)


def _new_block(checkpoint: Checkpoint) -> dict[str, Any]:
    block: dict[str, Any] = {"quant_method": "modelopt", "producer": PRODUCER}
    if has_kv_scales(checkpoint):
        block["kv_cache_scheme"] = {"dynamic": False, "num_bits": 8, "type": "float"}
    return block


def clean_names(value: Any) -> Any:
    """Return a JSON value with ModelOpt's sentinel taken out of every name."""
    if isinstance(value, dict):
        return {key.replace(SENTINEL, ""): clean_names(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean_names(item) for item in value]
    return value.replace(SENTINEL, "") if isinstance(value, str) else value


def repaired_layers(checkpoint: Checkpoint, rules: set[str]) -> Layers | None:
    """Return the map by module as the tensors show it, where one of `rules` asks for it."""
    if not rules & FROM_TENSORS:
        return None
    layers = layer_map({name: info.storage for name, info in checkpoint.tensors.items()})
    for module, entry in layers.items():
        if (
            checkpoint.quantization.format_of(module) is WeightFormat.NVFP4_WEIGHT_ONLY
            and entry["quant_algo"] == "NVFP4"
        ):
            entry["quant_algo"] = "W4A16_NVFP4"
    return layers


def repaired_block(block: dict[str, Any], layers: Layers | None, exclusions: str, *, has_head: bool) -> dict[str, Any]:
    """Return one of the two maps with clean names; with `layers`, it names every module and excludes none."""
    clean: dict[str, Any] = clean_names(block)
    if layers is not None:
        for key in (exclusions, "group_size", "config_groups"):
            clean.pop(key, None)
        return {**clean, "quant_algo": "MIXED_PRECISION" if layers else None, "quantized_layers": layers}
    names = clean.get(exclusions, [])
    is_uniform = clean.get("quant_algo") not in (None, "MIXED_PRECISION")
    if has_head and is_uniform and isinstance(names, list) and not any(name.startswith("mtp") for name in names):
        clean[exclusions] = [*names, "mtp*"]
    return clean
