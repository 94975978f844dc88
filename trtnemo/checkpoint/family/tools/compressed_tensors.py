"""compressed-tensors, as llm-compressor writes it: groups of targets, and what they ignore.

Source: compressed-tensors 0.20.1, quantization/quant_config.py (the block), utils/match.py (targets and ignore),
quantization/lifecycle/apply.py: a name before a pattern before a class, patterns in alphabetical order,
and the later group where two have the same target.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from trtnemo.checkpoint.family.layout import PLAIN, Layout
from trtnemo.checkpoint.family.module_name import DRAFT, EMBEDDING, compile_patterns, spellings
from trtnemo.checkpoint.family.tools.compressed_layout import PackedNvfp4, ScaledFp8
from trtnemo.checkpoint.family.tools.config_value import read_block, read_names
from trtnemo.checkpoint.family.tools.tool_map import ToolMap
from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE
from trtnemo.errors import CheckpointError

TOOL = "compressed-tensors"
_CLASSES = ("Linear", "Embedding")
_PACKED = {
    "pack-quantized": "packed whole numbers", "int-quantized": "int8", "marlin-24": "2:4 sparse",
    "mxfp4-pack-quantized": "MXFP4", "mxfp6-pack-quantized": "MXFP6", "mxfp8-quantized": "MXFP8",
}  # fmt: skip


@dataclass(frozen=True)
class Names:
    """Module names, patterns and classes that a list of targets or `ignore` holds."""

    exact: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    classes: frozenset[str]

    def rank(self, module: str) -> tuple[int, str] | None:
        """Return 0 where the module is named, 1 and the pattern, or 2 for its class; nothing where it is not meant."""
        names = spellings(module)
        if any(name in self.exact for name in names):
            return 0, ""
        patterns = [each.pattern for each in self.patterns if any(each.match(name) for name in names)]
        if patterns:
            return 1, min(patterns)
        # transformers never loads the draft head, so what is meant by its class does not reach it
        is_meant = ("Embedding" if module == EMBEDDING else "Linear") in self.classes
        return (2, "") if is_meant and not module.startswith(DRAFT) else None


@dataclass(frozen=True)
class CompressedTensors(ToolMap):
    """Groups in their order, and what none of them reaches."""

    groups: tuple[tuple[Names, Layout], ...] = ()
    ignored: Names = field(default_factory=lambda: Names(frozenset(), (), frozenset()))

    def layout_of(self, module: str) -> Layout:
        """Return the layout of the group that means the module most closely."""
        if module in self.stored:
            return self.stored[module]
        if self.ignored.rank(module) is not None:
            return PLAIN
        ranks = [(rank, layout) for names, layout in reversed(self.groups) if (rank := names.rank(module)) is not None]
        return min(ranks, key=lambda pair: pair[0])[1] if ranks else PLAIN


def read_compressed_tensors(block: dict[str, Any], where: str) -> CompressedTensors:
    """Return the map of a block; raises CheckpointError, by its name, for a format that is not sized here."""
    groups = block.get("config_groups")
    _refuse_other_forms(block, where)
    if not isinstance(groups, dict) or not groups:
        raise CheckpointError(f"is {TOOL} without 'config_groups'", where=where)
    read = tuple(_read_group(name, group, block.get("format"), where) for name, group in groups.items())
    ignored = _read_names(read_names(block.get("ignore"), "ignore", where), where, of_targets=False)
    layouts = tuple(dict.fromkeys(layout for _, layout in read if layout is not PLAIN))
    if not layouts:
        raise CheckpointError(f"is {TOOL}, and no group has 'weights'", where=where)
    cache = block.get("kv_cache_scheme")
    return CompressedTensors(
        title=f"{TOOL} {', '.join(dict.fromkeys(map(_title, layouts)))}",
        method=TOOL,
        layouts=layouts,
        groups=read,
        ignored=ignored,
        fp8_kv_cache=isinstance(cache, dict) and cache.get("num_bits") == 8 and cache.get("type") == "float",
    )


def _title(layout: Layout) -> str:
    if isinstance(layout, PackedNvfp4):
        return "NVFP4" if layout.quantizes_inputs else "NVFP4 (weights alone)"
    scales = layout.scales if isinstance(layout, ScaledFp8) else "tensor"
    return f"FP8 (a scale for each {scales if isinstance(scales, str) else f'block of {scales[0]}x{scales[1]}'})"


def _refuse_other_forms(block: dict[str, Any], where: str) -> None:
    """Raise for weights that are not compressed yet, sparse ones, and transforms, which add tensors of their own."""
    sparsity, form = block.get("sparsity_config"), block.get("format")
    if isinstance(sparsity, dict) and sparsity.get("format") not in (None, "dense"):
        raise _refusal(f"sparse ({sparsity['format']})", where)
    if block.get("transform_config"):
        raise _refusal("transformed ('transform_config')", where)
    if form == "dense" or block.get("quantization_status") in ("initialized", "calibration", "frozen"):
        raise _refusal("not compressed yet: its weights are wide, with scales beside them", where)


def _refusal(what: str, where: str) -> CheckpointError:
    return CheckpointError(
        f"its weights are quantized by {TOOL}: {what}, which is not read here",
        where=where,
        remedy="`trtnemo plan` sizes NVFP4 and FP8 of it; try the server that it was made for",
    )


def _read_group(name: str, group: Any, form: Any, where: str) -> tuple[Names, Layout]:
    targets = group.get("targets") if isinstance(group, dict) else None
    if not isinstance(targets, list) or not targets:
        raise CheckpointError(f"config_groups: {name} has no 'targets'", where=where)
    here = f"{where}: {name}"
    return _read_names(read_names(targets, "targets", here), here), _read_layout(group, group.get("format", form), here)


def _read_names(names: list[str], where: str, of_targets: bool = True) -> Names:
    patterns = [name.removeprefix("re:") for name in names if name.startswith("re:")]
    classes = [name for name in names if name in _CLASSES]
    exact = frozenset(names) - set(classes) - {f"re:{pattern}" for pattern in patterns}
    strange = [name for name in sorted(exact) if "." not in name and not name.islower()]
    if strange and of_targets:
        known = " and ".join(_CLASSES)
        raise CheckpointError(f"targets the class {strange[0]!r}; {known} are known here", where=where)
    return Names(exact, compile_patterns(patterns, where), frozenset(classes))


def _read_layout(group: dict[str, Any], form: Any, where: str) -> Layout:
    weights, inputs = group.get("weights"), group.get("input_activations")
    if weights is None:
        return PLAIN
    if not isinstance(weights, dict):
        raise CheckpointError("its 'weights' are not an object", where=where)
    bits, size = weights.get("num_bits"), weights.get("group_size")
    # inputs with scales of their own: `local` ones have a global scale
    is_static = isinstance(inputs, dict) and inputs.get("dynamic") is not True
    if weights.get("type") != "float" or weights.get("symmetric") is False or str(form) in _PACKED:
        raise _refusal(_other(weights, form), where)
    if bits == 4 and size == BLOCK_SIZE:
        return PackedNvfp4(is_static)
    strategy = weights.get("strategy") or ("tensor" if size is None else "channel" if size == -1 else "group")
    if bits == 8 and strategy in ("tensor", "channel"):
        return ScaledFp8("tensor" if strategy == "tensor" else "channel", is_static)
    if bits == 8 and strategy == "block":
        return ScaledFp8(read_block(weights.get("block_structure"), "block_structure", where), is_static)
    raise _refusal(_other(weights, form), where)


def _other(weights: dict[str, Any], form: Any) -> str:
    """Say what weights are that are neither NVFP4 nor FP8."""
    bits, kind, size = (weights.get(key) for key in ("num_bits", "type", "group_size"))
    groups = f" in groups of {size}" if isinstance(size, int) and size > 0 else ""
    known = f"{form}, " if str(form) in _PACKED else ""
    return f"{known}{kind}{bits}{groups}{', asymmetric' if weights.get('symmetric') is False else ''}"
