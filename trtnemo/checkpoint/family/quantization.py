"""Which module is stored in which format: the checkpoint's own map, from either of its two files.

`hf_quant_config.json` and the `quantization_config` block of config.json say the same in different words; both are
read, and the first wins. Which layer is quantized comes from here, never from the layer's kind.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trtnemo.checkpoint.family.layout import PLAIN, Layout, modelopt_layout
from trtnemo.checkpoint.family.module_name import EMBEDDING, HEAD, self_and_parents
from trtnemo.checkpoint.family.tools.known import read_tool_map
from trtnemo.checkpoint.family.tools.tool_map import ToolMap
from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE, WeightFormat
from trtnemo.errors import CheckpointError
from trtnemo.files.json_file import read_json_object

# ModelOpt 0.47 appends this to every module name of this family, so that a literal reader finds none.
SENTINEL = ".\0backbone.pt_name_sentinel"


_ALGORITHMS = {
    "FP8": WeightFormat.FP8,
    "NVFP4": WeightFormat.NVFP4,
    "W4A16_NVFP4": WeightFormat.NVFP4_WEIGHT_ONLY,
}


_BITS = {8: "FP8", 4: "NVFP4"}  # of floating-point weights in `config_groups`


@dataclass(frozen=True)
class QuantizationMap:
    """The format of every module; modules that neither map nor rule names are plain."""

    layers: dict[str, WeightFormat] = field(default_factory=dict)
    uniform: WeightFormat = WeightFormat.PLAIN
    excluded: frozenset[str] = frozenset()
    excluded_patterns: tuple[str, ...] = ()
    fp8_kv_cache: bool = False
    producer: str | None = None
    source: str = ""
    damaged_names: bool = False
    fused_experts: bool = False
    tool: ToolMap | None = None

    def layout_of(self, module: str) -> Layout:
        """Return in which tensors a linear module, or the embedding, is stored."""
        if self.tool is not None:
            return self.tool.layout_of(module)
        found = self.format_of(module)
        # ModelOpt's recipe for Nemotron-3-Nano-4B (pull request 1327) has an FP8 head whose inputs are not quantized
        weight_only = found is WeightFormat.NVFP4_WEIGHT_ONLY or (module == HEAD and found is WeightFormat.FP8)
        return PLAIN if found is WeightFormat.PLAIN else modelopt_layout(found, not weight_only)

    def format_of(self, module: str) -> WeightFormat:
        """Return the format of a linear module such as `backbone.layers.0.mixer.in_proj`, or of the embedding."""
        if self.tool is not None:
            return self.tool.layout_of(module).format
        if module == EMBEDDING and module not in self.layers:
            return WeightFormat.PLAIN  # no linear layer, so a uniform algorithm leaves it
        names = list(self_and_parents(module))
        for name in names:
            if name in self.layers:
                return self.layers[name]
        # transformers drops the MTP head before ModelOpt sees it, so a uniform algorithm never covers it.
        if self.uniform is WeightFormat.PLAIN or module.startswith("mtp."):
            return WeightFormat.PLAIN
        return WeightFormat.PLAIN if self.excludes(module) else self.uniform

    @property
    def undecodable(self) -> str | None:
        """Why trtnemo's own runtimes cannot decode the weights; nothing where they can."""
        if self.tool is not None:
            what = f"its weights are {self.tool.title}"
            return f"{what}, which trtnemo's own runtimes do not decode ({self.tool.readers})"
        if self.layout_of(EMBEDDING).format is not WeightFormat.PLAIN:
            return "its token embedding is quantized, which trtnemo's own runtimes do not decode"
        return None

    def excludes(self, module: str) -> bool:
        """Return whether the exclusions name a module, one of its parents, or a pattern that fits it."""
        return any(name in self.excluded for name in self_and_parents(module)) or any(
            fnmatch.fnmatchcase(module, pattern) for pattern in self.excluded_patterns
        )


def read_quantizations(directory: Path, config: dict[str, Any]) -> list[QuantizationMap]:
    """Return the maps of the checkpoint in `directory`, whose config.json holds `config`: none, one or two.

    The first is the one to believe: hf_quant_config.json's where it is there, another tool's before any. Raises
    CheckpointError.
    """
    where = str(directory / "config.json")
    tool = read_tool_map(config, where)
    if tool is not None:
        return [QuantizationMap(tool=tool, fp8_kv_cache=tool.fp8_kv_cache, source=where)]
    maps = []
    file, block = directory / "hf_quant_config.json", config.get("quantization_config")
    if file.is_file():
        content = read_json_object(file)
        inner = content.get("quantization")
        if not isinstance(inner, dict):
            raise CheckpointError("has no 'quantization' object", where=str(file))
        maps.append(_parse(inner, inner.get("exclude_modules"), _producer(content), str(file)))
    if isinstance(block, dict) and (not maps or block.get("quant_algo") is not None):
        where = f"{directory / 'config.json'}: quantization_config"
        maps.append(_parse(block, block.get("ignore"), _producer(block), where))
    return maps


