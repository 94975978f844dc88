"""Ops on a GPU: the table that the executor runs a graph by; a plugin's `cuda.py` adds its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from trtnemo.backends.cuda.attention import Reach
from trtnemo.backends.cuda.pages import PagePool
from trtnemo.backends.cuda.product import Rider
from trtnemo.backends.cuda.values import Product, Value
from trtnemo.backends.cuda.weights import Weights
from trtnemo.backends.op_table import OpTable
from trtnemo.backends.step import Segment
from trtnemo.graph import Node
from trtnemo.kernels.launch import Launcher


@dataclass(frozen=True)
class Room:
    """What states are allocated for.

    slots: one more than the budget's, for what fills captured steps up; ring: inputs kept of each sequence, a power of
    two; every: recurrent states are written at multiples of so many tokens; dtypes: of recurrent states, of caches, and
    of what lies between kernels.
    """

    slots: int
    pages: PagePool
    ring: int
    every: int
    device: torch.device
    state_dtype: torch.dtype
    cache_dtype: torch.dtype
    dtype: torch.dtype


class State(Protocol):
    """The memory of one op for all slots. page_bytes: of one page of its caches, 0 where it has none."""

    @property
    def page_bytes(self) -> int:
        """Bytes of a page."""
        ...

    def copy(self, slot: int | None, pages: Sequence[int]) -> tuple[Tensor, ...]:
        """Return a copy of what belongs to a slot (None: nothing but pages), and of some pages."""
        ...

    def put(self, slot: int | None, pages: Sequence[int], parts: tuple[Tensor, ...]) -> None:
        """Give a slot, and pages, what was copied."""
        ...


@dataclass
class Step:
    """What ops read besides their inputs.

    few, many: segments of few and of many tokens (`kernels/segments.py`); long: the latter on the host; uses: how many
    nodes read a value; riders: what may run beside a product that does not wait for it.
    """

    launch: Launcher
    weights: Weights
    room: Room
    states: Mapping[str, State]
    few: Tensor
    many: Tensor
    reaches: tuple[Reach, Reach]
    uses: Mapping[str, int]
    graph: str
    long: tuple[Segment, ...] = ()
    merged: dict[str, Product] = field(default_factory=dict)
    riders: list[Rider] = field(default_factory=list)


OpFunction = Callable[[Any, Node, Step, list[Value]], Value]


@dataclass(frozen=True)
class CudaForm:
    """How an op runs; the state that it keeps, by a number of its own; how its state takes accepted tokens in."""

    run: OpFunction
    state: Callable[[Any, Room, int], State] | None = None
    fold: Callable[[Any, Node, Step], None] | None = None


FORMS: OpTable[CudaForm] = OpTable("CUDA", "cuda")


def register(
    kind: str,
    run: OpFunction,
    state: Callable[[Any, Room, int], State] | None = None,
    fold: Callable[[Any, Node, Step], None] | None = None,
) -> None:
    """Add the form of an op; raises ValueError where the kind has one."""
    FORMS.register(kind, CudaForm(run, state, fold))
