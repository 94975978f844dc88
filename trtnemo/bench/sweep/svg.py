"""Charts as SVG for a page: colours are classes of its style, a mark says its numbers when a pointer rests on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from trtnemo.errors import one_line

WIDTH, NAMES, ROW, GAP, HEAD = 760, 210, 26, 18, 34
LETTER = 6.4  # pixels that a letter of a name takes at most times; a fixed font would be exact and ugly
LONGEST = int((NAMES - 10) / LETTER)


@dataclass(frozen=True)
class Mark:
    """One value of a row: its class in the page's style, and what is said of it."""

    kind: str
    value: float
    title: str
    text: str = ""


@dataclass(frozen=True)
class Column:
    """A scale with a row of marks for every name; a logarithmic one has points, another bars from zero."""

    label: str
    rows: Sequence[Sequence[Mark]]
    is_log: bool = False


def node(name: str, *children: str, **attributes: object) -> Markup:
    """Return an element; texts among its children and attributes are escaped."""
    words = [
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _short(value)) for key, value in attributes.items()
    ]
    inner = Markup("").join(one_line(child) if type(child) is str else child for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, Markup("").join(words), inner)


def _short(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


def picture(width: int, height: float, label: str, *children: Markup) -> Markup:
    """Return a whole picture; `label` says to those who cannot see it what it is."""
    return node("svg", *children, viewBox=f"0 0 {width} {height:.0f}", role="img", aria_label=label)


def write(text: str, x: float, y: float, kind: str = "", anchor: str = "start") -> Markup:
    """Return a line of text."""
    return node("text", text, x=x, y=y, text_anchor=anchor, class_=kind)


def shorten(name: str, longest: int) -> str:
    """Return a name with its middle cut out where it is too long: names of a sweep differ at their ends."""
    half = longest // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[len(name) - longest + half + 1 :]}"


def row_chart(label: str, names: Sequence[str], columns: Sequence[Column]) -> Markup:
    """Return a chart with a row for each name and a scale for each column."""
    height = HEAD + ROW * len(names) + 22
    width = (WIDTH - NAMES - GAP * len(columns)) / len(columns)
    parts: list[Markup] = []
    for place, name in enumerate(names):
        middle = HEAD + ROW * (place + 0.5)
        parts.append(
            node("g", node("title", name), write(shorten(name, LONGEST), NAMES - 8, middle + 4, "name", "end"))
        )
        if place % 2:
            band = node("rect", x=0, y=middle - ROW / 2, width=WIDTH, height=ROW, class_="band")
            parts.insert(0, band)
    for place, column in enumerate(columns):
        parts.append(_column(column, NAMES + place * (width + GAP), width, height))
    return picture(WIDTH, height, label, *parts)


def _column(column: Column, left: float, width: float, height: float) -> Markup:
    values = [mark.value for row in column.rows for mark in row]
    room = width - max((len(mark.text) for row in column.rows for mark in row), default=0) * LETTER - 6
    scale = Scale.log(values) if column.is_log else Scale.linear(max(values, default=0))
    parts = [write(column.label, left, 14, "label")]
    for tick in scale.ticks:
        x = left + room * scale.place(tick)
        parts.append(node("line", x1=x, x2=x, y1=HEAD - 4, y2=height - 20, class_="grid"))
        parts.append(write(f"{tick:,g}", x, height - 6, "tick", "middle"))
    for place, row in enumerate(column.rows):
        middle = HEAD + ROW * (place + 0.5)
        if column.is_log and row:
            ends = [left + room * scale.place(mark.value) for mark in row]
            parts.append(node("line", x1=min(ends), x2=max(ends), y1=middle, y2=middle, class_="span"))
        parts += [_mark(mark, left, room * scale.place(mark.value), middle, is_bar=not column.is_log) for mark in row]
    return node("g", *parts)


def _mark(mark: Mark, left: float, far: float, middle: float, *, is_bar: bool) -> Markup:
    if not is_bar:
        return dot(mark.kind, left + far, middle, mark.title)
    high = 8.0 if mark.kind == "wide" else 5.0
    shape = node("rect", x=left, y=middle - high, width=max(far, 1.0), height=2 * high, class_=mark.kind)
    return node("g", node("title", mark.title), shape, write(mark.text, left + far + 5, middle + 4, "value"))


def dot(kind: str, x: float, y: float, title: str) -> Markup:
    """Return a point with a ring around it that a pointer meets easily."""
    ring = node("circle", cx=x, cy=y, r=10, class_="ring")
    return node("g", node("title", title), ring, node("circle", cx=x, cy=y, r=4.5, class_=kind), class_="dot")


@dataclass(frozen=True)
class Scale:
    """Where values lie, from 0 to 1, and the round ones among them."""

    low: float
    high: float
    ticks: tuple[float, ...]
    is_log: bool = False

    @classmethod
    def linear(cls, high: float, most: int = 5) -> Scale:
        """Return a scale from zero to a round end, with `most` steps at most."""
        span = max(high, 1e-9)
        step = 10 ** math.floor(math.log10(span / most))
        step = next(step * size for size in (1, 2, 5, 10, 20) if span / (step * size) <= most)
        last = math.ceil(span / step)
        return cls(0.0, last * step, tuple(round(step * place, 12) for place in range(last + 1)))

    @classmethod
    def log(cls, values: Sequence[float], most: int = 6) -> Scale:
        """Return a logarithmic scale; what is not above zero lies at its low end."""
        above = [value for value in values if value > 0] or [1.0]
        low, high = min(above) / 1.25, max(above) * 1.25
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for sizes in ((1, 2, 5), (1, 3), (1,)):
            ticks = tuple(size * 10.0**power for power in powers for size in sizes if low <= size * 10.0**power <= high)
            if len(ticks) <= most:
                break
        return cls(low, high, ticks[:: max(1, len(ticks) // most)], is_log=True)

    def place(self, value: float) -> float:
        """Return where a value lies."""
        if self.is_log:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)
