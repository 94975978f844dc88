"""The pictures that stand in a report: each is drawn from points that have the numbers for it, or is not there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from trtnemo.bench.load.summary import PERCENTILES
from trtnemo.bench.sweep.charts import pareto_front
from trtnemo.bench.sweep.findings import milliseconds
from trtnemo.bench.sweep.point import Point
from trtnemo.bench.sweep.svg import (
    HEAD,
    LETTER,
    WIDTH,
    Column,
    Mark,
    Scale,
    dot,
    node,
    picture,
    row_chart,
    shorten,
    write,
)

HEIGHT, LEFT, BOTTOM = 400, 64, 356


@dataclass(frozen=True)
class Picture:
    """A picture of so many points; None where no point has the numbers for it."""

    shown: int
    svg: Markup | None


def draw_pictures(points: Sequence[Point]) -> dict[str, Picture]:
    """Return the pictures by name."""
    timed = [point for point in points if times_of(point, "ttft") or times_of(point, "itl")]
    return {
        "pareto": _picture([point for point in points if point.speed is not None], _pareto),
        "percentiles": _picture(timed, _percentiles),
        "acceptance": _picture([point for point in points if point.summary.acceptance is not None], _acceptance),
        "roofline": _picture([point for point in points if point.run.prediction is not None], _roofline),
    }


def _picture(points: Sequence[Point], draw: Callable[[Sequence[Point]], Markup]) -> Picture:
    return Picture(len(points), draw(points) if points else None)


def times_of(point: Point, name: str) -> list[float]:
    """Return `ttft` or `itl` at every percentile, or nothing."""
    names = [f"{name}_p{share}" for share in PERCENTILES]
    return [point.summary.metrics[key] for key in names] if point.summary.metrics.keys() >= set(names) else []


def _pareto(points: Sequence[Point]) -> Markup:
    places = [(point.speed or 0.0, point.throughput) for point in points]
    across = Scale.linear(max(place[0] for place in places), 8)
    up = Scale.linear(max(place[1] for place in places), 6)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - 30) * across.place(value)

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - HEAD) * up.place(value)

    parts = [write("output tokens/s of one device", 4, 14, "label")]
    parts.append(write("tokens/s of one user", WIDTH - 30, HEIGHT - 6, "label", "end"))
    for tick in across.ticks:
        parts.append(node("line", x1=x(tick), x2=x(tick), y1=HEAD, y2=BOTTOM, class_="grid"))
        parts.append(write(f"{tick:,g}", x(tick), BOTTOM + 16, "tick", "middle"))
    for tick in up.ticks:
        parts.append(node("line", x1=LEFT, x2=WIDTH - 30, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(write(f"{tick:,g}", LEFT - 6, y(tick) + 4, "tick", "end"))
    best = pareto_front(places)
    corners = [f"{x(best[0][0]):.1f},{y(best[0][1]):.1f}"]
    for before, after in itertools.pairwise(best):
        corners += [f"{x(before[0]):.1f},{y(after[1]):.1f}", f"{x(after[0]):.1f},{y(after[1]):.1f}"]
    parts.append(node("polyline", points=" ".join(corners), class_="front"))
    taken: list[tuple[float, float, float]] = []
    for point, place in sorted(zip(points, places, strict=True), key=lambda item: -item[1][1]):
        said = f"{point.name}: {place[0]:,.1f} tokens/s of one user, {place[1]:,.1f} of one device"
        parts.append(dot("p50" if place in best else "other", x(place[0]), y(place[1]), said))
        if place in best:
            parts.append(_name(point.name, x(place[0]), y(place[1]), taken))
    return picture(WIDTH, HEIGHT, "Tokens a second of one user across, of one device up.", *parts)


def _name(name: str, x: float, y: float, taken: list[tuple[float, float, float]]) -> Markup:
    """Return a name beside its point, or nothing where another name stands: the point says its own when asked."""
    shown = shorten(name, 34)
    long = len(shown) * LETTER
    left = x + 9 if x + 9 + long < WIDTH else x - 9 - long
    if left < 0 or any(abs(y - other) < 13 and left < end and start < left + long for other, start, end in taken):
        return Markup("")
    taken.append((y, left, left + long))
    return write(shown, left, y - 6, "name")


def _percentiles(points: Sequence[Point]) -> Markup:
    def column(label: str, name: str) -> Column:
        rows = [
            [
                # a scale of logarithms has no zero; a clock that did not move shows as a microsecond
                Mark(f"p{share}", max(1000 * value, 0.001), f"{point.name}: {milliseconds(value)} (p{share})")
                for share, value in zip(PERCENTILES, times_of(point, name), strict=False)
            ]
            for point in points
        ]
        return Column(label, rows, is_log=True)

    columns = [column("to the first token (ms)", "ttft"), column("between tokens (ms)", "itl")]
    return row_chart(
        "Times by point: to the first token and between tokens.", [point.name for point in points], columns
    )


def _acceptance(points: Sequence[Point]) -> Markup:
    def column(label: str, form: str, value: Callable[[Point], float | None]) -> Column:
        found = [(point, value(point)) for point in points]
        return Column(label, [
            [Mark("p50", number, f"{point.name}: {form.format(number)} {label}", form.format(number))]
            if number is not None else []
            for point, number in found
        ])  # fmt: skip

    columns = [
        column("% of drafts accepted", "{:.0f}", lambda point: 100 * (point.summary.acceptance or 0)),
        column("tokens per verification", "{:.2f}", lambda point: point.summary.tokens_per_verification),
        column("tokens/s of one user", "{:,.1f}", lambda point: point.speed),
    ]
    return row_chart("By point: accepted drafts and what they bring.", [point.name for point in points], columns)


def _roofline(points: Sequence[Point]) -> Markup:
    rows = []
    for point in points:
        bound = point.run.prediction.tokens_per_second if point.run.prediction else 0.0
        found = point.summary.metrics["output_tokens_per_second"]
        share = f"{100 * found / bound:.0f} %" if bound > 0 else ""
        said = f"{point.name}: {found:,.1f} tokens/s measured, {bound:,.1f} predicted"
        rows.append([Mark("wide", bound, said), Mark("p50", found, said, share)])
    label = "output tokens/s: measured, its share of the bound; pale, the predicted bound"
    column = Column(label, rows)
    return row_chart("By point: measured against predicted.", [point.name for point in points], [column])
