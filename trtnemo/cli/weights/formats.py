"""The formats that `trtnemo quantize` is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trtnemo.errors import UsageError

if TYPE_CHECKING:
    from trtnemo.checkpoint import ModelConfig, QuantizationMap
    from trtnemo.checkpoint.format.encoder import Search
    from trtnemo.checkpoint.rewrite.maps.patterns import FormatMap

# named here too: their modules bring numpy, which `--help` does without
PRESET_NAMES = ("nvfp4", "fp8", "super", "super-nvfp4", "super-fp8", "nano-nvfp4", "ultra-nvfp4", "lightning-nvfp4")

# how ModelOpt's recipes of those releases choose scales of blocks; slower than by the largest number
RECIPE_SEARCHES = {"super-nvfp4": "mse", "ultra-nvfp4": "four-over-six", "lightning-nvfp4": "four-over-six"}


def read_formats_of(preset: str | None, map_file: Path | None) -> FormatMap:
    """Return formats by patterns, as ModelOpt is told them; raises UsageError for what names modules one by one."""
    from trtnemo.checkpoint.rewrite.maps.patterns import PRESETS
    from trtnemo.checkpoint.rewrite.maps.yaml_file import read_formats

    if map_file is not None:
        return read_formats(map_file)
    if preset not in PRESETS:
        raise UsageError(
            "with --calibration, formats go by kind of layer",
            remedy=f"Give --preset {', '.join(PRESETS)}, or --map FILE; or --input-scales-from instead",
        )
    return PRESETS[preset]


def read_map_of(
    config: ModelConfig, preset: str | None, map_file: Path | None, recipe_file: Path | None, fp8_kv_cache: bool
) -> tuple[QuantizationMap, Search]:
    """Return the format of each module of a network, and how scales of blocks are chosen; raises UsageError."""
    from trtnemo.checkpoint.rewrite.maps.modelopt_recipe import map_of_recipe
    from trtnemo.checkpoint.rewrite.maps.patterns import PRESETS, map_of_patterns
    from trtnemo.checkpoint.rewrite.maps.release import map_of_release
    from trtnemo.checkpoint.rewrite.maps.yaml_file import read_formats

    if recipe_file is not None:
        found, search = map_of_recipe(config, recipe_file)
        return replace(found, fp8_kv_cache=found.fp8_kv_cache and fp8_kv_cache), search
    if map_file is not None:
        return replace(map_of_patterns(config, read_formats(map_file), every=True), fp8_kv_cache=fp8_kv_cache), "max"
    if preset in PRESETS:
        return replace(map_of_patterns(config, PRESETS[preset], every=False), fp8_kv_cache=fp8_kv_cache), "max"
    found = map_of_release(config, str(preset))
    return replace(found, fp8_kv_cache=found.fp8_kv_cache and fp8_kv_cache), "max"
