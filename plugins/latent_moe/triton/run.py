"""latent_moe over the rows of a step: route, group, up, down; the sum over a row's experts is left to its reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trtnemo.checkpoint import WeightFormat
from trtnemo.kernels.family import FEW_ROWS, MANY_ROWS
from trtnemo.kernels.launch import Grid, Launcher
from trtnemo.kernels.weight import PackedWeight
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.latent_moe.triton.experts import experts_kernel
from trtnemo.plugins.latent_moe.triton.native import native_kernel, quantize_kernel
from trtnemo.plugins.latent_moe.triton.route import beside_kernel, route_few_kernel, route_kernel

_AT_ONCE = 4  # rows of a program where there are many


class Routes:
    """Where each row of a step goes: experts and weights [rows, top_k], pairs by expert, and blocks of them."""

    def __init__(self, launch: Launcher, op: LatentMoe, logits: Tensor, bias: Tensor) -> None:
        self._launch, self._op, self._logits, self._bias = launch, op, logits, bias
        rows, device = len(logits), logits.device
        pairs = rows * op.top_k
        self.size = FEW_ROWS if rows <= FEW_ROWS else MANY_ROWS
        most = min(pairs, op.experts + pairs // self.size)
        self.picks = torch.empty(rows, op.top_k, dtype=torch.int32, device=device)
        self.weights = torch.empty(rows, op.top_k, device=device)
        self.order = torch.empty(pairs, dtype=torch.int32, device=device)
        self.blocks = torch.empty(most, 4, dtype=torch.int32, device=device)

    @property
    def _shapes(self) -> dict[str, Any]:
        op = self._op
        return {
            "EXPERTS": op.experts,
            "BLOCK": max(16, 1 << (op.experts - 1).bit_length()),
            "TOP_K": op.top_k,
            "GROUPS": op.groups,
            "TOP_GROUPS": op.top_groups,
            "NORMALIZE": op.normalize,
        }

    @property
    def _of_few(self) -> dict[str, Any]:
        pairs = max(16, 1 << (self.picks.numel() - 1).bit_length())
        return {**self._shapes, "PAIRS": pairs, "SIZE": self.size, "ROUNDS": 1}  # no expert has more rows than a block

    @property
    def _told(self) -> tuple[Any, ...]:
        rows, stride = len(self.picks), self._logits.stride(0)
        return (self._logits, self._bias, self.picks, self.weights, rows, stride, self._op.scaling_factor)

    @property
    def _told_few(self) -> tuple[Any, ...]:
        return self.order, self.blocks, self._launch.lock(), len(self.blocks)

    def find(self) -> None:
        """Compute them, with nothing beside."""
        rows = len(self.picks)
        if rows <= FEW_ROWS:
            self._launch(route_few_kernel, (rows,), *self._told_few, *self._told, **self._of_few, num_warps=4)
            return
        self._launch(route_kernel, (-(-rows // _AT_ONCE),), *self._told, **self._shapes, ROWS=_AT_ONCE, num_warps=4)
        self._group()

    def find_beside(self, grid: Grid, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Compute them in more programs of a product, one a row."""
        tiles, *others = grid
        told = (*self._told_few, *self._told)
        self._launch(beside_kernel, (tiles + len(self.picks), *others), *told, *arguments, **options, **self._of_few)

    def _group(self) -> None:
        """Write pairs and blocks of many rows; nothing is read back from the device."""
        experts, size, picks = self._op.experts, self.size, self.picks.reshape(-1)
        self.order.copy_(torch.sort(picks, stable=True).indices)
        sizes = torch.zeros(experts, dtype=torch.int64, device=picks.device)
        sizes.scatter_add_(0, picks.long(), torch.ones_like(picks, dtype=torch.int64))
        first = sizes.cumsum(0) - sizes
        per_expert = -(-sizes // size)
        ends = per_expert.cumsum(0)
        # the expert of each place among the blocks: the first that ends behind it
        index = torch.arange(len(self.blocks), device=picks.device)
        expert = torch.searchsorted(ends, index, right=True).clamp(max=experts - 1)
        begun = (index - (ends - per_expert)[expert]) * size
        left = (sizes[expert] - begun).clamp(0, size)
        self.blocks.copy_(torch.stack([expert, first[expert] + begun, left, torch.zeros_like(left)], 1))


@dataclass(frozen=True)
class RowNorm:
    """A norm of the rows in front of the experts."""

    weight: Tensor
    epsilon: float


def run(
    launch: Launcher,
    op: LatentMoe,
    routes: Routes,
    rows: Tensor,
    norm: RowNorm | None,
    up: PackedWeight,
    down: PackedWeight,
    dtype: torch.dtype,
) -> Tensor:
    """Return the weighted outputs [rows * top_k, width] of each row's experts, in ascending order of their number."""
    pairs, device = routes.picks.numel(), rows.device
    if norm is None and _is_native(launch, routes, up, down):
        hidden = torch.empty(pairs, up.rows, dtype=dtype, device=device)
        _multiply_native(launch, op, rows, up, routes, hidden, is_up=True)
        out = torch.empty(pairs, down.rows, device=device)
        _multiply_native(launch, op, hidden, down, routes, out, is_up=False)
        return out
    hidden = torch.empty(pairs, up.rows, dtype=dtype, device=device)
    _multiply(launch, op, rows, norm, up, routes, hidden, is_up=True)
    out = torch.empty(pairs, down.rows, device=device)
    _multiply(launch, op, hidden, None, down, routes, out, is_up=False)
    return out


def quantize(launch: Launcher, x: Tensor, width: int, factors: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows in NVFP4: codes [rows, width / 2], scales [rows, width / 16], a factor of each row.

    factors: given, each row's; else the least that reaches its largest number.
    """
    found = torch.empty(len(x), device=x.device) if factors is None else factors
    codes = torch.empty(len(x), width // 2, dtype=torch.uint8, device=x.device)
    scales = torch.empty(len(x), width // 16, dtype=torch.uint8, device=x.device)
    blocks = 1 << (width // 16 - 1).bit_length()
    launch(
        quantize_kernel, (len(x),), x, codes, scales, found, width, x.stride(0),
        BLOCKS=blocks, FIXED=factors is not None, num_warps=4,
    )  # fmt: skip
    return codes, scales, found


def _is_native(launch: Launcher, routes: Routes, up: PackedWeight, down: PackedWeight) -> bool:
    """Return whether rows become FP4: in steps with a prompt, whose time is the products', where a device can."""
    tiles = launch.fp4_tiles
    if not tiles or not launch.has_prompt or routes.size == FEW_ROWS:
        return False
    return all(
        bank.format is WeightFormat.NVFP4 and bank.rows // 64 % tiles == 0 and bank.width % 16 == 0
        for bank in (up, down)
    )


def _multiply_native(
    launch: Launcher, op: LatentMoe, x: Tensor, bank: PackedWeight, routes: Routes, out: Tensor, *, is_up: bool
) -> None:
    launch(
        native_kernel,
        (bank.rows // 64 // launch.fp4_tiles, len(routes.blocks)),
        *quantize(launch, x, bank.width),
        *(bank.words, bank.scales, bank.scale, routes.order, routes.blocks, routes.weights, out),
        *(bank.words.stride(0), bank.scales.stride(0), bank.width, bank.rows),
        BM=routes.size,
        COLUMNS=bank.columns,
        TILES=launch.fp4_tiles,
        TOP_K=op.top_k,
        IS_UP=is_up,
        num_warps=4,
        num_stages=1,
    )


def _multiply(
    launch: Launcher,
    op: LatentMoe,
    x: Tensor,
    norm: RowNorm | None,
    bank: PackedWeight,
    routes: Routes,
    out: Tensor,
    *,
    is_up: bool,
) -> None:
    launch(
        experts_kernel,
        (bank.rows // 64, len(routes.blocks)),
        *(x, bank.words, bank.scales, bank.scale, out if norm is None else norm.weight),
        *(routes.order, routes.blocks, routes.weights, out, bank.words.stride(0), bank.scales.stride(0)),
        *(bank.width, bank.rows, x.stride(0), 0.0 if norm is None else norm.epsilon),
        BM=routes.size,
        COLUMNS=bank.columns,
        FORMAT=bank.code,
        WGMMA=launch.is_wgmma,
        TOP_K=op.top_k,
        IS_UP=is_up,
        NORM=norm is not None,
        num_warps=launch.warps,
        num_stages=1,
    )
