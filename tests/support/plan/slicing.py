"""A splitter that shares nothing with the plan: it cuts the tensors of a checkpoint file for each rank, and counts.

Read from the public descriptions: heads and groups are split (in_proj as z, x, B, C, dt, each by itself), q by heads, k
and v by heads or copied where there are fewer than ranks, projections back by columns, experts whole by expert rank and
each cut over the rest; latent projections, router and norms on every rank; embedding and head by vocabulary; the draft
head's input projection by columns. Attention data parallelism cuts experts alone.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

Indices = np.ndarray
SIZES = {"BF16": 2, "F32": 4, "F8_E4M3": 1, "U8": 1}


@dataclass(frozen=True)
class Layout:
    """Sizes of the groups; `attention_dp` leaves everything but the experts whole."""

    tensor: int = 1
    expert: int = 1
    attention_dp: bool = False


@functools.cache
def read_tensors(directory: Path) -> tuple[dict[str, Any], dict[str, tuple[tuple[int, ...], int]]]:
    """Return the config and each tensor's shape and element size, by its name."""
    config = json.loads((directory / "config.json").read_text())
    with safe_open(directory / "model.safetensors", framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return config, {name: (tuple(value.get_shape()), SIZES[value.get_dtype()]) for name, value in slices.items()}


def part(size: int, rank: int, ranks: int) -> Indices:
    """Return the indices of an even cut; one scale for a whole row or column is nobody's to cut."""
    if size == 1:
        return np.arange(1)
    assert size % ranks == 0
    return np.arange(size)[rank * (size // ranks) : (rank + 1) * (size // ranks)]


def parts(sizes: list[int], rank: int, ranks: int) -> Indices:
    """Return the indices of a cut of each of several runs, one after another."""
    starts = np.cumsum([0, *sizes])
    return np.concatenate([start + part(size, rank, ranks) for start, size in zip(starts, sizes, strict=False)])


def rank_size(name: str, shape: tuple[int, ...], item: int, config: dict[str, Any], layout: Layout, rank: int) -> int:
    """Return the bytes of a tensor on a rank: the distinct rows and columns that it keeps."""
    if math.prod(shape) == 1:
        return item if ".experts." not in name or owns(name, config, layout, rank) else 0
    rows, columns = (np.arange(size) for size in (*shape, 1)[:2])
    tensor = 1 if layout.attention_dp else layout.tensor
    place = rank % tensor
    tail = name.split(".layers.")[-1].split(".", 1)[-1].removeprefix("mixer.")
    inner = config["mamba_num_heads"] * config["mamba_head_dim"]
    groups, heads = config["n_groups"] * config["ssm_state_size"], config["mamba_num_heads"]
    if ".experts." in name:
        if not owns(name, config, layout, rank):
            return 0
        over = layout.tensor // layout.expert
        if ".up_proj." in name:
            rows = part(shape[0], rank % over, over)
        else:
            columns = part(shape[1], rank % over, over)
    elif name.startswith(("backbone.embeddings", "lm_head")) or tail.startswith(("q_proj.", "shared_experts.up")):
        rows = part(shape[0], place, tensor)
    elif tail.startswith("in_proj."):
        rows = parts([inner, inner, groups, groups, heads], place, tensor)
    elif tail.startswith("conv1d."):
        rows = parts([inner, groups, groups], place, tensor)
    elif tail in ("A_log", "D", "dt_bias") or name.endswith("mixer.norm.weight"):
        rows = part(shape[0], place, tensor)
    elif tail.startswith(("k_proj.", "v_proj.")):
        kv, width = config["num_key_value_heads"], config["head_dim"]
        first = place * kv // tensor
        rows = np.arange(first * width, (first + max(kv // tensor, 1)) * width)
    elif tail.startswith(("out_proj.", "o_proj.", "shared_experts.down", "eh_proj.")):
        columns = part(shape[1], place, tensor)
    return len(set(rows)) * len(set(columns)) * math.prod(shape[2:]) * item


def owns(name: str, config: dict[str, Any], layout: Layout, rank: int) -> bool:
    """Return whether a rank has an expert's tensor."""
    number = int(name.split(".experts.")[1].split(".")[0])
    here = rank // (layout.tensor // layout.expert)
    return number in part(config["n_routed_experts"], here, layout.expert)
