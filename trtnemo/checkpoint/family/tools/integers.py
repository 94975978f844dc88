"""AWQ and GPTQ: whole numbers of a few bits, packed in int32, with a scale and a zero point for each group of inputs.

Source: AutoAWQ awq/modules/linear/gemm.py (030fe2a), GPTQModel qlinear_torch.py (0326109) and quantization/config.py
(dynamic_get); transformers 5.23 AwqConfig and GPTQConfig for the keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from trtnemo.checkpoint.family.layout import PLAIN, Layout, Part
from trtnemo.checkpoint.family.module_name import DRAFT, EMBEDDING, HEAD, compile_patterns, spellings
from trtnemo.checkpoint.family.tools.config_value import read_names, read_size
from trtnemo.checkpoint.family.tools.tool_map import ToolMap
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.errors import CheckpointError

_REMEDY = "Try the server that it was made for"
_AWQ_FORMS, _GPTQ_FORMS = ("gemm", "marlin", "exllama", "ipex", None), ("gptq", "gptq_v2", None)


@dataclass(frozen=True)
class PackedIntegers:
    """Weights [inputs, outputs] in int32; a group of -1 is the whole row. GPTQ adds each input's group."""

    bits: int
    group: int
    along_outputs: bool  # AWQ packs outputs together, GPTQ inputs
    has_order: bool

    @property
    def format(self) -> WeightFormat:
        """Whole numbers."""
        return WeightFormat.INTEGER

    def parts(self, rows: int, columns: int, plain: StorageType) -> tuple[Part, ...]:
        """Return codes, zero points, scales and, of GPTQ, `g_idx`."""
        groups = -(-columns // self.group) if self.group > 0 else 1
        packed_rows = -(-rows * self.bits // 32)
        codes = (columns, packed_rows) if self.along_outputs else (-(-columns * self.bits // 32), rows)
        order = (Part("g_idx", (columns,), (StorageType.I32,), follows="columns"),) if self.has_order else ()
        return (
            Part("qweight", codes, (StorageType.I32,)),
            Part("qzeros", (groups, packed_rows), (StorageType.I32,)),
            Part("scales", (groups, rows), (StorageType.F16,), is_scale=True),
            *order,
        )


@dataclass(frozen=True)
class IntegerMap(ToolMap):
    """One layout for the linear layers of the network's blocks, but for those that are named.

    `dynamic` are GPTQModel's exceptions in their order: a pattern, and a layout, or none where it stays plain.
    """

    layout: PackedIntegers = PackedIntegers(4, 128, along_outputs=True, has_order=False)
    skipped: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    dynamic: tuple[tuple[re.Pattern[str], Layout], ...] = ()
    covers_head: bool = False

    def layout_of(self, module: str) -> Layout:
        """Return the layout of a linear layer; the embedding and the draft head are plain."""
        if module == EMBEDDING or module.startswith(DRAFT) or (module == HEAD and not self.covers_head):
            return PLAIN
        for pattern, layout in self.dynamic:
            if any(pattern.match(name) for name in spellings(module)):
                return layout
        is_skipped = any(part in name for part in self.skipped for name in spellings(module))
        is_left = bool(self.only) and not module.endswith(tuple(f".{name}" for name in self.only))
        return PLAIN if is_skipped or is_left else self.layout


def read_awq(block: dict[str, Any], where: str) -> IntegerMap:
    """Return AutoAWQ's map; raises CheckpointError for another packing than its usual one."""
    form = block.get("version", block.get("format"))
    if (form.lower() if isinstance(form, str) else form) not in _AWQ_FORMS:
        raise CheckpointError(f"is AWQ packed as {form!r}, which is not sized here", where=where, remedy=_REMEDY)
    bits = read_size(block.get("bits", block.get("w_bit", 4)), "bits", where, (4,))
    group = _group(block.get("group_size", block.get("q_group_size", 128)), where)
    return IntegerMap(
        title=f"AWQ {_title(bits, group)}",
        method="awq",
        layout=PackedIntegers(bits, group, along_outputs=True, has_order=False),
        skipped=tuple(read_names(block.get("modules_to_not_convert"), "modules_to_not_convert", where)),
    )


def read_gptq(block: dict[str, Any], where: str) -> IntegerMap:
    """Return GPTQ's map; raises CheckpointError for another packing than its usual two."""
    form = block.get("checkpoint_format", block.get("format"))
    if form not in _GPTQ_FORMS or block.get("pack_dtype", "int32") != "int32":
        raise CheckpointError(f"is GPTQ packed as {form!r}, which is not sized here", where=where, remedy=_REMEDY)
    bits = read_size(block.get("bits"), "bits", where, (2, 3, 4, 8))
    layout = PackedIntegers(bits, _group(block.get("group_size", 128), where), along_outputs=False, has_order=True)
    blocks = block.get("modules_in_block_to_quantize") or []
    inner = [name for names in blocks for name in (names if isinstance(names, list) else [names])]
    return IntegerMap(
        title=f"GPTQ {_title(bits, layout.group)}",
        method="gptq",
        layout=layout,
        skipped=tuple(read_names(block.get("modules_to_not_convert"), "modules_to_not_convert", where)),
        only=tuple(read_names(inner, "modules_in_block_to_quantize", where)),
        dynamic=_dynamic(block.get("dynamic") or {}, layout, f"{where}: dynamic"),
        covers_head=block.get("lm_head") is True,
    )


def _title(bits: int, group: int) -> str:
    return f"int{bits} in groups of {group}" if group > 0 else f"int{bits}, a scale for each channel"


def _group(value: Any, where: str) -> int:
    return -1 if value in (-1, None) else read_size(value, "group_size", where)


def _dynamic(value: Any, layout: PackedIntegers, where: str) -> tuple[tuple[re.Pattern[str], Layout], ...]:
    if not isinstance(value, dict):
        raise CheckpointError("is not an object", where=where)
    patterns = compile_patterns([text.removeprefix("-:").removeprefix("+:") for text in value], where)
    return tuple(
        (pattern, PLAIN if text.startswith("-:") else _changed(layout, changes, where))
        for pattern, (text, changes) in zip(patterns, value.items(), strict=True)
    )


def _changed(layout: PackedIntegers, changes: Any, where: str) -> PackedIntegers:
    if not isinstance(changes, dict):
        raise CheckpointError("holds an entry that is not an object", where=where)
    bits = read_size(changes.get("bits", layout.bits), "bits", where, (2, 3, 4, 8))
    return replace(layout, bits=bits, group=_group(changes.get("group_size", layout.group), where))
