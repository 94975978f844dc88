"""Heat maps as SVG: layers are rows, modules or experts are columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from markupsafe import Markup

from trtnemo.bench.sweep.svg import node, picture, shorten, write
from trtnemo.checkpoint.charting.grid import Grid
from trtnemo.cli.views.pages.cell import Cell
from trtnemo.cli.views.pages.colours import ColourScale, hex_colour
from trtnemo.cli.views.pages.png import data_uri

LEFT, ROW, HEAD, FOOT, WIDTH = 150, 15, 108, 8, 1060
_LIGHT = 0.62  # place from which black text is read better than white
_LONGEST = 25  # letters of a column's or a row's name
Cells = Mapping[str, Cell]


def heat_map(grid: Grid, cells: Cells, scale: ColourScale, label: str, *, has_titles: bool = True) -> Markup:
    """Return a picture of a grid; without titles experts are one image, and only some cells say their values."""
    head = 24 if grid.is_of_experts else HEAD
    width = (WIDTH - LEFT) / max(len(grid.columns), 1)
    width = min(width, 24.0) if grid.is_of_experts else min(width, 56.0)
    parts = [*_columns(grid, width, head), *_rows(grid, head)]
    if has_titles or not grid.is_of_experts:
        parts += _cells(grid, cells, scale, width, head)
    else:
        parts += _image(grid, cells, scale, width, head)
    return picture(WIDTH, head + ROW * len(grid.rows) + FOOT, label, *parts)


def _columns(grid: Grid, width: float, head: int) -> Iterator[Markup]:
    if grid.is_of_experts:
        step = max(1, len(grid.columns) // 16)
        yield write("expert", LEFT - 8, head - 8, "label", "end")
        for number in range(0, len(grid.columns), step):
            yield write(grid.columns[number], LEFT + width * (number + 0.5), head - 8, "tick", "middle")
        return
    for number, name in enumerate(grid.columns):
        x, y = LEFT + width * (number + 0.5), head - 8
        yield node("text", shorten(name, _LONGEST), x=x, y=y, transform=f"rotate(-40 {x:.1f} {y})", class_="label")


def _rows(grid: Grid, head: int) -> Iterator[Markup]:
    for number, row in enumerate(grid.rows):
        y = head + ROW * number + ROW - 4
        yield write(shorten(row.title, _LONGEST), LEFT - 72 if row.kind else LEFT - 8, y, "row", "end")
        if row.kind:
            yield write(row.kind, LEFT - 66, y, f"kind {row.kind}")


def _cells(grid: Grid, cells: Cells, scale: ColourScale, width: float, head: int) -> Iterator[Markup]:
    outlined: list[Markup] = []
    for (row, column), name in grid.names.items():
        cell, x, y = cells[name], LEFT + width * column, head + ROW * row
        drawn = _cell(cell, scale, x, y, width, has_text=not grid.is_of_experts)
        if cell.link is None:
            yield drawn
        else:
            outlined.append(node("a", drawn, _outline(cell, x, y, width), href=f"#{cell.link}"))
    yield from outlined  # above their neighbours


def _cell(cell: Cell, scale: ColourScale, x: float, y: float, width: float, *, has_text: bool) -> Markup:
    place = None if cell.value is None or cell.is_plain else scale.place(cell.value)
    look = {"class_": "equal" if cell.is_plain else "none"} if place is None else {"fill": hex_colour(place)}
    gap = 1.0 if width > 4 else 0.0
    rect = node("rect", node("title", cell.title), x=x, y=y, width=round(width - gap, 1), height=ROW - 1, **look)
    if not has_text or place is None:
        return rect
    short = cell.text.partition(" ")[0].partition(";")[0]
    kind = "dark" if place > _LIGHT else "light"
    return Markup("").join((rect, write(short, x + width / 2 - 0.5, y + ROW - 4, kind, "middle")))


def _outline(cell: Cell, x: float, y: float, width: float) -> Markup:
    wide = max(width, 5.0)
    left = x - (wide - width) / 2
    return node("rect", node("title", cell.title), x=left, y=y, width=wide - 1, height=ROW - 1, class_="found")


def _image(grid: Grid, cells: Cells, scale: ColourScale, width: float, head: int) -> Iterator[Markup]:
    """Yield all cells as one image, a title for each row, and those of the cells that matter above it."""
    at = {place: cells[name] for place, name in grid.names.items()}
    places = [[_place(at.get((row, column)), scale) for column in range(len(grid.columns))]
              for row in range(len(grid.rows))]  # fmt: skip
    size = {"x": LEFT, "y": head, "width": round(width * len(grid.columns), 1), "height": ROW * len(grid.rows)}
    yield node("rect", class_="none", **size)
    yield node("image", href=data_uri(places), preserveAspectRatio="none", class_="pixels", **size)
    outlined: list[Markup] = []
    for row in range(len(grid.rows)):
        told = [(column, cell) for column in range(len(grid.columns)) if (cell := at.get((row, column))) is not None]
        valued = sorted((cell.value, column, cell) for column, cell in told if cell.value is not None)
        y = head + ROW * row
        if valued:
            ends = [f"{word} {cell.title}" for word, (_, _, cell) in zip(("lowest", "highest"), (valued[0], valued[-1]),
                                                                        strict=True)]  # fmt: skip
            row_title = node("title", "; ".join(ends))
            yield node("rect", row_title, class_="ring", **{**size, "y": y, "height": ROW})
        for column, cell in told:
            if cell.link is not None:
                outline = _outline(cell, LEFT + width * column, y, width)
                outlined.append(node("a", outline, href=f"#{cell.link}"))
    yield from outlined


def _place(cell: Cell | None, scale: ColourScale) -> float | None:
    if cell is None or cell.value is None:
        return None
    return 1.0 if cell.is_plain else scale.place(cell.value)


def legend(scale: ColourScale, form: str, ends: tuple[str, str] = ("", "")) -> Markup:
    """Return the colours of a scale with five numbers; ends: what the low and the high one mean."""
    steps, left, wide = 32, 110, 320
    bars = [
        node("rect", x=left + wide / steps * step, y=4, width=wide / steps + 0.5, height=12,
             fill=hex_colour(step / (steps - 1)))
        for step in range(steps)
    ]  # fmt: skip
    numbers = [
        write(_mark(scale, place) + form.format(scale.at(place)), left + wide * place, 29, "value", "middle")
        for place in (0, 0.25, 0.5, 0.75, 1)
    ]
    words = [write(ends[0], left - 8, 14, "tick", "end"), write(ends[1], left + wide + 8, 14, "tick")]
    return picture(560, 34, "colours and their numbers", *bars, *numbers, *words)


def _mark(scale: ColourScale, place: float) -> str:
    return "≤ " if place == 0 and scale.is_cut[0] else "≥ " if place == 1 and scale.is_cut[1] else ""