def read_quantization(directory: Path, config: dict[str, Any]) -> QuantizationMap:
    """Return the map to believe; one that names nothing where there is none. Raises CheckpointError."""
    return next(iter(read_quantizations(directory, config)), QuantizationMap())


def _producer(block: dict[str, Any]) -> str | None:
    producer = block.get("producer")
    if not isinstance(producer, dict):
        return None
    return f"{producer.get('name', '?')} {producer.get('version', '?')}"


def _parse(block: dict[str, Any], exclusions: Any, producer: str | None, where: str) -> QuantizationMap:
    algorithm = block.get("quant_algo")
    names = exclusions if exclusions is not None else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointError("its exclusions are not a list of names", where=where)
    clean = [name.replace(SENTINEL, "") for name in names]
    # newer exports name the modules in config_groups alone
    mixed = algorithm == "MIXED_PRECISION" or (
        algorithm is None and bool(block.get("quantized_layers") or block.get("config_groups"))
    )
    named = (block.get("quantized_layers") or _grouped(block, where)) if mixed else None
    layers = _layers(named, where) if mixed else {}
    uniform = WeightFormat.PLAIN if mixed or algorithm is None else _format(algorithm, block, where)
    return QuantizationMap(
        uniform=layers.pop("Linear", uniform),
        layers=layers,
        # what the map names is stored as the map says, whatever the exclusions say of it
        excluded=frozenset(
            name for name in clean if "*" not in name and layers.keys().isdisjoint(self_and_parents(name))
        ),
        excluded_patterns=tuple(name for name in clean if "*" in name),
        fp8_kv_cache=block.get("kv_cache_quant_algo") == "FP8" or block.get("kv_cache_scheme") is not None,
        producer=producer,
        source=where,
        damaged_names=clean != names or any(SENTINEL in name for name in named or ()),
        fused_experts=any(name.replace(SENTINEL, "").endswith(".experts") for name in named or ()),
    )


def _grouped(block: dict[str, Any], where: str) -> dict[str, Any] | None:
    """Return an entry for each module that `config_groups` names, as newer exports write instead of a map."""
    groups = block.get("config_groups")
    if not isinstance(groups, dict):
        return None
    layers: dict[str, Any] = {}
    for name, group in groups.items():
        weights = group.get("weights") if isinstance(group, dict) else None
        targets = group.get("targets") if isinstance(group, dict) else None
        if not isinstance(weights, dict) or not isinstance(targets, list) or weights.get("type") != "float":
            raise CheckpointError(
                f"config_groups: {name} has no 'targets', or no floating-point 'weights'", where=where
            )
        bits = weights.get("num_bits")
        algorithm = _BITS.get(bits) if isinstance(bits, int) else None
        if algorithm == "NVFP4" and "input_activations" not in group:
            algorithm = "W4A16_NVFP4"  # as modelopt.torch.export.convert_hf_config (0.47.0) writes it
        for target in targets:
            layers[str(target)] = {"quant_algo": algorithm, "group_size": weights.get("group_size")}
    return layers


def _layers(value: Any, where: str) -> dict[str, WeightFormat]:
    if not isinstance(value, dict) or not value:
        raise CheckpointError("is MIXED_PRECISION without a 'quantized_layers' map or 'config_groups'", where=where)
    result = {}
    for module, entry in value.items():
        if not isinstance(entry, dict):
            raise CheckpointError(f"the entry of {module} is not an object", where=where)
        result[module.replace(SENTINEL, "")] = _format(entry.get("quant_algo"), entry, f"{where}: {module}")
    return result


def _format(algorithm: Any, entry: dict[str, Any], where: str) -> WeightFormat:
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        known = ", ".join(_ALGORITHMS)
        raise CheckpointError(f"quant_algo {algorithm!r} is unknown (known: {known}, MIXED_PRECISION)", where=where)
    found = _ALGORITHMS[algorithm]
    if found.is_nvfp4 and entry.get("group_size") not in (None, BLOCK_SIZE):
        raise CheckpointError(f"NVFP4 with group_size {entry['group_size']}; only {BLOCK_SIZE} exists", where=where)
    return found
