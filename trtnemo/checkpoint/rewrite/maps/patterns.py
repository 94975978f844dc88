"""Formats by patterns of module names, as a preset or a YAML file gives them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Literal

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.checkpoint.family.expected import expected_tensors
from trtnemo.checkpoint.family.module_name import DRAFT, self_and_parents
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.errors import UsageError

Format = Literal["nvfp4", "fp8", "bf16"]
FormatMap = Mapping[str, Format]
_LINEARS = ("*.mixer.experts", "*.mixer.shared_experts", "*.mixer.in_proj", "*.mixer.out_proj")
PRESETS: dict[str, dict[str, Format]] = {
    "nvfp4": dict.fromkeys(_LINEARS, "nvfp4"),
    "fp8": dict.fromkeys(_LINEARS, "fp8"),
    # as ModelOpt's own recipe for Super: experts NVFP4, Mamba and shared experts FP8
    "super": {**dict.fromkeys(_LINEARS, "fp8"), "*.mixer.experts": "nvfp4"},
}
_FORMATS = {"nvfp4": WeightFormat.NVFP4, "fp8": WeightFormat.FP8, "bf16": WeightFormat.PLAIN}


def linear_names(config: ModelConfig) -> list[str]:
    """Return every linear layer by its module, each expert's too, and the MTP head's."""
    return [item.module for item in expected_tensors(config, QuantizationMap()) if item.weight_format is not None]


def map_of_patterns(config: ModelConfig, formats: FormatMap, *, every: bool) -> QuantizationMap:
    """Return the map that patterns mean: later ones win, what none names stays plain.

    The MTP head is named by patterns that begin with it alone. Raises UsageError for an unknown format, and where no
    pattern names a linear layer, or, with `every`, one of them names none.
    """
    unknown = sorted(set(formats.values()) - set(_FORMATS))
    if unknown:
        raise UsageError(f"'{unknown[0]}' is not a known format ({', '.join(_FORMATS)})")
    names = linear_names(config)
    layers: dict[str, WeightFormat] = {}
    for pattern, chosen in formats.items():
        fitting = list(_fitting(names, pattern))
        if every and not fitting:
            raise UsageError(f"no linear layer fits the pattern {pattern!r}", remedy=f"Such as {names[0]}")
        layers |= dict.fromkeys(fitting, _FORMATS[chosen])
    if not layers:
        raise UsageError(f"no pattern fits a linear layer: {', '.join(formats)}", remedy=f"Such as {names[0]}")
    return QuantizationMap(layers={name: chosen for name, chosen in layers.items() if chosen is not WeightFormat.PLAIN})


def fits(module: str, pattern: str) -> bool:
    """Return whether a pattern names a module or one of its parents: `*.layers.1` is no `*.layers.10`."""
    return any(fnmatch.fnmatchcase(name, pattern) for name in self_and_parents(module))


def _fitting(names: Iterable[str], pattern: str) -> Iterable[str]:
    return (name for name in names if fits(name, pattern) and (pattern.startswith(DRAFT) or not name.startswith(DRAFT)))
