"""The json files: names that ModelOpt spoils, maps that disagree, spellings that other readers stumble over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.expected import EMBEDDINGS, ExpectedTensor
from trtnemo.checkpoint.family.module_name import self_and_parents
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.rules import found
from trtnemo.findings import Finding

TRANSFORMERS_WORDS = frozenset({"linear_attention", "full_attention"})
_SENSITIVE = re.compile(r"backbone\.layers\.\d+\.mixer\.([qkvo]_proj|fc[12]_latent_proj)\.weight(_packed)?")


def config_findings(checkpoint: Checkpoint, expected: dict[str, ExpectedTensor]) -> Iterator[Finding]:
    """Yield what is wrong with config.json and the quantization maps."""
    raw = checkpoint.raw_config
    if spelled_by_transformers(raw):
        yield found("layers-spelling", "config.json", "spells its layers as transformers 5 does")
    if has_written_infinity(raw.get("time_step_limit")):
        yield found("time-step-limit", "config.json", 'its time_step_limit holds {"__float__": "Infinity"}')
    for one in checkpoint.quantizations:
        yield from _name_findings(one)
        yield from _unknown_names(one, expected)
    yield from _disagreement(checkpoint, expected)
    table = expected.get(EMBEDDINGS)
    if table is not None and table.weight_format is not None:
        yield found("embedding-quantized", EMBEDDINGS, f"is stored as {table.weight_format.value}, as the map says")
    for name, item in expected.items():
        if item.weight_format is not None and item.weight_format.is_nvfp4 and _SENSITIVE.fullmatch(name):
            yield found("sensitive-quantized", name, "is NVFP4; the release keeps it in BF16 or FP8")


def spelled_by_transformers(raw: dict[str, Any]) -> bool:
    """Return whether the layers are words of transformers 5, and no pattern of letters stands beside them."""
    words = raw.get("layers_block_type")
    is_spelled = isinstance(words, list) and any(word in TRANSFORMERS_WORDS for word in words)
    return is_spelled and not raw.get("hybrid_override_pattern")


def has_written_infinity(limit: Any) -> bool:
    """Return whether an infinity is written as an object."""
    return isinstance(limit, list) and any(isinstance(item, dict) for item in limit)


def _name_findings(quantization: QuantizationMap) -> Iterator[Finding]:
    file = _file(quantization)
    if quantization.damaged_names:
        yield found("names-damaged", file, "its module names carry ModelOpt's pt_name_sentinel; read without it")
    if quantization.fused_experts:
        yield found("experts-fused", file, "names a layer's experts as one module; read as all of them")


def _file(quantization: QuantizationMap) -> str:
    path, _, block = quantization.source.partition(": ")
    return f"{Path(path).name}: {block}" if block else Path(path).name


def _disagreement(checkpoint: Checkpoint, expected: dict[str, ExpectedTensor]) -> Iterator[Finding]:
    """Yield one finding for each layer that two maps see differently; weight-only is the same format."""
    if len(checkpoint.quantizations) < 2:
        return
    first, second = checkpoint.quantizations
    if _said(first) == _said(second):
        return
    for name, item in expected.items():
        module = name.rpartition(".")[0]
        if item.weight_format is None:
            continue
        one, other = first.format_of(module), second.format_of(module)
        if not one.stores_like(other):
            message = f"is {one.value} in {_file(first)} and {other.value} in {_file(second)}"
            yield found("maps-disagree", name, message)


def _said(one: QuantizationMap) -> tuple[object, ...]:
    return one.layers, one.uniform, one.excluded, one.excluded_patterns


def _unknown_names(one: QuantizationMap, expected: dict[str, ExpectedTensor]) -> Iterator[Finding]:
    """Yield the names of a map that are not linear layers of the network, nor a part of it that holds some."""
    known = {name.rpartition(".")[0] for name, item in expected.items() if item.weight_format is not None}
    strange = one.layers.keys() - known
    # thousands of modules have few parents, and a map made by an attacker may have any number of names
    parents = {parent for module in known for parent in self_and_parents(module)} if strange else set()
    for name in sorted(strange - parents):
        yield found("map-names-nothing", name, f"is in {_file(one)} and is not a linear layer of this network")
