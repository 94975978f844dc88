"""`quant_method: fp8`: weights in FP8 with a float32 scale for each block, or one for the whole.

Source: transformers 5.23, integrations/finegrained_fp8.py (FP8Linear) and quantizers/quantizers_utils.py
(should_convert_module).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from trtnemo.checkpoint.family.layout import PLAIN, Layout, Part, scalar
from trtnemo.checkpoint.family.module_name import EMBEDDING, HEAD, compile_patterns, self_and_parents, spellings
from trtnemo.checkpoint.family.tools.config_value import read_block, read_names
from trtnemo.checkpoint.family.tools.tool_map import ToolMap
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.errors import CheckpointError


@dataclass(frozen=True)
class BlockFp8:
    """FP8 codes and the scales that they are multiplied by."""

    block: tuple[int, int] | None
    has_input_scale: bool

    @property
    def format(self) -> WeightFormat:
        """FP8."""
        return WeightFormat.FP8

    def parts(self, rows: int, columns: int, plain: StorageType) -> tuple[Part, ...]:
        """Return codes, scales, and the inputs' scale where it is static."""
        shape = () if self.block is None else (-(-rows // self.block[0]), -(-columns // self.block[1]))
        inputs = (scalar("activation_scale"),) if self.has_input_scale else ()
        codes = Part("weight", (rows, columns), (StorageType.F8_E4M3,))
        return codes, scalar("weight_scale_inv", shape), *inputs


@dataclass(frozen=True)
class BlockFp8Map(ToolMap):
    """One layout for every linear layer but the head and those that are named."""

    layout: BlockFp8 = BlockFp8((128, 128), has_input_scale=False)
    skipped: frozenset[str] = frozenset()
    ends: tuple[str, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()

    def layout_of(self, module: str) -> Layout:
        """Return the layout of a linear layer."""
        if module in (EMBEDDING, HEAD):
            return PLAIN
        names = spellings(module)
        is_named = any(part in self.skipped for name in names for part in self_and_parents(name))
        is_skipped = is_named or any(
            name.endswith(self.ends) or any(pattern.match(name) for pattern in self.patterns) for name in names
        )
        return PLAIN if is_skipped else self.layout


def read_block_fp8(block: dict[str, Any], where: str) -> BlockFp8Map:
    """Return the map; raises CheckpointError for scales and experts of another kind."""
    for key, usual in (("scale_fmt", "float"), ("expert_dtype", "fp8")):
        if block.get(key, usual) != usual:
            raise CheckpointError(
                f"is FP8 with {key} {block[key]!r}, which is not sized here",
                where=where,
                remedy="Try the server that it was made for",
            )
    given = block.get("weight_block_size")
    size = None if given is None else read_block(given, "weight_block_size", where)
    key = "modules_to_not_convert" if block.get("modules_to_not_convert") is not None else "ignored_layers"
    skipped = read_names(block.get(key), key, where)
    return BlockFp8Map(
        title="FP8 with one scale a layer" if size is None else f"FP8 in blocks of {size[0]}x{size[1]}",
        method="fp8",
        layout=BlockFp8(size, block.get("activation_scheme") == "static"),
        skipped=frozenset(name.rstrip(".") for name in skipped),
        ends=tuple(name for name in skipped if name),
        patterns=_patterns(skipped, where),
    )


def _patterns(names: list[str], where: str) -> tuple[re.Pattern[str], ...]:
    """Return the names that are patterns, to be met up to the boundary of a module's name as transformers does."""
    patterns = compile_patterns([name for name in names if set(name) & set("*+?()[]{}|^$\\")], where)
    return tuple(re.compile(rf"(?:{each.pattern})(?:(?<=\.)|(?=\.|$))") for each in patterns)
