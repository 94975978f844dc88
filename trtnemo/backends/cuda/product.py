"""Products of rows with weights, as executors call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from trtnemo.backends.cuda import library
from trtnemo.backends.cuda.kernels.product import product_kernel
from trtnemo.kernels.family import FEW_ROWS, MANY_ROWS
from trtnemo.kernels.launch import Grid, Launcher
from trtnemo.kernels.weight import PackedWeight

_FULL = 264  # tiles that keep the multiprocessors of the largest device busy, twice


@dataclass(frozen=True)
class Norm:
    """A norm in front of a product: weight, epsilon, and for one by groups the squares that each group comes with.

    squares: [rows, groups, parts] sums of squares; None where the whole row is normalized.
    """

    weight: Tensor
    epsilon: float
    squares: Tensor | None = None


@dataclass(frozen=True)
class Factor:
    """Rows [rows * summed, width] and the weight they meet; of each `summed` rows the sum."""

    rows: Tensor
    weight: PackedWeight
    summed: int = 1


class Rider(Protocol):
    """What runs in more programs of a product's kernel, at most one a row, beside it."""

    def prepare(self) -> None:
        """Compute what it reads."""
        ...

    def ride(self, grid: Grid, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Launch a kernel that makes the product of these arguments, and does the rider's own work."""
        ...


def multiply(
    launch: Launcher,
    first: Factor,
    *,
    second: Factor | None = None,
    norm: Norm | None = None,
    residual: Tensor | None = None,
    index: Tensor | None = None,
    relu2: bool = False,
    dtype: torch.dtype = torch.float32,
    rider: Rider | None = None,
) -> Tensor:
    """Return act(norm(x) times the weight, plus a second product) plus the residual [rows, the weight's rows].

    index: [rows] int64, which rows of x are taken; rider: what runs beside it, where the rows are few.
    """
    x, weight = first.rows, first.weight
    rows = len(index) if index is not None else len(x) // first.summed
    if rows > library.MOST_ROWS and norm is None and first.summed == 1:
        return _many(launch, first, second, residual, index, relu2=relu2, dtype=dtype)
    out = torch.empty(rows, weight.rows, dtype=dtype, device=x.device)
    block = FEW_ROWS if rows <= FEW_ROWS else MANY_ROWS
    tiles, blocks = weight.rows // 64, -(-rows // block)
    steps = -(-weight.width // weight.columns)
    split = split_of(tiles, steps) if rows <= FEW_ROWS else 1
    parts, lock = launch.split_room((tiles + FEW_ROWS) * blocks, split * 65 * block) if split > 1 else (out, out)
    other = second or first
    squares = norm.squares if norm is not None and norm.squares is not None else out
    groups, per_group = (
        (squares.shape[1], squares.shape[2]) if norm is not None and norm.squares is not None else (1, 1)
    )
    arguments = (
        x,
        weight.words,
        weight.scales,
        weight.scale,
        norm.weight if norm is not None else out,
        squares,
        other.rows,
        other.weight.words,
        other.weight.scales,
        other.weight.scale,
        residual if residual is not None else out,
        index if index is not None else out,
        out,
        parts,
        lock,
        rows,
        weight.rows,
        weight.width,
        other.weight.width,
        x.stride(0),
        other.rows.stride(0),
        weight.rows if residual is None else residual.stride(0),
        norm.epsilon if norm is not None else 0.0,
        weight.width // groups,
    )
    options = {
        "BM": block,
        "COLUMNS": weight.columns,
        "FORMAT": weight.code,
        "WGMMA": launch.is_wgmma,
        "NORM": 0 if norm is None else 1 if norm.squares is None else 2,
        "SUMMED": first.summed,
        "PARTS": per_group,
        "PARTS_BLOCK": 1 << (per_group - 1).bit_length(),
        "SECOND": second is not None,
        "SECOND_COLUMNS": other.weight.columns,
        "SECOND_FORMAT": other.weight.code,
        "RELU2": relu2,
        "RESIDUAL": residual is not None,
        "INDEXED": index is not None,
        "SPLIT": split,
        "num_warps": launch.warps,
        "num_stages": 1,
    }
    if rider is not None:
        rider.ride((tiles, blocks, split), arguments, options)
    else:
        launch(product_kernel, (tiles, blocks, split), *arguments, **options)
    return out


def _many(
    launch: Launcher,
    first: Factor,
    second: Factor | None,
    residual: Tensor | None,
    index: Tensor | None,
    *,
    relu2: bool,
    dtype: torch.dtype,
) -> Tensor:
    """Return the same of many rows, by a library; their norms and sums were computed before."""
    found = library.product(launch, first.rows if index is None else first.rows[index], first.weight)
    if second is not None:
        found = found + library.product(launch, second.rows, second.weight)
    if relu2:
        found = torch.relu(found).square()
    if residual is not None:
        found[:, : residual.shape[1]] += residual
    return found.to(dtype)


def split_of(tiles: int, steps: int) -> int:
    """Return into how many parts K is cut: by the weight alone, so that no sum depends on the number of rows."""
    split = 1
    while tiles * split < _FULL and split < 8 and steps >= 4 * split:
        split *= 2
    return split
