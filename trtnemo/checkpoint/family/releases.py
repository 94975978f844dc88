"""The released family, as its public json files have it: enough to plan and audit without the hub.

Each map says where it is from. What nobody has published (Super's FP8 map, Ultra's NVFP4 one) follows a
rule or a recipe and is marked inferred.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trtnemo.checkpoint.family.config import ModelConfig, parse_config
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.errors import CheckpointError
from trtnemo.files.json_file import read_json_object

FOLDER = Path(__file__).resolve().parent
_SUPER, _NANO, _ULTRA = (
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B",
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B",
    "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B",
)
# hub id: config, map; RULE is Super's FP8 release: experts, shared experts and Mamba projections
_RULE = "rule:fp8"
RELEASES: dict[str, tuple[str, str | None]] = {
    f"{_SUPER}-BF16": ("super", None),
    f"{_SUPER}-FP8": ("super", _RULE),
    f"{_SUPER}-NVFP4": ("super", "super-nvfp4"),
    f"{_NANO}-BF16": ("nano", None),
    f"{_NANO}-NVFP4": ("nano", "nano-nvfp4"),
    f"{_ULTRA}-BF16": ("ultra", None),
    f"{_ULTRA}-NVFP4": ("ultra", "ultra-nvfp4"),
    "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4": ("lightning", "lightning-nvfp4"),
    "nvidia/Nemotron-H-56B-Base-8K": ("nemotron-h-56b", None),
}
_FP8_EXCLUDED = ("lm_head", "*.q_proj", "*.k_proj", "*.v_proj", "*.o_proj", "*_latent_proj", "mtp*")


@dataclass(frozen=True)
class Release:
    """One released model: its network, its map, and whether the map is inferred."""

    name: str
    config: ModelConfig
    quantization: QuantizationMap
    inferred: bool


def find_release(name: str) -> Release | None:
    """Return a released model by its hub id, or nothing."""
    return _read_release(name, FOLDER) if name in RELEASES else None


@functools.cache
def _read_release(name: str, folder: Path) -> Release:
    config_file, map_name = RELEASES[name]
    config = parse_config(read_json_object(folder / f"{config_file}.json"), f"{config_file}.json")
    if map_name == _RULE:
        rule = QuantizationMap(uniform=WeightFormat.FP8, excluded_patterns=_FP8_EXCLUDED, fp8_kv_cache=True)
        return Release(name, config, rule, inferred=True)
    if map_name is None:
        return Release(name, config, QuantizationMap(), inferred=False)
    path = folder / f"{map_name}.json"
    return Release(name, config, _read_map(path, config), inferred=bool(read_json_object(path).get("inferred")))


def release_named(name: str) -> Release | None:
    """Return the released model that a hub id, or the last part of a path, names."""
    last = name.rstrip("/").rpartition("/")[2]
    return next((find_release(known) for known in RELEASES if known.rpartition("/")[2] == last), None)


def release_config(name: str) -> dict[str, Any] | None:
    """Return the config.json of the release that a hub id, or the last part of a path, names, in whatever precision."""
    last = _without_precision(name.rstrip("/").rpartition("/")[2])
    known = next((known for known in RELEASES if _without_precision(known.rpartition("/")[2]) == last), None)
    return None if known is None else read_json_object(FOLDER / f"{RELEASES[known][0]}.json")


def _without_precision(name: str) -> str:
    return re.sub(r"-(BF16|FP8|NVFP4)$", "", name)


def _read_map(path: Path, config: ModelConfig) -> QuantizationMap:
    """Read the compact form: module below `mixer.` to layer numbers, by format; `{0..511}` stands for all experts."""
    content = read_json_object(path)
    if "source" not in content:
        raise CheckpointError("names no 'source', so it is not in the compact form of the maps here", where=str(path))
    layers = {module: WeightFormat(kind) for module, kind in content.get("modules", {}).items()}
    for kind in WeightFormat:
        for module, numbers in content.get(kind.value, {}).items():
            for number in numbers:
                layers |= dict.fromkeys(_modules(number, module, config), kind)
    return QuantizationMap(
        layers=layers,
        uniform=WeightFormat(content.get("uniform", "plain")),
        excluded=frozenset(content.get("exclude", ())),
        fp8_kv_cache=content.get("kv_cache") == "fp8",
        source=str(content["source"]),
    )


def _modules(layer: int, module: Any, config: ModelConfig) -> list[str]:
    head, brace, tail = str(module).partition("{")
    if not brace:
        return [f"backbone.layers.{layer}.mixer.{module}"]
    rest = tail.partition("}")[2]
    return [f"backbone.layers.{layer}.mixer.{head}{expert}{rest}" for expert in range(config.n_routed_experts)]
