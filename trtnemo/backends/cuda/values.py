"""Values of a step, computed when something needs their numbers, so that norms and sums run inside of products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from trtnemo.backends.cuda.kernels.norm import norm_kernel
from trtnemo.backends.cuda.product import Factor, Norm, Rider, multiply
from trtnemo.kernels.family import FEW_ROWS
from trtnemo.kernels.launch import Launcher
from trtnemo.kernels.weight import PackedWeight


class Value(Protocol):
    """Rows [n, width]: as numbers, or as what a product can take in front of its weight."""

    def rows(self) -> Tensor:
        """Return the numbers; the stride of a row may be more than its width."""
        ...

    def before(self, weight: PackedWeight) -> tuple[Factor, Norm | None]:
        """Return the rows that meet a weight, and the norm that they get first."""
        ...


class Computed:
    """Numbers that are there."""

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows

    def rows(self) -> Tensor:
        """Return them."""
        return self._rows

    def before(self, weight: PackedWeight) -> tuple[Factor, Norm | None]:
        """Return them as they are."""
        return Factor(self._rows, weight), None


class Normed:
    """Another value's rows, normalized as a whole."""

    def __init__(self, launch: Launcher, value: Value, weight: Tensor, epsilon: float) -> None:
        self._launch, self._value, self._norm = launch, value, Norm(weight, epsilon)
        self._rows: Tensor | None = None

    def rows(self) -> Tensor:
        """Return the normalized rows, computed once."""
        if self._rows is None:
            x = self._value.rows()
            self._rows = torch.empty(x.shape, device=x.device)
            width = x.shape[1]
            self._launch(
                norm_kernel, (len(x),), x, self._norm.weight, self._rows, width, x.stride(0), self._norm.epsilon,
                BLOCK=1 << (width - 1).bit_length(), num_warps=8,
            )  # fmt: skip
        return self._rows

    def before(self, weight: PackedWeight) -> tuple[Factor, Norm | None]:
        """Return the rows as they were, and the norm, unless they are many, or normalized already."""
        if self._rows is not None or len(self._value.rows()) > FEW_ROWS:
            return Factor(self.rows(), weight), None
        return Factor(self._value.rows(), weight), self._norm


class GroupNormed:
    """Rows with the sums of squares of their groups, each group to be normalized on its own."""

    def __init__(self, rows: Tensor, squares: Tensor, weight: Tensor, epsilon: float) -> None:
        self._unnormed, self._norm = rows, Norm(weight, epsilon, squares)

    def rows(self) -> Tensor:
        """Return the normalized rows."""
        x, squares = self._unnormed, self._norm.squares
        groups = 1 if squares is None else squares.shape[1]
        means = x.new_zeros(()) if squares is None else squares.sum(-1, keepdim=True) * (groups / x.shape[1])
        grouped = x.float().reshape(len(x), groups, -1) * torch.rsqrt(means + self._norm.epsilon)
        return grouped.reshape(x.shape) * self._norm.weight

    def before(self, weight: PackedWeight) -> tuple[Factor, Norm | None]:
        """Return rows and norm, where they are few and each of the weight's tiles lies in one group."""
        squares = self._norm.squares
        if (
            squares is not None
            and len(self._unnormed) <= FEW_ROWS
            and (weight.width // squares.shape[1]) % weight.columns == 0
        ):
            return Factor(self._unnormed, weight), self._norm
        return Factor(self.rows(), weight), None


class Later:
    """Numbers that nobody may ask for."""

    def __init__(self, compute: Callable[[], Tensor]) -> None:
        self._compute = compute
        self._rows: Tensor | None = None

    def rows(self) -> Tensor:
        """Return them, computed once."""
        if self._rows is None:
            self._rows = self._compute()
        return self._rows

    def before(self, weight: PackedWeight) -> tuple[Factor, Norm | None]:
        """Return them as they are."""
        return Factor(self.rows(), weight), None


class Summed:
    """Sums of `count` rows each that lie together."""

    def __init__(self, parts: Value, count: int, width: int) -> None:
        self._parts, self._count, self._width = parts, count, width

    def rows(self) -> Tensor:
        """Return the sums."""
        parts = self._parts.rows()
        return parts.reshape(-1, self._count, parts.shape[1]).sum(1)[:, : self._width]

    def before(self, weight: PackedWeight) -> tuple[Factor, Norm | None]:
        """Return the rows to be summed up, or, where there are many, their sums."""
        parts = self._parts.rows()
        if len(parts) > FEW_ROWS * self._count:
            return Factor(self.rows(), weight), None
        return Factor(parts, weight, self._count), None


class Selected:
    """Some rows of a value."""

    def __init__(self, value: Value, index: Tensor) -> None:
        self.value, self.index = value, index

    def rows(self) -> Tensor:
        """Return copies of them."""
        return self.value.rows()[self.index]

    def before(self, weight: PackedWeight) -> tuple[Factor, Norm | None]:
        """Return the value's rows; the product takes the index besides."""
        return Factor(self.value.rows(), weight), None


@dataclass
class Product:
    """A value times a weight, with what may be fused behind it until its numbers are asked for."""

    launch: Launcher
    value: Value
    weight: PackedWeight
    width: int
    dtype: torch.dtype
    relu2: bool = False
    other: Product | None = None
    residual: Value | None = None
    riders: list[Rider] = field(default_factory=list)
    _rows: Tensor | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing has asked for the numbers yet."""
        return self._rows is None

    @property
    def may_add(self) -> bool:
        """Whether another product can be summed with this one in one kernel: neither norm, act nor residual."""
        is_plain = self.is_open and not self.relu2 and self.other is None and self.residual is None
        return is_plain and not isinstance(self.value, Selected | Normed | GroupNormed)

    def squared(self, riders: list[Rider]) -> Product:
        """Return the product with max(x, 0)^2 behind it; it takes one of the riders along that wait by then."""
        return replace(self, relu2=True, riders=riders)

    def plus(self, other: Product) -> Product:
        """Return the sum with another product that may be added."""
        return replace(self, other=other)

    def onto(self, residual: Value) -> Product:
        """Return the sum with a residual."""
        return replace(self, residual=residual)

    def rows(self) -> Tensor:
        """Return the numbers, computed once."""
        if self._rows is None:
            # first, because a rider on its way may compute what the other part waits for
            second = None if self.other is None else self.other.value.before(self.other.weight)[0]
            first, norm = self.value.before(self.weight)
            rider = self.riders.pop(0) if self.riders and len(first.rows) <= FEW_ROWS else None
            if rider is not None:
                rider.prepare()
            found = multiply(
                self.launch,
                first,
                second=second,
                norm=norm,
                residual=None if self.residual is None else self.residual.rows(),
                index=self.value.index if isinstance(self.value, Selected) else None,
                relu2=self.relu2,
                dtype=self.dtype if self.relu2 else torch.float32,
                rider=rider,
            )
            self._rows = found[:, : self.width]
        return self._rows

    def before(self, weight: PackedWeight) -> tuple[Factor, Norm | None]:
        """Return the numbers."""
        return Factor(self.rows(), weight), None


class Columns:
    """Some columns of a product of several weights beside each other."""

    def __init__(self, product: Product, offset: int, width: int) -> None:
        self.product, self.offset, self._width = product, offset, width

    def rows(self) -> Tensor:
        """Return a view of them."""
        return self.product.rows()[:, self.offset : self.offset + self._width]

    def before(self, weight: PackedWeight) -> tuple[Factor, Norm | None]:
        """Return the view."""
        return Factor(self.rows(), weight), None
