"""MLX's affine quantization: codes in uint32, a scale and a bias for each group of inputs.

Source: mlx python/mlx/nn/layers/quantized.py (0154acf); mlx-lm mlx_lm/utils.py (003da2e: quantize_model, load_model)
and models/nemotron_h.py (04e6af1), which stacks a layer's experts as `switch_mlp` and drops the
draft head.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from trtnemo.checkpoint.family.layout import PLAIN, Layout, Part
from trtnemo.checkpoint.family.module_name import DRAFT
from trtnemo.checkpoint.family.tools.config_value import read_size
from trtnemo.checkpoint.family.tools.tool_map import ToolMap
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.errors import CheckpointError

_BITS, _GROUPS = (2, 3, 4, 5, 6, 8), (16, 32, 64, 128)
_EXPERT = re.compile(r"(.+)\.experts\.\d+\.(up|down)_proj")


@dataclass(frozen=True)
class Affine:
    """A matrix as mx.quantize stores it; one whose rows no group divides stays as it is."""

    bits: int
    group: int

    @property
    def format(self) -> WeightFormat:
        """Whole numbers."""
        return WeightFormat.INTEGER

    def parts(self, rows: int, columns: int, plain: StorageType) -> tuple[Part, ...]:
        """Return codes, scales and biases; an expert's share of the stack that holds them all."""
        if columns % self.group:
            return PLAIN.parts(rows, columns, plain)
        groups = (rows, columns // self.group)
        return (
            Part("weight", (rows, columns * self.bits // 32), (StorageType.U32,)),
            Part("scales", groups, (plain,), is_scale=True),
            Part("biases", groups, (plain,), is_scale=True),
        )


@dataclass(frozen=True)
class MlxMap(ToolMap):
    """One layout for linear layers, embedding and head, and exceptions by their paths."""

    layout: Affine = Affine(4, 64)
    paths: dict[str, Layout] = field(default_factory=dict)

    def layout_of(self, module: str) -> Layout:
        """Return the layout of a linear layer or the embedding."""
        if module.startswith(DRAFT):
            return PLAIN
        match = _EXPERT.fullmatch(module)
        path = f"{match[1]}.switch_mlp.{'fc1' if match[2] == 'up' else 'fc2'}" if match else module
        return self.paths.get(path, self.layout)


def read_mlx(block: dict[str, Any], where: str) -> MlxMap:
    """Return the map of a block; raises CheckpointError for a mode that is not affine."""
    layout = _read_affine(block, where)
    paths = {path: _read_path(value, layout, f"{where}: {path}") for path, value in block.items() if "." in path}
    paths |= {path: _read_path(block[path], layout, f"{where}: {path}") for path in ("lm_head",) if path in block}
    title = f"MLX {layout.bits} bits in groups of {layout.group}" + (", mixed" if len(set(paths.values())) > 1 else "")
    return MlxMap(title=title, method="mlx", layout=layout, paths=paths)


def _read_path(value: Any, layout: Affine, where: str) -> Layout:
    if isinstance(value, bool):
        return layout if value else PLAIN
    if not isinstance(value, dict):
        raise CheckpointError("is neither true, false nor an object", where=where)
    return _read_affine({"group_size": layout.group, "bits": layout.bits, **value}, where)


def _read_affine(block: dict[str, Any], where: str) -> Affine:
    mode = block.get("mode", "affine")
    if mode != "affine":
        raise CheckpointError(
            f"its weights are quantized by MLX as {mode!r}, which is not sized here",
            where=where,
            remedy="mlx-lm reads it",
        )
    bits = read_size(block.get("bits"), "bits", where, _BITS)
    return Affine(bits, read_size(block.get("group_size"), "group_size", where, _GROUPS))
