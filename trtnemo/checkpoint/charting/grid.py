"""Which tensor stands where in a picture: layers are rows, modules or experts are columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.checkpoint.family.expected import ExpectedTensor

MOST_ROWS, MOST_EXPERTS = 256, 512
_LAYER = re.compile(r"((?:backbone|mtp)\.layers\.\d+)\.(.+)")
_EXPERT = re.compile(r"mixer\.experts\.(\d+)\.(\w+)\.\w+")


@dataclass(frozen=True)
class Row:
    """One layer, or one tensor outside of them: what it is called, and its kind."""

    title: str
    kind: str


@dataclass(frozen=True)
class Grid:
    """A picture's cells: names of tensors by (row, column); a place without one belongs to no tensor.

    left_out: how many tensors are beyond the largest number of rows or experts.
    """

    title: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    names: Mapping[tuple[int, int], str]
    left_out: int = 0

    @property
    def is_of_experts(self) -> bool:
        """Whether columns are experts."""
        return self.columns[:1] == ("0",)


@dataclass(frozen=True)
class _Place:
    """A tensor: its row's prefix, its column, its expert where it is one's."""

    name: str
    row: str
    column: str
    expert: int | None
    is_vector: bool


def grids_of(config: ModelConfig, expected: Iterable[ExpectedTensor]) -> tuple[Grid, ...]:
    """Return the pictures of a network, those without a cell left out: matrices, vectors, each projection of experts.

    expected: in network order, which rows and columns keep; scales stand nowhere, for they are part of a weight.
    """
    places = list(_places(expected))
    kinds = _kinds(config)
    shared = [place for place in places if place.expert is None]
    grids = [
        _grid("Matrices", [place for place in shared if not place.is_vector], kinds),
        _grid("Norms, biases and other vectors", [place for place in shared if place.is_vector], kinds),
    ]
    experts: dict[str, list[_Place]] = {}
    for place in places:
        if place.expert is not None:
            experts.setdefault(place.column, []).append(place)
    grids += [_grid(f"Experts: {projection}", found, kinds, config.n_routed_experts)
              for projection, found in experts.items()]  # fmt: skip
    return tuple(grid for grid in grids if grid.names)


def owners(expected: Iterable[ExpectedTensor]) -> dict[str, str]:
    """Return the tensor whose cell stands for another: itself, or the weight that a scale belongs to."""
    items = list(expected)
    weights = {item.module: item.name for item in items if item.weight_format is not None}
    return {item.name: weights.get(item.module, item.name) if item.is_scale else item.name for item in items}


def _places(expected: Iterable[ExpectedTensor]) -> Iterator[_Place]:
    for item in expected:
        if item.is_scale:
            continue
        layer = _LAYER.fullmatch(item.name)
        if layer is None:
            yield _Place(item.name, item.module.removeprefix("backbone."), "weight", None, len(item.shape) < 2)
            continue
        expert = _EXPERT.fullmatch(layer[2])
        if expert is not None:
            yield _Place(item.name, layer[1], expert[2], int(expert[1]), False)
            continue
        yield _Place(item.name, layer[1], _column(layer[2], item), None, len(item.shape) < 2)


def _column(tail: str, item: ExpectedTensor) -> str:
    """Return a short name: without the mixer it is in, but for its norm, and without the ending of a weight."""
    tail = tail if tail == "mixer.norm.weight" else tail.removeprefix("mixer.")
    return tail.rpartition(".")[0] if item.weight_format is not None else tail.removesuffix(".weight")


def _kinds(config: ModelConfig) -> dict[str, Row]:
    """Return the rows of layers by prefix."""
    parts = (("backbone", "", config.layer_kinds), ("mtp", "mtp ", config.mtp_layer_kinds))
    return {
        f"{part}.layers.{number}": Row(f"{before}{number}", kind)
        for part, before, kinds in parts
        for number, kind in enumerate(kinds)
    }


def _grid(title: str, places: list[_Place], kinds: Mapping[str, Row], experts: int | None = None) -> Grid:
    prefixes = list(dict.fromkeys(place.row for place in places))[:MOST_ROWS]
    rows = {prefix: number for number, prefix in enumerate(prefixes)}
    if experts is None:
        names = list(dict.fromkeys(place.column for place in places))
    else:
        names = [str(number) for number in range(min(experts, MOST_EXPERTS))]
    columns = {name: number for number, name in enumerate(names)}
    found: dict[tuple[int, int], str] = {}
    for place in places:
        row, column = rows.get(place.row), columns.get(place.column if experts is None else str(place.expert))
        if row is not None and column is not None:
            found[row, column] = place.name
    made = tuple(kinds.get(prefix, Row(prefix, "")) for prefix in prefixes)
    return Grid(title, made, tuple(names), found, len(places) - len(found))
