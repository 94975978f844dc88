"""A section of a page: the pictures of one value, with their legends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from trtnemo.checkpoint.charting.grid import Grid
from trtnemo.cli.views.pages.cell import Cell
from trtnemo.cli.views.pages.colours import ColourScale
from trtnemo.cli.views.pages.heat_map import heat_map, legend

MOST_TITLED = 16_000  # cells of experts of a page that say their values each: about 2.3 MB
MOST_OUTLINED = 800  # cells of one picture: each is an element and a link


@dataclass(frozen=True)
class Picture:
    """One heat map: its title, the colours with their numbers, the map.

    left_out: tensors beyond the largest number of rows or experts. bare: those that lead somewhere and do not show it.
    """

    title: str
    legend: Markup
    svg: Markup
    left_out: int
    bare: int


@dataclass(frozen=True)
class Section:
    """The pictures of one value: what it is called, what it means, and what to look for."""

    id: str
    title: str
    caption: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Shown:
    """How one value is shown: its scale of colours, the form of its numbers, what both ends mean."""

    scale: Callable[[Iterable[float]], ColourScale]
    form: str
    ends: tuple[str, str] = ("", "")


def draw(grids: Iterable[Grid], cells: Mapping[str, Cell], how: Shown, *, has_titles: bool) -> list[Picture]:
    """Return the pictures of one value, those left out where no cell has one."""
    pictures: list[Picture] = []
    for grid in grids:
        values = [value for name in grid.names.values() if (value := cells[name].value) is not None]
        if not values:
            continue
        scale = how.scale(values)
        bar = legend(scale, how.form, how.ends) if any(map(math.isfinite, values)) else Markup("")
        drawn, bare = _outlined(grid, cells)
        svg = heat_map(grid, drawn, scale, f"{grid.title}, a row for each layer", has_titles=has_titles)
        pictures.append(Picture(grid.title, bar, svg, grid.left_out, bare))
    return pictures


def _outlined(grid: Grid, cells: Mapping[str, Cell]) -> tuple[dict[str, Cell], int]:
    """Return a grid's cells, of which the first MOST_OUTLINED that lead somewhere keep that, and how many do not."""
    drawn = {name: cells[name] for name in grid.names.values()}
    linked = [name for name, cell in drawn.items() if cell.link is not None]
    for name in linked[MOST_OUTLINED:]:
        drawn[name] = replace(drawn[name], link=None)
    return drawn, len(linked[MOST_OUTLINED:])


def are_titled(grids: Iterable[Grid], times: int) -> bool:
    """Return whether each cell of experts may say its value, in so many sections."""
    return sum(len(grid.names) for grid in grids if grid.is_of_experts) * times <= MOST_TITLED
